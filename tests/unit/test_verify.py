"""Whether a file is what its archive says: each answer by itself."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import logging
import os
import zipfile
from pathlib import Path

import pytest

from warpline.acquire import verify
from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.verify import (
    damage,
    digests_of,
    existing_problem,
    mismatch,
    received,
    record_path,
    source_of,
    verified,
    write_record,
)

CONTENT = b"abc"
MD5, SHA = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


def zipped(path: Path, **members: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return path


def archive(*checksums: str, size: int | None = None, name: str = "a.bin") -> Archive:
    return Archive(name, (), checksums, size)


def test_digests_are_of_the_whole_file_whatever_its_length(tmp_path):
    content = os.urandom((1 << 20) + 7)
    (tmp_path / "a").write_bytes(content)
    found = digests_of(tmp_path / "a", ["md5", "sha256"])
    assert found == {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha256")}


def test_what_does_not_match():
    digests = {"md5": MD5, "sha256": SHA}
    for fits in (
        archive(),
        archive(size=3),
        archive(f"sha256:{SHA}", size=3),
        archive(f"sha256:{SHA.upper()}"),
        archive(f"sha256:{OTHER}", f"md5:{MD5}"),
    ):
        assert mismatch(fits, 3, digests) is None
    assert mismatch(archive(f"sha256:{SHA}", size=4), 3, digests) == "has 3 bytes instead of 4"
    assert mismatch(archive(size=0), 3, digests) == "has 3 bytes instead of 0"
    assert mismatch(archive(f"sha256:{OTHER}", f"md5:{OTHER[:32]}"), 3, digests) == (
        f"has the checksum sha256:{SHA}, md5:{MD5} instead of sha256:{OTHER} or md5:{OTHER[:32]}"
    )
    assert "sha256:None instead of" in mismatch(archive(f"sha256:{SHA}"), 3, {"md5": MD5})


def test_a_file_without_a_checksum_is_taken_and_its_own_is_told(file, caplog):
    caplog.set_level(logging.WARNING)
    assert verified(archive(), file) == {"sha256": SHA}
    assert f"no checksum is configured, so the file is taken as it came; it has sha256:{SHA}" in (
        caplog.text
    )
    caplog.clear()
    assert verified(archive(f"md5:{MD5}"), file) == {"md5": MD5, "sha256": SHA}
    assert not caplog.text
    with pytest.raises(SourceFailed, match=f"the file has the checksum sha256:{SHA} instead"):
        verified(archive(f"sha256:{OTHER}"), file)


def test_only_without_a_checksum_a_file_is_looked_through(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    assert received(archive(f"sha256:{SHA}", name="a.zip"), path)["sha256"] == SHA
    with pytest.raises(SourceFailed, match="the file is no whole zip file"):
        received(archive(name="a.zip"), path)


@pytest.mark.parametrize("name", ["a.zip", "a.ZIP"])
def test_damage_of_a_zip(tmp_path, name):
    path = zipped(tmp_path / name, one=b"first member", two=b"second member")
    whole = path.read_bytes()
    assert damage(path, name) is None
    path.write_bytes(whole.replace(b"second", b"Second"))
    assert damage(path, name) == "is damaged at its member 'two'"
    for part in (whole[:-1], whole[: len(whole) // 2], b"<html>log in</html>"):
        path.write_bytes(part)
        assert damage(path, name).startswith(f"is no whole {name[2:]} file (")
    assert "log in" in damage(path, name)
    with pytest.raises(FileNotFoundError):
        damage(tmp_path / "missing.zip", "missing.zip")
    assert damage(path, "a.tar") is None  # of which nothing is known before it is unpacked


def test_an_encrypted_zip_is_left_to_who_unpacks_it(tmp_path):
    path = zipped(tmp_path / "a.zip", one=CONTENT)
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    assert damage(path, "a.zip") is None


@pytest.mark.parametrize("name", ["a.gz", "a.nii.GZ"])
def test_damage_of_a_gzip(tmp_path, name):
    path, content = tmp_path / name, os.urandom((1 << 20) + 5)
    whole = gzip.compress(content)
    path.write_bytes(whole)
    assert damage(path, name) is None
    for part in (whole[:-1], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b"<p>log in"):
        path.write_bytes(part)
        assert damage(path, name).startswith(f"is no whole {name[-2:]} file (")


def test_bombs_begin_beyond_a_size_and_a_share(monkeypatch):
    monkeypatch.setattr(verify, "LEAST_BOMB", 1000)
    assert not verify._is_bomb(1000, 1)
    assert verify._is_bomb(1001, 1)
    assert not verify._is_bomb(100 * 50, 50)
    assert verify._is_bomb(100 * 50 + 1, 50)


def test_a_gzip_is_read_to_where_a_bomb_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "LEAST_BOMB", 5000)
    for length, said in ((5000, None), (5001, f"unpacks to more than {5000} bytes, far more than")):
        (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(length)))
        found = damage(tmp_path / "a.gz", "a.gz")
        assert found is None if said is None else found.startswith(said)


def test_a_zip_that_claims_to_hold_a_bomb_is_not_read(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", one=bytes(3000), two=bytes(3000))
    monkeypatch.setattr(verify, "BOMB", 0)
    monkeypatch.setattr(verify, "LEAST_BOMB", 6000)
    assert damage(path, "a.zip") is None
    monkeypatch.setattr(verify, "LEAST_BOMB", 5999)
    assert damage(path, "a.zip").startswith("claims to hold more than 5999 bytes")


def test_a_disk_that_fails_is_no_damage_of_the_file(file, monkeypatch):
    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(verify, "_damaged_gzip", fails)
    with pytest.raises(OSError, match="Input/output error"):
        damage(file, "a.gz")


def test_a_zip_s_own_list_of_sums(tmp_path, monkeypatch):
    def found(rows: str) -> str | None:
        path = zipped(tmp_path / "a.zip", one=CONTENT, md5hashes_csv=f"File,MD5\n{rows}")
        return damage(path, "a.zip")

    assert found(f"one,{MD5}") is None
    assert found(f"one, {MD5.upper()} ,more") is None
    assert found("") is None
    assert found(f"two,{MD5}") == "lacks its member 'two', which its md5hashes.csv lists"
    for rest in (f",{MD5[:-1]}0", ",", ""):
        assert found(f"one{rest}") == "has another member 'one' than its md5hashes.csv says"
    length = len(f"File,MD5\none,{MD5}")
    monkeypatch.setattr(verify, "LARGEST_SUMS", length)
    assert found(f"one,{MD5}") is None
    monkeypatch.setattr(verify, "LARGEST_SUMS", length - 1)
    assert found(f"one,{MD5}") == f"has an md5hashes.csv of more than {length - 1} bytes"


def test_a_record_says_what_is_known_of_a_file(file):
    write_record(file, {"sha256": SHA}, "https://a.example/b")
    kept = json.loads(record_path(file).read_text())
    assert kept["mtime_ns"] == file.stat().st_mtime_ns
    known = {"name": "a.bin", "sha256": SHA, "size": 3, "source": "https://a.example/b"}
    assert source_of(file) == known


@pytest.fixture
def hashed(monkeypatch) -> list[Path]:
    """The files that were hashed."""
    found = []
    monkeypatch.setattr(
        verify, "digests_of", lambda path, names: found.append(path) or digests_of(path, names)
    )
    return found


def test_a_file_is_hashed_again_only_where_its_record_does_not_tell(file, hashed):
    fits = archive(f"sha256:{SHA}")
    assert existing_problem(fits, file) is None
    assert source_of(file)["source"] == "found in place"
    assert existing_problem(fits, file) is None
    assert len(hashed) == 1
    write_record(file, {"sha256": SHA}, "a server")
    assert existing_problem(fits, file) is None
    assert (len(hashed), source_of(file)["source"]) == (1, "a server")
    os.utime(file, ns=(0, 5))
    assert existing_problem(fits, file) is None  # of another time: a record of its own again
    assert (len(hashed), source_of(file)["source"]) == (2, "found in place")
    # A checksum of another kind, which the record does not have.
    assert existing_problem(archive(f"md5:{MD5}"), file) is None
    assert (len(hashed), source_of(file)["md5"]) == (3, MD5)
    assert "has the checksum" in existing_problem(archive(f"sha256:{OTHER}"), file)
    file.write_bytes(b"abd")
    assert "has the checksum" in existing_problem(fits, file)
    for broken in ("{", "[]", "{}", '{"size": 3}'):
        file.write_bytes(CONTENT)
        record_path(file).write_text(broken)
        assert existing_problem(fits, file) is None
        assert source_of(file)["sha256"] == SHA


def test_where_others_could_write_a_right_record_is_kept_and_the_file_hashed(
    file, hashed, monkeypatch, caplog
):
    fits = archive(f"sha256:{SHA}")
    write_record(file, {"sha256": SHA}, "a server")
    monkeypatch.setattr(verify, "others", lambda folder: "the folder is everybody's")
    assert existing_problem(fits, file) is None
    assert len(hashed) == 1
    assert "the folder is everybody's; it is hashed again" in caplog.text
    assert source_of(file)["source"] == "a server"
    stat = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "has the checksum" in existing_problem(fits, file)
    file.write_bytes(CONTENT)
    write_record(file, {"sha256": OTHER}, "a forger")
    assert existing_problem(archive(), file) is None
    assert source_of(file)["sha256"] == SHA
