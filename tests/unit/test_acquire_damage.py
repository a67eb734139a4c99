"""Archives, answers and files that are damaged, or lie: told in one way, and soon."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import subprocess
import sys
import tarfile
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from acquire_tools import fetch_cases
from http_server import serve
from schema_tools import files_of, told_of

from warpline.acquire import batch, bounded, unpack, verify
from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.batch import import_batch
from warpline.acquire.fetch import fetch
from warpline.acquire.formats.base import fetched
from warpline.acquire.http import read_json, whole_number
from warpline.acquire.local import file_path
from warpline.acquire.patience import Patience
from warpline.acquire.transfer import Part
from warpline.acquire.verify import damage
from warpline.errors import WarplineError
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

QUICK = Patience(attempts=2, backoff=0.01, read=0.5)
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bz2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.fixture
def server():
    with serve() as running:
        yield running


def zipped(method: int = zipfile.ZIP_DEFLATED, **files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(mode: str, format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=format) as archive:
        for name in ("a/b.txt", "é" * 80):
            member = tarfile.TarInfo(name)
            member.size = 500
            archive.addfile(member, io.BytesIO(random.Random(0).randbytes(500)))
    return stream.getvalue()


# Damage -------------------------------------------------------------------------------------------


WHOLE = {
    f"{name}.zip": zipped(method, a=bytes(3000), b=os.urandom(300))
    for name, method in METHODS.items()
}
WHOLE |= {f"{mode[2:] or 'plain'}.tar": tarred(mode) for mode in ("w:", "w:gz", "w:bz2", "w:xz")}


@pytest.mark.parametrize("name", WHOLE)
def test_any_damage_of_an_archive_is_told_in_one_way(tmp_path, name):
    rng = random.Random(name)
    path, refused = tmp_path / name, 0
    path.write_bytes(WHOLE[name])
    unpack.unpack(path, tmp_path / "out")
    assert damage(path, name) is None
    for _ in range(120):
        content = bytearray(WHOLE[name])
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.2 else content)
        damage(path, name)  # an exception fails here
        try:
            unpack.unpack(path, tmp_path / "out")
        except WarplineError as error:
            refused += error.where == path
    assert refused > 20


@pytest.mark.parametrize("method", ["bz2", "lzma"])
def test_damaged_members_of_every_method_are_named(tmp_path, method):
    content = bytearray(zipped(METHODS[method], **{"scan.raw": os.urandom(2000)}))
    content[200:220] = bytes(20)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(WarplineError, match=r"corrupt .*'scan\.raw'"):
        unpack.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert "is " in damage(tmp_path / "a.zip", "a.zip")


def test_a_damaged_archive_of_one_source_leaves_the_next(server, tmp_path):
    whole = zipped(METHODS["bz2"], a=os.urandom(2000))
    broken = bytearray(whole)
    broken[200:220] = bytes(20)
    urls = [server.add("/1", content=bytes(broken)), server.add("/2", content=whole)]
    found = fetch(Archive("a.zip", tuple(urls)), tmp_path, progress=False, patience=QUICK)
    assert found.read_bytes() == whole


# Answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("1e3", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_numbers_of_headers(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize("header", ["²", "9" * 25, "-5", "1, 2", "many"])
@pytest.mark.parametrize("name", ["Content-Length", "Retry-After"])
def test_strange_numbers_of_a_server_leave_the_next_source(server, tmp_path, name, header):
    """With Python's isdigit a superscript is a digit, and int() of it an error."""
    statuses = [503] * 9 if name == "Retry-After" else []
    strange = server.add("/1", content=b"abc", headers={name: header}, statuses=statuses)
    good = server.add("/2", content=b"abc")
    archive = Archive("a.txt", (strange, good))
    assert fetch(archive, tmp_path, progress=False, patience=QUICK).read_bytes() == b"abc"


@pytest.mark.parametrize("location", ["http://[", "https://a:b:c/", "//[::1"])
def test_a_redirect_to_no_address_leaves_the_next_source(server, tmp_path, location):
    urls = server.add("/1", location=location), server.add("/2", content=b"abc")
    archive = Archive("a.txt", urls)
    assert fetch(archive, tmp_path, progress=False, patience=QUICK).read_bytes() == b"abc"


def test_a_part_without_its_state_is_not_continued(server, tmp_path):
    """A server that answers with a part that nobody asked for."""
    target = tmp_path / "a.txt"
    Part.of(target).path.write_bytes(b"old")
    partial = {"Content-Range": "bytes 3-5/6"}
    strange = server.add("/1", content=b"abc", statuses=[206] * 9, headers=partial)
    good = server.add("/2", content=b"abcdef")
    archive = Archive("a.txt", (strange, good))
    assert fetch(archive, tmp_path, progress=False, patience=QUICK).read_bytes() == b"abcdef"


def test_an_answer_nested_without_end_is_no_json(server):
    url = server.add("/api", content=b"[" * 100_000)
    with pytest.raises(SourceFailed, match="something else than JSON"):
        read_json(url, "the files", "a", QUICK)


def test_a_file_url_that_is_none():
    with pytest.raises(SourceFailed, match="is not a valid address"):
        file_path("file://[/a")


# Bombs --------------------------------------------------------------------------------------------


