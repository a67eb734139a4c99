"""Copies of the project to change, and the five papers' run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from project import Project, copy_of, copy_project


@pytest.fixture(scope="session")
def five_papers(tmp_path_factory) -> Project:
    """The five papers at their smallest, run to their end once; tests must not change it.

    WARPLINE_FIVE_PAPERS names the folder of such a run that is there already, of the same code.
    """
    if "WARPLINE_FIVE_PAPERS" in os.environ:
        return Project(Path(os.environ["WARPLINE_FIVE_PAPERS"]))
    project = copy_project(tmp_path_factory.mktemp("papers") / "warpline")
    project.log = project.snakemake("--configfile", "papers.yaml")
    return project


@pytest.fixture(scope="session")
def new_project(tmp_path_factory) -> Callable[[str], Project]:
    """Makes fresh copies, for tests that look at one run together."""
    return lambda name: copy_project(tmp_path_factory.mktemp(name) / "warpline")


@pytest.fixture
def project(tmp_path) -> Project:
    """A fresh copy."""
    return copy_project(tmp_path / "warpline")


@pytest.fixture
def copy(finished, tmp_path) -> Project:
    """A copy of the tiny paper's run, to change."""
    return copy_of(finished, tmp_path / "warpline")


@pytest.fixture
def papers_copy(five_papers, tmp_path) -> Project:
    """A copy of the five papers' run, to change."""
    return copy_of(five_papers, tmp_path / "warpline")
