"""Fingerprints of scripts change with the code that shapes their outputs, and with nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from warpline.plan import fingerprint as module
from warpline.plan.fingerprint import FRAME, code_version, definitions_reached

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))

# a → fields.deep.use (imported inside a function) → base.VALUE;  b → fields → (its face) → other
FILES = {
    "warpline/__init__.py": "",
    "warpline/base.py": "VALUE = 1\nUNUSED = 1\n",
    "warpline/other.py": "VALUE = 1\n",
    "warpline/unused.py": "VALUE = 1\n",
    "warpline/errors.py": "class WarplineError(Exception):\n    pass\n",
    "warpline/progress.py": "class Progress:\n    pass\n",
    "warpline/fields/__init__.py": "from ..other import VALUE\n",
    "warpline/fields/deep.py": (
        "from warpline.errors import WarplineError\n"
        "from warpline.progress import Progress\n"
        "def use(x: int) -> int:\n"
        "    '''What it does.'''\n"
        "    from warpline.base import VALUE\n"
        "    if x < 0:\n"
        "        raise WarplineError(f'{x} is negative', do='Try another.')\n"
        "    with Progress(x, 'using'):\n"
        "        print('used')\n"
        "    return helper(VALUE)\n"
        "def helper(value):\n"
        "    return value + 1\n"
        "def beside():\n"
        "    return helper(2)\n"
    ),
    "warpline/networks/__init__.py": "",
    "warpline/networks/chosen.py": "from . import parts\ndef build():\n    return parts.VALUE\n",
    "warpline/networks/parts.py": "VALUE = 1\nOTHER = 2\n",
    "scripts/a.py": "import numpy\nimport warpline.fields.deep as deep\ndeep.use(1)\n",
    "scripts/b.py": "from warpline import fields\nprint(fields.VALUE)\nx = fields.VALUE\n",
    "scripts/c.py": "import os\nos.sep\n",
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


def modules_reached(script: Path) -> set[str]:
    return {module for module, _ in definitions_reached(script)}


def forget() -> None:
    """As a new process would start."""
    for function in (module._parsed, module._definition, module._script, module._path):
        function.cache_clear()


def versions(folder: Path, *chosen: str) -> dict[str, str]:
    forget()
    scripts = sorted((folder / "scripts").glob("*.py"))
    return {script.stem: code_version(script, *chosen) for script in scripts}


def changed(folder: Path, name: str, old: str, new: str, *chosen: str) -> set[str]:
    """Scripts whose fingerprint changes when a file's text does."""
    before = versions(folder, *chosen)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    after = versions(folder, *chosen)
    return {script for script in before if before[script] != after[script]}


@pytest.mark.parametrize(
    ("edited", "old", "new", "scripts"),
    [
        ("fields/deep.py", "value + 1", "value + 2", {"a"}),
        ("fields/deep.py", "helper(2)", "helper(3)", set()),  # a function that nothing reaches
        ("fields/deep.py", "x < 0", "x < 1", {"a"}),
        ("fields/deep.py", "is negative", "lies below zero", set()),
        ("fields/deep.py", "Try another.", "Try again.", set()),
        ("fields/deep.py", "'used'", "'was used'", set()),
        ("fields/deep.py", "'using'", "'at work'", set()),
        ("fields/deep.py", "What it does.", "What it did.", set()),
        ("fields/deep.py", "x: int", "x: float", set()),
        ("fields/deep.py", "def beside", "# why\ndef beside", set()),
        ("fields/deep.py", "value + 1", "(\n        value + 1\n    )", set()),
        ("base.py", "VALUE = 1", "VALUE = 2", {"a"}),
        ("base.py", "UNUSED = 1", "UNUSED = 2", set()),
        ("other.py", "VALUE = 1", "VALUE = 2", {"b"}),
        ("unused.py", "VALUE = 1", "VALUE = 2", set()),
        ("errors.py", "pass", "sign = 1", set()),
        ("progress.py", "pass", "width = 1", set()),
    ],
)
def test_an_edit_concerns_exactly_the_scripts_that_it_shapes(package, edited, old, new, scripts):
    assert changed(package, f"warpline/{edited}", old, new) == scripts


def test_a_statement_of_a_module_concerns_all_who_reach_it(package):
    assert changed(package, "warpline/base.py", "VALUE = 1\n", "VALUE = 1\nprepare(VALUE)\n") == {
        "a"
    }


def test_a_script_itself_counts_and_what_it_prints_does_not(package):
    assert changed(package, "scripts/c.py", "os.sep", "os.curdir") == {"c"}
    assert changed(package, "scripts/b.py", "print(fields.VALUE)", "print('b')") == set()


@pytest.mark.parametrize(
    ("chosen", "old", "concerned"),
    [
        ("warpline.networks.chosen", "VALUE = 1", True),
        ("warpline.networks.chosen:build", "VALUE = 1", True),
        ("warpline.networks.chosen:build", "OTHER = 2", False),
        ("warpline.networks.parts", "OTHER = 2", True),
        ("warpline.networks.parts:VALUE", "OTHER = 2", False),
    ],
)
def test_what_is_chosen_at_run_time_is_given_by_name(package, chosen, old, concerned):
    found = changed(package, "warpline/networks/parts.py", old, f"{old}0", chosen)
    assert found == ({"a", "b", "c"} if concerned else set())


def test_the_names_that_a_script_reaches(package):
    reached = definitions_reached(package / "scripts/a.py")
    assert {(m, n) for m, n in reached if n} == {
        ("warpline.fields.deep", "use"),
        ("warpline.fields.deep", "helper"),
        ("warpline.base", "VALUE"),
    }
    assert modules_reached(package / "scripts/b.py") == {"warpline.other"}


def test_a_new_import_brings_its_definition_in(package):
    new = "from warpline.unused import VALUE\nVALUE.real\n"
    assert changed(package, "scripts/c.py", "os.sep\n", new) == {"c"}
    assert changed(package, "warpline/unused.py", "VALUE = 1", "VALUE = 2") == {"c"}


def test_a_renamed_module_changes_the_fingerprint(package):
    before = versions(package)["c"]
    assert versions(package, "warpline.base")["c"] != versions(package, "warpline.other")["c"]
    assert versions(package)["c"] == before


# The project's own scripts ----------------------------------------------------------------------


def test_the_frame_of_a_job_is_in_no_fingerprint():
    assert set(FRAME) == {
        "warpline.devices",
        "warpline.errors",
        "warpline.jobs",
        "warpline.plan.kinds",
        "warpline.progress",
        "warpline.provenance",
        "warpline.training.budget",
    }
    for name, reason in FRAME.items():
        path = ROOT / "src" / Path(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file()
        assert reason
    for script in SCRIPTS:
        frame = {
            m for m in modules_reached(script) for f in FRAME if m == f or m.startswith(f"{f}.")
        }
        assert not frame, script.stem


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_a_fingerprint_and_none_reaches_the_plan(script):
    version = code_version(script)
    assert re.fullmatch("[0-9a-f]{16}", version)
    # What a job is asked is among its parameters; that it is asked otherwise changes nothing.
    plan = {name for name in modules_reached(script) if name.startswith("warpline.plan.")}
    assert plan <= {f"warpline.plan.{name}" for name in ("pairs", "marks", "layout", "recipe")}
