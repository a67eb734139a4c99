"""What is kept beside a result about how it came to be."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from warpline import __version__
from warpline.provenance import record as provenance

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *IDENTITY, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_the_revision_is_the_commit(repository):
    revision = provenance.revision(repository)
    assert git(repository, "rev-parse", "HEAD").startswith(revision)
    git(repository, "tag", "-a", "v9", "-m", "nine")
    assert provenance.revision(repository) == revision


def test_changed_files_are_marked(repository):
    clean = provenance.revision(repository)
    (repository / "a.txt").write_text("two")
    assert provenance.revision(repository) == f"{clean}+changes"


def test_without_git_the_revision_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.revision(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", "")
    assert provenance.revision(tmp_path) == "unknown"


def test_the_revision_is_the_code_s_wherever_the_run_stands(repository, monkeypatch):
    here = provenance.revision()
    monkeypatch.chdir(repository)
    assert provenance.revision() == here
    assert here != provenance.revision(repository)


def test_versions_are_the_installed_ones():
    found = provenance.versions(["numpy", "no-such-library"])
    assert found == {
        "warpline": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    assert importlib.metadata.version("torch") == provenance.versions()["torch"]


def test_peak_memory_is_in_mebibytes():
    code = (
        "from warpline.provenance.record import peak_memory\n"
        "before = peak_memory()\n"
        "block = b'x' * (64 << 20)\n"
        "del block\n"
        "print(before, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert 5 < before < 200
    assert 62 < after - before < 70


def test_a_record_is_plain_data_with_the_job_s_own_entries():
    record = provenance.record("cpu", 1.23456, seed=0, recipe={"epochs": 2})
    assert record["seconds"] == 1.235
    assert record["machine"]["device"] == "cpu"
    assert record["machine"]["cores"] >= 1
    assert record["versions"]["warpline"] == __version__
    assert (record["seed"], record["recipe"]) == (0, {"epochs": 2})
    assert json.loads(json.dumps(record)) == record
