"""Folders that several runs and users write to."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from acquire_tools import packed
from http_server import serve

from warpline.acquire import shared
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.hashed import Hashed
from warpline.acquire.patience import Patience
from warpline.acquire.transfer import Part
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError

CONTENT = random.Random(4).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ROOT = Path(__file__).parents[2]
RUN = """
import logging, sys
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
logging.basicConfig(level=logging.WARNING)
patience = Patience(attempts=2, backoff=0.01, quiet=0.1)
fetch(Archive("a.bin", (sys.argv[1],)), sys.argv[2], progress=False, patience=patience)
"""


@pytest.fixture
def server():
    with serve() as running:
        yield running


def run(url: str, folder: Path) -> subprocess.Popen:
    """A process that fetches ``a.bin`` without knowing its size or checksum."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, url, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(part: Path, size: int) -> None:
    deadline = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def get(folder: Path, *sources: str, checksums=(f"sha256:{SHA256}",)) -> Path:
    patience = Patience(attempts=2, backoff=0.01)
    return fetch(Archive("a.bin", sources, checksums), folder, progress=False, patience=patience)


# --- two runs -------------------------------------------------------------------------------------


def test_of_two_runs_one_fetches_and_the_other_waits(server, tmp_path):
    url = server.add("/a", content=CONTENT, pause=0.1)
    runs = [run(url, tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert sum("another run fetches it" in text for text in said) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.bin.checksums.json"]


def test_the_waiting_run_goes_on_where_a_killed_one_stopped(server, tmp_path):
    url = server.add("/a", content=CONTENT, pause=0.2)
    first = run(url, tmp_path)
    wait_for(tmp_path / "a.bin.part", 1)
    second = run(url, tmp_path)
    assert "another run fetches it" in second.stderr.readline()
    first.kill()
    first.communicate()
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.requests[-1][1] is not None


def test_a_part_that_another_process_wrote_to_is_not_taken(server, tmp_path, monkeypatch):
    """As on a file system without locks; the server's promise alone is no proof."""
    opened = Part.open

    def open_disturbed(part, offset):
        stream = opened(part, offset)
        monkeypatch.setattr(Part, "open", opened)
        with part.path.open("ab") as other:
            other.write(b"x" * (len(CONTENT) + 9))
        return stream

    monkeypatch.setattr(Part, "open", open_disturbed)
    url = server.add("/a", content=CONTENT)
    assert get(tmp_path, url, checksums=()).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_without_locks_a_run_says_so_and_goes_on(server, tmp_path, monkeypatch, caplog):
    def acquire(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(shared.filelock.FileLock, "acquire", acquire)
    assert get(tmp_path, server.add("/a", content=CONTENT)).read_bytes() == CONTENT
    assert "has no locks; let no other run fetch it" in caplog.text


# --- other users ----------------------------------------------------------------------------------


def test_a_planted_lock_is_not_followed(server, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.bin.lock").symlink_to(victim)
    with pytest.raises(WarplineError, match="cannot be locked"):
        get(tmp_path / "data", server.add("/a", content=CONTENT))
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
def test_a_planted_part_is_not_followed(server, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "data").mkdir()
    getattr(tmp_path / "data/a.bin.part", kind)(victim)
    with pytest.raises(WarplineError, match="not followed") as error:
        get(tmp_path / "data", server.add("/a", content=CONTENT))
    assert "belongs to" in error.value.do
    assert victim.read_text() == "mine"


def test_a_link_swapped_in_later_is_not_followed(tmp_path):
    (tmp_path / "a.part").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Part(tmp_path / "a.part").open(0)
    assert not (tmp_path / "victim").exists()


def forge(folder: Path) -> None:
    """A wrong file, and a record that calls it the right one."""
    path = folder / "a.bin"
    path.write_bytes(b"evil")
    status = path.stat()
    record = {"sha256": SHA256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    (folder / "a.bin.checksums.json").write_text(json.dumps(record | {"source": "x"}))


@pytest.mark.parametrize(("mode", "who"), [(0o777, "its group and every user"), (0o775, "its")])
def test_a_record_that_others_could_write_proves_nothing(server, tmp_path, caplog, mode, who):
    tmp_path.chmod(mode)
    forge(tmp_path)
    assert get(tmp_path, server.add("/a", content=CONTENT)).read_bytes() == CONTENT
    assert f"and {who}" in caplog.text
    assert "it is hashed again, whatever its record says" in caplog.text


def test_a_right_file_in_a_folder_of_all_stays(server, tmp_path):
    url = server.add("/a", content=CONTENT)
    get(tmp_path, url)
    record = (tmp_path / "a.bin.checksums.json").read_text()
    tmp_path.chmod(0o777)
    get(tmp_path, url)
    assert len(server.requests) == 1
    assert (tmp_path / "a.bin.checksums.json").read_text() == record


def test_another_user_s_folder_is_named(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    assert shared.others(tmp_path) is None
    status = os.stat_result((0o40755, 0, 0, 1, 987654, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert shared.others(tmp_path) == f"the folder {tmp_path} belongs to the user 987654"


FILES = {"Task/a.bin": b"abc" * 50_000, "Task/b.txt": b"text"}


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "plain"])
def test_what_is_unpacked_is_what_was_verified(tmp_path, kind):
    """The archive is swapped for another whole one after its download."""
    path = tmp_path / ("a.csv" if kind == "plain" else "a.archive")
    content = b"a,b\n" * 9 if kind == "plain" else packed(FILES, kind)
    other = b"a,c\n" * 9 if kind == "plain" else packed(FILES | {"Task/b.txt": b"evil"}, kind)
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    folder = unpack(path, tmp_path / "out", sha256=digest)
    before = sorted(folder.rglob("*"))
    path.write_bytes(other)
    with pytest.raises(WarplineError, match="not the file that was verified") as error:
        unpack(path, tmp_path / "out", sha256=digest)
    assert "belongs to" in error.value.do
    assert sorted(folder.rglob("*")) == before
    assert kind == "plain" or (folder / "Task/b.txt").read_bytes() == b"text"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "out"])


def test_every_byte_is_hashed_once_in_whatever_order_it_is_read(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    rng = random.Random(0)
    with path.open("rb", buffering=0) as opened:
        hashed = Hashed(opened)
        stream = io.BufferedReader(hashed, 4096)
        for _ in range(50):
            place, size = rng.randrange(len(CONTENT)), rng.randrange(20_000)
            stream.seek(place)
            assert stream.read(size) == CONTENT[place : place + size]
        assert hashed.digest() == SHA256
