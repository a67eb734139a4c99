"""Files of this machine: copied, never linked, and the room for them on the disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.verify import verified, write_record
from warpline.errors import WarplineError
from warpline.files import atomic_path


def checksums_beside(archive: Archive) -> tuple[str, ...]:
    """What a ``SHA256SUMS`` beside the first source of this machine that has one says.

    So a phantom's archive that is written anew is also fetched anew.
    """
    for source in archive.sources:
        kind, _, rest = source.partition(":")
        try:
            if kind == "file":
                path = file_path(source)
            elif kind == "folder":
                path = Path(rest) / archive.name
            else:
                continue
        except SourceFailed:  # another host's, which `fetch` refuses in its turn
            continue
        sums = path.with_name("SHA256SUMS")
        for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
            digest, _, name = line.partition(" ")
            if name.lstrip(" *") == path.name:
                return (f"sha256:{digest}",)
    return ()


def file_path(source: str) -> Path:
    """The path in a ``file:`` URL; a relative one stays relative to the working directory.

    Raises
    ------
    SourceFailed
        If the URL names another host, or is none.
    """
    try:
        host = urlsplit(source).netloc
    except ValueError as error:
        raise SourceFailed(f"is not a valid address ({error})") from error
    if host not in ("", "localhost"):
        raise SourceFailed(f"names the host '{host}'; write file:///… or file:path")
    return Path(unquote(urlsplit(source).path))


def in_folder(folder: Path, archive: Archive) -> Path:
    """The archive in a folder that the user fills; its absence says where to ask for it."""
    if not (folder / archive.name).exists():
        place = f"ask for it at {archive.ask} and put it" if archive.ask else "put it"
        raise SourceFailed(f"the file is not there yet; {place} into {folder.absolute()}")
    return folder / archive.name


def copy(archive: Archive, source: Path, target: Path) -> None:
    """Copy, verify and name a file.

    A copy and no link: a link would share the original's time and content, so that a change made
    to the original later would pass for the verified file.
    """
    if not source.is_file():
        raise SourceFailed("the file does not exist")
    try:
        with atomic_path(target) as temporary:
            with disk_full(target, source.stat().st_size):
                shutil.copyfile(source, temporary)
            digests = verified(archive, temporary)
    except PermissionError as error:
        raise SourceFailed(f"the file cannot be read ({error.strerror})") from error
    write_record(target, digests, os.fspath(source))


@contextmanager
def disk_full(path: Path, needed: int | None) -> Iterator[None]:
    """Turn a full disk into an error that says so, before writing where that can be foreseen."""
    message = WarplineError(
        "The disk is full" + (f": {needed} bytes more are needed." if needed else "."),
        where=path,
        do="Free some space and start again; what is already downloaded is kept and taken up.",
    )
    if needed is not None and needed > shutil.disk_usage(path.parent).free:
        raise message
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise message from error
        raise
