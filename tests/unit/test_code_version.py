"""Fingerprints of scripts change with the code that they run, and with nothing else."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from warpline.plan import fingerprint as module
from warpline.plan.fingerprint import code_version, imported_modules

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))

# a → fields.deep (inside a function) → base;  b → fields → (its __init__) → other
FILES = {
    "warpline/__init__.py": "",
    "warpline/base.py": "VALUE = 1\n",
    "warpline/other.py": "VALUE = 1\n",
    "warpline/unused.py": "VALUE = 1\n",
    "warpline/fields/__init__.py": "from ..other import VALUE\n",
    "warpline/fields/deep.py": (
        "def use():\n    from warpline.base import VALUE\n\n    return VALUE\n"
    ),
    "warpline/networks/__init__.py": "",
    "warpline/networks/chosen.py": "from . import parts\n",
    "warpline/networks/parts.py": "VALUE = 1\n",
    "scripts/a.py": "import numpy\nimport warpline.fields.deep as deep\n",
    "scripts/b.py": "from warpline import fields\n",
    "scripts/c.py": "import os\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of warpline."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "warpline")
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """As a new process would start."""
    for function in (module._tree, module._outline, module._imports, module._path):
        function.cache_clear()


def versions(folder: Path, *extra: str) -> dict[str, str]:
    forget()
    scripts = sorted((folder / "scripts").glob("*.py"))
    return {script.stem: code_version(script, *extra) for script in scripts}


def changed(folder: Path, name: str, text: str, *extra: str) -> set[str]:
    """Scripts whose fingerprint changes when a file does."""
    before = versions(folder, *extra)
    (folder / name).write_text(text)
    after = versions(folder, *extra)
    return {script for script in before if before[script] != after[script]}


@pytest.mark.parametrize(
    ("edited", "scripts"),
    [
        ("warpline/fields/deep.py", {"a"}),
        ("warpline/base.py", {"a"}),
        ("warpline/fields/__init__.py", {"a", "b"}),
        ("warpline/other.py", {"a", "b"}),
        ("warpline/__init__.py", {"a", "b"}),
        ("warpline/unused.py", set()),
        ("warpline/networks/chosen.py", set()),
        ("scripts/c.py", {"c"}),
    ],
)
def test_an_edit_concerns_exactly_the_scripts_that_import_it(package, edited, scripts):
    assert changed(package, edited, FILES[edited] + "NEW = 2\n") == scripts


def test_modules_chosen_at_run_time_are_given_by_name(package):
    extra = "warpline.networks.chosen"
    assert imported_modules(package / "scripts/c.py", [extra]) == {
        "warpline",
        "warpline.networks",
        extra,
        "warpline.networks.parts",
    }
    for edited in ("chosen", "parts"):
        name = f"warpline/networks/{edited}.py"
        assert changed(package, name, FILES[name] + "NEW = 2\n", extra) == {"a", "b", "c"}


def test_comments_docstrings_and_layout_do_not_count(package):
    name = "warpline/base.py"
    (package / name).write_text("class A:\n    def f(self, x):\n        return x + 1\n")
    text = (
        '"""A module."""\n# why\nclass A:\n    """A class."""\n\n'
        "    def f(\n        self, x\n    ):\n"
        '        """A method."""\n        return (x + 1)  # so\n'
    )
    assert changed(package, name, text) == set()
    assert changed(package, name, text.replace("x + 1", "x + 2")) == {"a"}
    assert changed(package, name, text.replace("return (x", "'not a docstring'; return (x")) == {
        "a"
    }


def test_a_new_import_brings_its_module_in(package):
    assert changed(package, "scripts/c.py", "from warpline.unused import VALUE\n") == {"c"}
    assert changed(package, "warpline/unused.py", "VALUE = 2\n") == {"c"}


def test_a_renamed_module_changes_the_fingerprint(package):
    before = versions(package)["c"]
    assert versions(package, "warpline.base")["c"] != versions(package, "warpline.other")["c"]
    assert versions(package)["c"] == before


# The project's own scripts ----------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_a_fingerprint_that_covers_what_it_imports(script):
    version = code_version(script)
    assert len(version) == 16
    assert int(version, 16) >= 0
    found = imported_modules(script)
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("warpline."):
            assert node.module in found


def test_scripts_depend_on_what_they_should():
    modules = {script.stem: imported_modules(script) for script in SCRIPTS}
    assert "warpline.cases.steps" in modules["prepare"]
    assert "warpline.training.loop" in modules["train"]
    assert not {"warpline.training.losses", "warpline.fields.integration"} & set(modules["train"])
    named = ["warpline.networks.estienne2020", "warpline.training.registration"]
    train = imported_modules(ROOT / "scripts/train.py", named)
    assert {"warpline.training.losses", "warpline.fields.integration"} <= set(train)
    assert not any(name.startswith("warpline.training") for name in modules["table"])


def test_an_edit_in_a_copy_of_the_project(tmp_path, monkeypatch):
    # Compiled files come and go while something else runs in the checkout.
    uncompiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "warpline", tmp_path / "warpline", ignore=uncompiled)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=uncompiled)
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "warpline")
    name = "warpline/training/loop.py"
    source = (tmp_path / name).read_text(encoding="utf-8")
    try:
        assert changed(tmp_path, name, source + "\nNEW = 1\n") == {"train"}
    finally:
        forget()
