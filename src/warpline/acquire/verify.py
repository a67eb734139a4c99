"""Whether a file is what its archive says, and the record that it is."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.bounded import CORRUPT, Bounded, is_corrupt
from warpline.acquire.excerpt import excerpt
from warpline.acquire.shared import others
from warpline.files import write_json

log = logging.getLogger(__name__)

IN_PLACE = "found in place"  # the source of a file that nobody here has fetched
MEMBER_SUMS = "md5hashes.csv"  # in zips of The Cancer Imaging Archive: a header, then name and MD5
LEAST_BOMB = 1 << 32  # bytes: less is read to its end, whatever it comes from
BOMB = 100  # times its size: what a file may unpack to beyond that; scans reach 5, label maps 500
LARGEST_SUMS = 1 << 24  # bytes: a longer list of sums is none


def digests_of(path: Path, algorithms: Iterable[str]) -> dict[str, str]:
    """Hexadecimal digests of a file, in one pass."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            for value in hashes.values():
                value.update(chunk)
    return {name: value.hexdigest() for name, value in hashes.items()}


def mismatch(archive: Archive, size: int, digests: Mapping[str, str]) -> str | None:
    """What is wrong with a file of this size and these digests; None if nothing."""
    if archive.size is not None and size != archive.size:
        return f"has {size} bytes instead of {archive.size}"
    if archive.checksums and not any(
        digests.get(name) == value.lower()
        for name, _, value in (checksum.partition(":") for checksum in archive.checksums)
    ):
        algorithms = dict.fromkeys(checksum.partition(":")[0] for checksum in archive.checksums)
        found = ", ".join(f"{name}:{digests.get(name)}" for name in algorithms)
        return f"has the checksum {found} instead of {' or '.join(archive.checksums)}"
    return None


def verified(archive: Archive, path: Path) -> dict[str, str]:
    """Digests of a file that is what the archive says; raises `SourceFailed` if it is not."""
    wanted = {"sha256", *(checksum.partition(":")[0] for checksum in archive.checksums)}
    digests = digests_of(path, sorted(wanted))
    problem = mismatch(archive, path.stat().st_size, digests)
    if problem:
        raise SourceFailed(f"the file {problem}")
    if not archive.checksums:
        log.warning(
            "%s: no checksum is configured, so the file is taken as it came; it has sha256:%s",
            archive.name,
            digests["sha256"],
        )
    return digests


def received(archive: Archive, path: Path) -> dict[str, str]:
    """`verified` of what a server sent; without a checksum it must at least be whole."""
    problem = None if archive.checksums else damage(path, archive.name)
    if problem:
        raise SourceFailed(f"the file {problem}")
    return verified(archive, path)


def damage(path: Path, name: str) -> str | None:
    """Why a file cannot be the whole zip or gzip file that its name promises; None if it can."""
    try:
        if name.lower().endswith(".zip"):
            with path.open("rb") as stream, zipfile.ZipFile(Bounded(stream)) as archive:
                return _damaged_member(archive, path.stat().st_size)
        if name.lower().endswith(".gz"):
            return _damaged_gzip(path)
    except (*CORRUPT, OSError) as error:
        if not is_corrupt(error):
            raise
        with path.open("rb") as stream:
            said = excerpt(stream.read(1 << 14))
        return f"is no whole {name.rpartition('.')[2]} file ({error}){said}"
    return None


def _damaged_gzip(path: Path) -> str | None:
    size, there = path.stat().st_size, 0
    with gzip.open(path) as stream:
        while piece := stream.read(1 << 20):
            there += len(piece)
            if _is_bomb(there, size):
                return f"unpacks to more than {LEAST_BOMB} bytes, far more than any scan of {size}"
    return None


def _is_bomb(unpacked: int, packed: int) -> bool:
    """Whether what is unpacked is so much more than what it comes from as no scan is."""
    return unpacked > max(LEAST_BOMB, BOMB * packed)


def _damaged_member(archive: zipfile.ZipFile, size: int) -> str | None:
    """What is wrong with a zip's members, by their own sums and by a list of them inside."""
    if _is_bomb(sum(member.file_size for member in archive.infolist()), size):
        return f"claims to hold more than {LEAST_BOMB} bytes, far more than any of {size} does"
    if any(member.flag_bits & 1 for member in archive.infolist()):
        return None  # encrypted: whoever unpacks it will say so
    bad = archive.testzip()
    if bad is not None:
        return f"is damaged at its member '{bad}'"
    names = archive.namelist()
    if MEMBER_SUMS not in names:
        return None
    if archive.getinfo(MEMBER_SUMS).file_size > LARGEST_SUMS:
        return f"has an {MEMBER_SUMS} of more than {LARGEST_SUMS} bytes"
    rows = csv.reader(io.StringIO(archive.read(MEMBER_SUMS).decode("utf-8", "replace")))
    for name, *rest in list(rows)[1:]:
        if name not in names:
            return f"lacks its member '{name}', which its {MEMBER_SUMS} lists"
        with archive.open(name) as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
        if [value.strip().lower() for value in rest[:1]] != [found]:
            return f"has another member '{name}' than its {MEMBER_SUMS} says"
    return None


def source_of(target: str | os.PathLike) -> dict[str, Any]:
    """What is known of a file that `fetch` has verified: its name, digests, size and source."""
    target = Path(target)
    known = json.loads(record_path(target).read_text(encoding="utf-8"))
    return {"name": target.name, **{key: known[key] for key in known if key != "mtime_ns"}}


def record_path(target: Path) -> Path:
    """Where the digests of a verified file are kept."""
    return target.with_name(f"{target.name}.checksums.json")


def write_record(target: Path, digests: Mapping[str, str], source: str) -> None:
    """Keep the digests of a verified file, with its size and time, and where it came from."""
    stat = target.stat()
    write_json(
        record_path(target),
        {**digests, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "source": source},
    )


def existing_problem(archive: Archive, target: Path) -> str | None:
    """Why a file that is there cannot be taken; None if it can.

    The record spares hashing a large file again, but only while size and time are as recorded, and
    where nobody else could have written it.
    """
    stat, strangers = target.stat(), others(target.parent)
    record = None
    try:
        found = json.loads(record_path(target).read_text(encoding="utf-8"))
        known = (found["size"], found["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
        if known and mismatch(archive, stat.st_size, found) is None:
            record = found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or one that cannot be read: the file itself decides
    if record and strangers is None:
        return None
    if record:
        log.warning("%s: %s; it is hashed again, whatever its record says", target, strangers)
    try:
        digests = verified(archive, target)
    except SourceFailed as error:
        return str(error)
    if not record or any(record.get(name) != value for name, value in digests.items()):
        write_record(target, digests, IN_PLACE)
    return None
