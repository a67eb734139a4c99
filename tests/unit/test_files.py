"""Atomic files and folders: all or nothing, whatever goes wrong."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from warpline import files
from warpline.files import atomic_folder, atomic_path, checksum, write_json, write_text
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Files ------------------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "new" / "image.nii.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("half")
        assert not target.exists()
    assert tree(tmp_path) == {"new/image.nii.gz": "half"}


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")

    def write():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert tree(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, monkeypatch, call):
    write_text(tmp_path / "a.txt", "old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "a.txt", "new")
    monkeypatch.undo()
    assert tree(tmp_path) == {"a.txt": "old"}


def test_a_really_full_disk_leaves_the_old_file(small_disk):
    write_text(small_disk / "a.txt", "old")
    with pytest.raises(OSError, match="No space left"):
        write_text(small_disk / "a.txt", "x" * 200_000)
    assert tree(small_disk) == {"a.txt": "old"}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_an_image_that_does_not_fit_is_an_error_and_leaves_the_old_one(small_disk, suffix):
    # ITK itself writes half a NIfTI file without a word.
    target = small_disk / f"a{suffix}"
    noise = np.random.default_rng(0).random((40, 40, 40), dtype=np.float32)
    write_image(target, Image(noise[:2, :2, :2], Grid((2, 2, 2))))
    before = target.read_bytes()
    with pytest.raises(OSError, match="is the disk full"):
        write_image(target, Image(noise, Grid((40, 40, 40))))
    assert os.listdir(small_disk) == [target.name]
    assert target.read_bytes() == before


def test_a_file_over_the_size_limit_leaves_the_old_one(tmp_path):
    # As a full disk, where none can be mounted.
    code = """
        import resource, sys
        from warpline.files import write_text
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        write_text(sys.argv[1], "short")
        write_text(sys.argv[1], "x" * 5000)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert tree(tmp_path) == {"a.txt": "short"}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_a_plain_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "a")
        with atomic_folder(tmp_path / "folder"):
            pass
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask


# Folders ----------------------------------------------------------------------------------------


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "deep" / "folder") as temporary:
            (temporary / name).write_text(name)
    assert tree(tmp_path) == {"deep/folder/two": "two"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("old")

    def write():
        with atomic_folder(tmp_path / "folder") as temporary:
            (temporary / "a").write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert tree(tmp_path) == {"folder/a": "old"}
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("old")
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    with (
        pytest.raises(OSError, match="No space left"),
        atomic_folder(tmp_path / "folder") as temporary,
    ):
        (temporary / "a").write_text("new")
    assert tree(tmp_path) == {"folder/a": "old"}
    assert os.listdir(tmp_path) == ["folder"]


# What killed processes leave ---------------------------------------------------------------------

WRITE_AND_WAIT = """
import sys
from warpline.files import atomic_folder, atomic_path
with atomic_folder(sys.argv[1] + "/folder") as a, atomic_path(sys.argv[1] + "/b.txt") as b:
    (a / "a").write_text("half")
    b.write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is half-way through writing `folder` and `b.txt`."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_goes_with_the_next_writing(tmp_path, writer):
    writer.kill()
    writer.wait()
    assert len(os.listdir(tmp_path)) == 2
    (tmp_path / ".b.txt.notes").write_text("the user's")
    write_text(tmp_path / "other.txt", "o")
    assert len(os.listdir(tmp_path)) == 4
    write_text(tmp_path / "b.txt", "b")
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("a")
    expected = {".b.txt.notes": "the user's", "other.txt": "o", "b.txt": "b", "folder/a": "a"}
    assert tree(tmp_path) == expected


def test_what_a_running_process_writes_is_left_alone(tmp_path, writer):
    write_text(tmp_path / "b.txt", "b")
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("a")
    assert writer.communicate("", timeout=30)[0] == ""
    assert writer.returncode == 0
    assert tree(tmp_path) == {"b.txt": "half", "folder/a": "half"}


def test_what_another_machine_writes_is_left_alone(tmp_path, writer, monkeypatch):
    writer.kill()
    writer.wait()
    monkeypatch.setattr(files.platform, "node", lambda: "elsewhere")
    write_text(tmp_path / "b.txt", "b")
    assert len(os.listdir(tmp_path)) == 3


# The rest ---------------------------------------------------------------------------------------


def test_json_is_readable_text(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Carré", "n": [1, 2]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Carré", "n": [1, 2]}
    assert "Carré" in text
    assert text.endswith("}\n")


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a", "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert checksum(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


# A power cut --------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, str]]:
    """What is flushed to the disk and what is renamed, in order, by name."""
    found: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle):
        found.append(("flush", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        fsync(handle)

    def renamed(source, target):
        found.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", flushed)
    monkeypatch.setattr(files.os, "replace", renamed)
    return found


def test_a_file_is_on_the_disk_before_its_name_and_the_name_before_it_counts(tmp_path, calls):
    write_text(tmp_path / "a.txt", "a")
    (content, first), rename, folder = calls
    assert content == "flush"
    assert first.startswith(".a.txt.")
    assert rename == ("rename", "a.txt")
    assert folder == ("flush", tmp_path.name)


def test_all_files_of_a_folder_are_on_the_disk_before_its_name(tmp_path, calls):
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "sub").mkdir()
        for name in ("a", "sub/b"):
            (folder / name).write_text(name)
        (folder / "link").symlink_to("a")
    number = next(k for k, (call, _) in enumerate(calls) if call == "rename")
    before, after = calls[:number], calls[number:]
    assert {("flush", "a"), ("flush", "b"), ("flush", "sub")} <= set(before)
    assert [call for call, name in before if name.startswith(".out.")] == ["flush"]
    assert ("rename", "out") in after
    assert after.index(("flush", tmp_path.name)) > after.index(("rename", "out"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_flushes_no_folders(tmp_path, monkeypatch, number):
    fsync = os.fsync

    def flushed(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", flushed)
    if number == errno.EIO:  # a disk that fails is no such file system
        with pytest.raises(OSError, match="Input/output"):
            write_text(tmp_path / "a.txt", "a")
    else:
        write_text(tmp_path / "a.txt", "a")
        assert tree(tmp_path) == {"a.txt": "a"}


def test_results_may_lie_on_another_disk_than_temporary_files(small_disk, monkeypatch, tmp_path):
    """Nothing is made elsewhere and moved over."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    write_text(small_disk / "a.txt", "a")
    with atomic_folder(small_disk / "folder") as folder:
        (folder / "b").write_text("b")
    assert tree(small_disk) == {"a.txt": "a", "folder/b": "b"}
