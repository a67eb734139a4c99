"""Fingerprints that are kept from an earlier start are those that would be found anew."""

from __future__ import annotations

import json
import os

import pytest

from warpline.plan import fingerprint
from warpline.plan.versions import Versions


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package, a script and a folder of results; and how often a fingerprint is worked out."""
    (tmp_path / "warpline").mkdir()
    (tmp_path / "warpline" / "base.py").write_text("VALUE = 1\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "a.py").write_text("from warpline.base import VALUE\nx = VALUE\n")
    (tmp_path / "results" / "state").mkdir(parents=True)
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path / "warpline")
    monkeypatch.delenv("WARPLINE_NETWORKS", raising=False)
    asked, plain = [], fingerprint.code_version

    def counted(script, *chosen):
        for function in ("_parsed", "_definition", "_script", "_path"):
            getattr(fingerprint, function).cache_clear()
        asked.append((script and script.name, *chosen))
        return plain(script, *chosen)

    monkeypatch.setattr(fingerprint, "code_version", counted)
    yield tmp_path, asked
    for function in ("_parsed", "_definition", "_script", "_path"):
        getattr(fingerprint, function).cache_clear()


def start(folder) -> Versions:
    return Versions(folder / "scripts", folder / "results" / "state" / "versions.json")


def test_a_second_start_works_nothing_out(project):
    folder, asked = project
    first = start(folder)
    found = [first.of("a.py"), first.of(None, "warpline.base:VALUE")]
    assert found[0] != found[1]
    assert asked == [("a.py",), (None, "warpline.base:VALUE")]
    second = start(folder)
    assert [second.of("a.py"), second.of(None, "warpline.base:VALUE")] == found
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("warpline/base.py", "VALUE = 2\n", False),
        ("warpline/base.py", "# why\nVALUE = 1\n", True),
        ("warpline/other.py", "VALUE = 1\n", True),
        ("scripts/a.py", "from warpline.base import VALUE\ny = VALUE\n", False),
    ],
)
def test_an_edit_asks_everything_anew_and_says_what_a_first_start_would(project, name, text, same):
    folder, asked = project
    before = start(folder).of("a.py")
    stamp = (folder / name).stat() if (folder / name).exists() else None
    (folder / name).write_text(text)
    if stamp:  # times do not count, contents do
        os.utime(folder / name, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = start(folder).of("a.py")
    assert len(asked) == 2
    assert (after == before) is same
    (folder / "results" / "state" / "versions.json").unlink()
    assert start(folder).of("a.py") == after


def test_a_network_of_ones_own_counts(project, monkeypatch):
    folder, asked = project
    start(folder).of("a.py")
    (folder / "own").mkdir()
    (folder / "own" / "mine.py").write_text("def build():\n    return 1\n")
    monkeypatch.setenv("WARPLINE_NETWORKS", str(folder / "own"))
    start(folder).of("a.py")
    assert len(asked) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sources": 1}', '{"versions": {"a.py": "0"}}'])
def test_a_memory_that_cannot_be_read_is_none(project, text):
    folder, asked = project
    memory = folder / "results" / "state" / "versions.json"
    memory.write_text(text)
    found = start(folder).of("a.py")
    assert len(asked) == 1
    assert json.loads(memory.read_text())["versions"] == {"a.py": found}


def test_asking_makes_no_folder(project):
    folder, _ = project
    (folder / "results" / "state").rmdir()
    (folder / "results").rmdir()
    assert start(folder).of("a.py")
    assert not (folder / "results").exists()
