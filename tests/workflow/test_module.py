"""The workflow as part of another one: a Snakemake module, from a folder or a repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SNAKEFILE = """
configfile: "config/config.yaml"

module warpline:
    snakefile: {place}
    config: config

use rule * from warpline

rule summary:
    input: "results/mine/tables/table.csv"
    output: "results/summary.txt"
    shell: "wc -l {{input}} > {{output}}"
"""
PLAN = {"phantom", "prepare", "register_and_evaluate", "mine_tables", "summary"}


def planned(folder: Path, place: str, **variables: str) -> set[str]:
    """The rules that a workflow of one's own plans, with this one as a module from a place."""
    for name, value in {
        "config": {"papers": []},
        "studies/mine": {"datasets": ["hippocampus"], "methods": ["mine"], "split": "val"},
        "methods/mine": {"extends": "identity", "title": "Mine"},
    }.items():
        path = folder / f"config/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(SNAKEFILE.format(place=place), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "summary"],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / ".cache"), **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    return {line.split()[-1].strip(":") for line in output.splitlines() if line.startswith("rule ")}


@pytest.mark.parametrize("file", ["Snakefile", "workflow/Snakefile"])
def test_a_module_from_a_folder_plans_a_study_of_ones_own(tmp_path, file):
    assert planned(tmp_path / "own", repr(str(ROOT / file))) == PLAN


def test_a_module_from_a_repository_plans_with_the_installed_library(tmp_path, project):
    """As snakedeploy writes it; git takes the address for a repository of this machine."""
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@localhost", "-C", project.folder]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *arguments], check=True)
    place = 'github("me/warpline", path="workflow/Snakefile", branch="main")'
    variables = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{project.folder}/.git.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/me/warpline",
        "PYTHONPATH": str(ROOT / "src"),
    }
    assert planned(tmp_path / "own", place, **variables) == PLAN
