"""A copy of the project in an empty folder, and Snakemake run in it as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from papers import five_papers as five_papers_config

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent / "workflow"
PARTS = ("Snakefile", "config", "envs", "models", "profiles", "scripts", "src", "workflow")
IGNORED = shutil.ignore_patterns("*.egg-info", "*.pyc.*")  # of the latter, some are being written


@dataclass
class Project:
    """A working copy of the project."""

    folder: Path
    log: str = ""
    seconds: float = 0.0  # of its first run, by the clock

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        # Only the copy's own library may be found, and no user's settings.
        return {**os.environ, "XDG_CACHE_HOME": str(self.folder / ".cache")}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Run Snakemake, with environment variables of its own; what came of it."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment(), **variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def snakemake(self, *arguments: str, ok: bool = True, **variables: str) -> str:
        """Run Snakemake; its whole output. `ok` says whether it must succeed."""
        done = self.run(*arguments, **variables)
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output[-6000:]
        return output

    def start(self, *arguments: str, **options: object) -> subprocess.Popen:
        """Snakemake in the background, without its output."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )

    def write(self, name: str, value: object) -> Path:
        """Write a YAML file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
        return path


def copy_project(folder: Path) -> Project:
    """The project in a folder, with tiny.yaml (its paper) and papers.yaml (the five, smallest)."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # Compiled files come along: they are up to date as long as their sources are.
            shutil.copytree(source, folder / part, ignore=IGNORED)
        else:
            shutil.copy2(source, folder / part)
    shutil.copytree(HERE / "tiny", folder / "config", dirs_exist_ok=True)
    shutil.copy2(HERE / "tiny.yaml", folder)
    project = Project(folder)
    project.write("papers.yaml", five_papers_config())
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """A copy of a run, with its times, to change."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny paper, run to its end once for all tests; tests must not change it."""
    project = copy_project(tmp_path_factory.mktemp("finished") / "warpline")
    began = time.monotonic()
    project.log = project.snakemake("--configfile", "tiny.yaml")
    project.seconds = time.monotonic() - began
    return project