def limited(code: str, *arguments: object, memory: int = 1 << 30) -> subprocess.CompletedProcess:
    """Run code in a process of limited memory; it must end within seconds."""
    start = f"import resource, sys\nresource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))\n"
    command = [sys.executable, "-c", start + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


UNPACK = """
    from pathlib import Path
    from warpline.acquire.unpack import unpack
    from warpline.acquire.verify import damage
    from warpline.errors import WarplineError
    path = Path(sys.argv[1])
    print(damage(path, path.name))
    try:
        unpack(path, sys.argv[2])
    except WarplineError as error:
        print(error)
"""


def test_a_zip_of_a_million_members(tmp_path):
    """46 bytes of its list a member: written by hand, as zipfile takes minutes for it."""
    number = 1_000_000
    entry = struct.pack("<4s4B4H3L5H2L", b"PK\1\2", 20, 0, 20, 0, *[0] * 4, *[0] * 3, 1, *[0] * 6)
    names = b"".join(entry + b"a" for _ in range(number))
    zip64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, number, number, len(names), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(names), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    (tmp_path / "a.zip").write_bytes(b"PK\3\4" + names + zip64 + locator + end)
    started = time.monotonic()
    done = limited(UNPACK, tmp_path / "a.zip", tmp_path / "out")
    assert time.monotonic() - started < 30
    assert done.stdout.count(f"a header of {len(names)} bytes is claimed") == 2, done.stderr


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_tar_s_header_of_gigabytes(tmp_path, kind):
    """Of zeros, so that a megabyte holds it: tarfile reads it at once."""
    member = tarfile.TarInfo("a")
    member.type, member.size = kind, 1 << 32
    with gzip.open(tmp_path / "a.tar.gz", "wb", 1) as stream:
        stream.write(member.tobuf())
        stream.write(bytes(1 << 20))
    done = limited(UNPACK, tmp_path / "a.tar.gz", tmp_path / "out")
    assert f"more than {bounded.LARGEST_READ} are not read" in done.stdout, done.stderr


def test_a_gzip_of_zeros_behind_a_tar_s_end(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_BEHIND", 1 << 20)
    content = gzip.compress(gzip.decompress(tarred("w:gz"))) + gzip.compress(bytes(1 << 22))
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(WarplineError, match=f"more than {1 << 20} bytes follow the end"):
        unpack.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_gzip_or_zip_of_zeros_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "LEAST_BOMB", 1 << 20)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(1 << 23)))
    (tmp_path / "a.zip").write_bytes(zipped(a=bytes(1 << 23)))
    for name in ("a.nii.gz", "a.zip"):
        assert f"more than {1 << 20} bytes, far more than any" in damage(tmp_path / name, name)
    # Below the least, and for what is as dense as scans are, nothing is said.
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    (tmp_path / "a.zip").write_bytes(zipped(a=os.urandom(1 << 21)))
    for name in ("a.nii.gz", "a.zip"):
        assert damage(tmp_path / name, name) is None


# Cases --------------------------------------------------------------------------------------------


def own_cases(folder: Path, *names: str) -> list[dict[str, str]]:
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    for name in names:
        write_image(folder / f"{name}.nii.gz", Image(array, Grid(array.shape)))
    return [{"case": name, "patient": name, "image": f"{name}.nii.gz"} for name in names]


def test_a_case_that_fails_as_nothing_foresaw_hides_no_other(tmp_path, monkeypatch):
    rows = own_cases(tmp_path, "a", "b", "c", "d")
    (tmp_path / "d.nii.gz").write_bytes(b"nothing")
    right = batch.canonicalise

    def canonicalise(files, case, *arguments, **keys):
        if case in "bc":
            raise struct.error("unpack requires a buffer of 4 bytes")
        return right(files, case, *arguments, **keys)

    monkeypatch.setattr(batch, "canonicalise", canonicalise)
    with pytest.raises(WarplineError) as error:
        import_batch(tmp_path, told_of(), rows, [], tmp_path / "out")
    text = str(error.value)
    assert "3 of 4 cases are refused" in text
    for case in "bc":
        assert f"The case '{case}' cannot be imported (error: unpack requires" in text
    assert "The image of the case 'd'" in text


def test_a_full_disk_is_no_case_s_fault(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch, "canonicalise", full)
    rows = own_cases(tmp_path, "a")
    with pytest.raises(OSError, match="No space left"):
        import_batch(tmp_path, told_of(), rows, [], tmp_path / "out")


def test_a_file_of_a_case_that_was_changed_since_is_refused(server, tmp_path):
    """Its record beside may be forged too: the digests lie in the results."""
    url = server.add("/a.gz", content=gzip.compress(b"scan"))
    spec = {"file": "a.nii.gz", "sources": [url], "splits": None, "ask": None}
    (path,), digests = fetch_cases({"a": {"scan": spec}}, str(tmp_path / "files"))
    assert list(digests) == ["scan/a.nii.gz"]
    (tmp_path / "digests.json").write_text(json.dumps(digests))
    told = files_of(
        per_case={"scan": spec | {"file": "{case}.nii.gz"}},
        per_case_folder=tmp_path / "files",
        per_case_digests=tmp_path / "digests.json",
    )
    row = {"case": "a", "split": "train"}
    assert fetched(told, "scan", row) == path
    path.write_bytes(gzip.compress(b"another"))
    record = json.loads(verify.record_path(path).read_text())
    verify.write_record(path, verify.digests_of(path, ["sha256"]), record["source"])
    with pytest.raises(WarplineError, match="not the file that was verified") as error:
        fetched(told, "scan", row)
    assert error.value.where == path
