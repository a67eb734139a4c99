"""Writing files so that a half-written one is never taken for a finished one; the project's own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError

PACKAGED = "project"  # the folder within the package that a wheel brings: see setup.py
LONGEST_TEXT = 1 << 26  # bytes; lists of cases and landmarks have some megabytes
NO_FLUSHING = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES)


def project_folder() -> Path:
    """The project that this library belongs to: its checkout, or what the wheel brought."""
    package = Path(__file__).parent
    checkout = package.parents[1]
    return checkout if (checkout / "Snakefile").is_file() else package / PACKAGED


@contextmanager
def atomic_path(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` if the block succeeds.

    The temporary name keeps the target's suffixes, since image writers choose a format by them.
    On any error (a full disk included) the temporary file is removed and `target` is untouched;
    what a killed process left is removed by the next one that writes `target` on that machine.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    suffixes = "".join(target.suffixes[-2:])
    handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=suffixes, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _permit(temporary, 0o666)
        replace_durably(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it replaces `target` if the block succeeds.

    On any error the temporary folder is removed and `target` is as it was. What a killed process
    left is removed by the next one that writes `target` on that machine.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    old = temporary.with_name(f"{temporary.name}.old")
    try:
        yield temporary
        _permit(temporary, 0o777)
        for folder, _, names in os.walk(temporary):
            for name in (*names, "."):
                _flush(Path(folder) / name)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(temporary, target)
            _flush(target.parent)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
    finally:
        for folder in (temporary, old):
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)


def replace_durably(source: Path, target: Path) -> None:
    """Rename a file onto another in its folder: a power cut leaves one of the two, whole."""
    _flush(source)
    os.replace(source, target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's list of names."""
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems know it for files alone.
        if not (path.is_dir() and error.errno in NO_FLUSHING):
            raise
    finally:
        os.close(handle)


def _prefix(target: Path, process: str | None = None) -> str:
    """How the names of temporary files for `target` begin: with the machine and the process."""
    return f".{target.name}.{platform.node()}-{process or os.getpid()}-"


def _remove_abandoned(target: Path) -> None:
    """Remove temporary files for `target` whose process, on this machine, has ended."""
    pattern = re.compile(re.escape(_prefix(target, "@")).replace("@", r"(\d+)"))
    for name in os.listdir(target.parent):
        match = pattern.match(name)
        if not match or _runs(int(match[1])):
            continue
        path = target.parent / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _permit(path: Path, mode: int) -> None:
    """Give a temporary file or folder the permissions that a plain new one would have."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, mode & ~umask)


def read_list(path: Path | zipfile.Path, errors: str = "strict") -> str:
    """The text of a list that somebody else wrote, in UTF-8; a member of a zip is one too.

    Raises
    ------
    WarplineError
        If it has more than `LONGEST_TEXT` bytes: what is far longer would fill the memory.
    UnicodeDecodeError
        If it is no text, unless `errors` says otherwise.
    """
    with path.open("rb") as stream:
        content = stream.read(LONGEST_TEXT + 1)
    if len(content) > LONGEST_TEXT:
        raise WarplineError(
            f"The file has more than {LONGEST_TEXT} bytes: it is no list of cases or landmarks.",
            where=path,
            do="Fetch the file again, or take it away.",
        )
    return content.decode("utf-8-sig", errors)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write `text` to `target` atomically, as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike, value: Any) -> None:
    """Write `value` to `target` atomically, as indented JSON."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def checksum(path: str | os.PathLike, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's content (`algorithm`: any name hashlib knows)."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
