"""Unpacking: honest archives, broken ones and hostile ones."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError

DATA = os.urandom(200_000)
FILES = {"Task/a.bin": DATA, "Task/sub/b.txt": b"b"}


def make_tar(path: Path, *members: tarfile.TarInfo, mode: str = "w", files=FILES) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def make_zip(path: Path, *members: zipfile.ZipInfo, files=FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for member in members:
            archive.writestr(member, b"../../outside")
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


def zip_member(name: str, mode: int = 0o644 | stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def make(tmp_path: Path, suffix: str) -> Path:
    if suffix == "zip":
        return make_zip(tmp_path / "a.zip")
    modes = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
    return make_tar(tmp_path / f"a.{suffix}", mode=modes[suffix])


SUFFIXES = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unpacks(tmp_path, suffix):
    assert everything(unpack(make(tmp_path, suffix), tmp_path / "out")) == FILES


def test_replaces_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    assert everything(unpack(make(tmp_path, "tar"), tmp_path / "out")) == FILES


def test_unpacked_files_are_readable_by_the_group(tmp_path):
    folder = unpack(make(tmp_path, "zip"), tmp_path / "out")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((folder / "Task" / "a.bin").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_leaves_out_what_macos_adds(tmp_path, suffix):
    files = FILES | {"Task/._a.bin": b"x", "._Task": b"x", "__MACOSX/Task/c": b"x"}
    maker = make_tar if suffix == "tar" else make_zip
    assert everything(unpack(maker(tmp_path / "a", files=files), tmp_path / "out")) == FILES


ATTACKS = {
    "tar parent": [tar_member("../outside")],
    "tar parent inside": [tar_member("Task/../../outside")],
    "tar absolute": [tar_member("/tmp/outside")],
    "tar symbolic link": [tar_member("Task/link", tarfile.SYMTYPE, "/etc")],
    "tar symbolic link escape": [
        tar_member("Task/link", tarfile.SYMTYPE, "../.."),
        tar_member("Task/link/outside"),
    ],
    "tar symbolic link inside": [tar_member("Task/link", tarfile.SYMTYPE, "a.bin")],
    "tar hard link": [tar_member("Task/link", tarfile.LNKTYPE, "/etc/passwd")],
    "tar hard link inside": [tar_member("Task/link", tarfile.LNKTYPE, "Task/a.bin")],
    "tar character device": [tar_member("Task/device", tarfile.CHRTYPE)],
    "tar block device": [tar_member("Task/device", tarfile.BLKTYPE)],
    "tar pipe": [tar_member("Task/pipe", tarfile.FIFOTYPE)],
    "zip parent": [zip_member("../outside")],
    "zip parent inside": [zip_member("Task/../../outside")],
    "zip absolute": [zip_member("/tmp/outside")],
    "zip backslash": [zip_member("..\\outside")],
    "zip drive": [zip_member("C:/outside")],
    "zip symbolic link": [zip_member("Task/link", 0o777 | stat.S_IFLNK)],
    "zip pipe": [zip_member("Task/pipe", 0o644 | stat.S_IFIFO)],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_refuses_attacks(tmp_path, attack):
    maker = make_tar if attack.startswith("tar") else make_zip
    archive = maker(tmp_path / "evil", *ATTACKS[attack])
    inner = tmp_path / "inner"
    with pytest.raises(WarplineError, match="nothing of it was unpacked") as error:
        unpack(archive, inner / "out")
    assert error.value.where == archive
    assert list(inner.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil", "inner"]


def test_a_set_user_id_bit_is_not_kept(tmp_path):
    member = tar_member("Task/program")
    member.mode = 0o4755
    folder = unpack(make_tar(tmp_path / "a.tar", member), tmp_path / "out")
    assert not (folder / "Task" / "program").stat().st_mode & stat.S_ISUID


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_a_limit_holds_against_bombs(tmp_path, suffix):
    bomb = {"zeros": bytes(5_000_000)}
    if suffix == "zip":
        archive = make_zip(tmp_path / "bomb", files=bomb)
    else:
        archive = make_tar(tmp_path / "bomb", files=bomb, mode="w:gz")
    assert archive.stat().st_size < 10_000
    with pytest.raises(WarplineError, match="more than the allowed 1000000 bytes"):
        unpack(archive, tmp_path / "out", limit=1_000_000)
    assert not (tmp_path / "out").exists()
    unpack(archive, tmp_path / "out", limit=5_000_000)


def test_a_declared_size_that_lies(tmp_path):
    """A member that says it is small does not write more than it says."""
    archive = make_zip(tmp_path / "a.zip", files={"zeros": bytes(5_000_000)})
    raw = archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), b"\x10\0\0\0")
    archive.write_bytes(raw)
    with pytest.raises(WarplineError, match="truncated, corrupt"):
        unpack(archive, tmp_path / "out", limit=1000)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.95])
def test_truncated_archives(tmp_path, suffix, part):
    archive = make(tmp_path, suffix)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(part * len(content))])
    with pytest.raises(WarplineError, match="truncated, corrupt") as error:
        unpack(archive, tmp_path / "out")
    assert error.value.where == archive
    assert "fetched anew" in error.value.do
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_a_tar_cut_between_two_members(tmp_path):
    """tarfile alone takes it for a whole archive with fewer members."""
    archive = make(tmp_path, "tar")
    with tarfile.open(archive) as tar:
        second = tar.getmembers()[1].offset
    archive.write_bytes(archive.read_bytes()[:second])
    with pytest.raises(WarplineError, match="the end is missing"):
        unpack(archive, tmp_path / "out")


def test_a_tar_with_a_broken_header(tmp_path):
    archive = make(tmp_path, "tar")
    with tarfile.open(archive) as tar:
        second = tar.getmembers()[1].offset
    content = bytearray(archive.read_bytes())
    content[second + 150] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(WarplineError, match="truncated, corrupt"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_flipped_bits(tmp_path, suffix):
    archive = make(tmp_path, suffix)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(WarplineError, match="truncated, corrupt"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["scan.mha", "points.txt", "scan.nii.gz", "SCAN.MHA"])
def test_a_single_file_is_put_in_its_place(tmp_path, name):
    (tmp_path / name).write_bytes(DATA)
    assert everything(unpack(tmp_path / name, tmp_path / "out")) == {name: DATA}
    with pytest.raises(WarplineError, match="more than the allowed 1000 bytes"):
        unpack(tmp_path / name, tmp_path / "small", limit=1000)
    assert not (tmp_path / "small").exists()


def test_what_is_no_archive(tmp_path):
    (tmp_path / "page").write_text("<html>Not found</html>")
    with pytest.raises(WarplineError, match="neither zip nor tar"):
        unpack(tmp_path / "page", tmp_path / "out")
    with pytest.raises(WarplineError, match="does not exist"):
        unpack(tmp_path / "nothing", tmp_path / "out")


def test_an_encrypted_zip(tmp_path):
    archive = make_zip(tmp_path / "a.zip", files={"a": b"a"})
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    with pytest.raises(WarplineError, match="encrypted"):
        unpack(archive, tmp_path / "out")
