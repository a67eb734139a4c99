"""The wheel brings the command, the workflow, its settings and the models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "models", "profiles", "scripts", "workflow")
BUILD = "import sys\nfrom setuptools import build_meta\nprint(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The project as a wheel, built from a copy of what git keeps of it."""
    source = tmp_path_factory.mktemp("source")
    for part in (*PARTS, "src", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        if (ROOT / part).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / part, source / part, ignore=unwanted)
        else:
            shutil.copy2(ROOT / part, source)
    target = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(target)],
        cwd=source,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked, as it is installed."""
    folder = tmp_path_factory.mktemp("installed") / "site packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_every_file_of_the_workflow(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    expected = {
        f"warpline/project/{path.relative_to(ROOT).as_posix()}"
        for part in PARTS
        for path in ([ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."
    }
    assert len(expected) > 150
    assert {name for name in held if name.startswith("warpline/project/")} == expected
    assert {"warpline/cli/main.py", "snakemake_logger_plugin_warpline/__init__.py"} <= held
    assert not any(name.startswith("tests/") for name in held)


def test_it_asks_for_what_it_stands_on(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        asked = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    lines = (ROOT / "envs" / "requirements.in").read_text(encoding="utf-8").splitlines()
    needed = lines[: lines.index("# tests and style")]
    asked = [line for line in asked if "extra ==" not in line]
    assert asked == [line for line in needed if not line.startswith("#")]


TABLE = """
from warpline.tables.render import TEMPLATES
print(TEMPLATES, *(path.name for path in TEMPLATES.iterdir()))
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-c", TABLE], ["warpline/project/workflow/report ", "table.tex.j2", "table.html.j2"]),
        (["-m", "warpline.cli", "budget", "hu2020", "--gpu", "none"], ["is none of v100-16"]),
    ],
)
def test_installed_code_finds_what_the_wheel_brings(site, tmp_path, arguments, told):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    for words in told:
        assert words in done.stdout + done.stderr


def test_the_installed_command_plans_a_study_in_a_folder_of_ones_own(site, tmp_path):
    own = tmp_path / "own"
    (own / "studies").mkdir(parents=True)
    (own / "config.yaml").write_text("papers: []\n", encoding="utf-8")
    (own / "studies" / "mine.yaml").write_text(
        "datasets: [hippocampus]\nmethods: [identity, warpline, elastix-bspline]\nsplit: val\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "warpline.cli", "run", "mine", "--dry-run"],
        cwd=own,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert f"Snakefile: {site}/warpline/project/Snakefile" in output
    assert "results/records/hippocampus/warpline/val/whole.parquet" in output
    assert f"{site}/warpline/project/config/methods/elastix-bspline.txt" in output
    for part in ("src", "config", "Snakefile"):  # of the checkout nothing is used
        assert str(ROOT / part) not in output
