"""Unpacking archives that nobody has to trust; files that are none are put in their place."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from warpline.acquire.bounded import CORRUPT, Bounded, is_corrupt, unpacked
from warpline.acquire.hashed import Hashed
from warpline.acquire.names import leads_out
from warpline.acquire.shared import others, owner
from warpline.errors import WarplineError, plain
from warpline.files import atomic_folder

# What some providers offer file by file, told by its name: a page of HTML under the name of an
# archive is still refused.
PLAIN = (
    ".mha",
    ".mhd",
    ".raw",
    ".zraw",
    ".nii",
    ".nii.gz",
    ".nrrd",
    ".txt",
    ".csv",
    ".tsv",
    ".json",
)

# A name too long, or of a file where another member needs a folder, or the other way round.
UNWRITABLE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ)

MOST_MEMBERS = 200_000  # the largest real archive here has a few thousand
MOST_BEHIND = 1 << 26  # bytes behind a tar's end
DEEPEST = 100  # folders inside each other
LONGEST_NAME = 200  # characters of a member's name in a message


def unpack(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    sha256: str | None = None,
    limit: int | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Path:
    """Unpack a zip or tar (plain or compressed) archive; `folder` is complete or absent.

    A file whose name ends as an image or a table (`PLAIN`) is copied into the folder. macOS
    resource files (``._*``, ``__MACOSX``) are left out.

    Parameters
    ----------
    sha256
        What the archive was when it was verified, hexadecimal; it is hashed as it is read.
    limit
        Refuse archives whose files together have more bytes than this; ``None``: than are free
        on the disk.
    wanted
        Says of a file's name in the archive whether to write it; None: everything.

    Raises
    ------
    WarplineError
        If the archive is truncated, corrupt or of another kind, or not what was verified; if a
        member would be written outside the folder, is a link, a device or a pipe, or has a name
        that no file can have;
        if there are more members than `MOST_MEMBERS`; if the disk is or would be full.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with archive.open("rb", buffering=0) as opened, atomic_folder(folder) as temporary:
            hashed = Hashed(opened)
            stream = io.BufferedReader(hashed, 1 << 16)
            is_zip = stream.peek(4)[:4] in (b"PK\x03\x04", b"PK\x05\x06")
            admission = _Admission(archive, limit, shutil.disk_usage(temporary).free, wanted)
            if archive.name.lower().endswith(PLAIN):
                admission.admit(archive.name, os.fstat(opened.fileno()).st_size, "file")
                with (temporary / archive.name).open("wb") as sink:
                    shutil.copyfileobj(stream, sink, 1 << 20)
            else:
                (_unpack_zip if is_zip else _unpack_tar)(archive, stream, temporary, admission)
            if sha256 is not None and hashed.digest() != sha256:
                whose = others(archive.parent) or owner(archive.parent)
                raise WarplineError(
                    "The archive is not the file that was verified: it was changed since.",
                    where=archive,
                    do=f"Delete it and start again, so that it is fetched anew; {whose}.",
                )
    except FileNotFoundError as error:
        if archive.exists():
            raise
        raise WarplineError("The archive does not exist.", where=archive) from error
    except (*CORRUPT, OSError) as error:
        if is_corrupt(error):
            raise WarplineError(
                f"The archive is truncated, corrupt or neither zip nor tar ({error}).",
                where=archive,
                do="Delete the file and start again, so that it is fetched anew; "
                "if that does not help, the source itself is broken.",
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WarplineError(
                "The disk is full.", where=folder, do="Free some space and start again."
            ) from error
        if error.errno not in UNWRITABLE:
            raise
        raise WarplineError(
            f"The archive holds a member that cannot be written ({error.strerror}); nothing of it "
            "was unpacked.",
            where=archive,
            do="Unpack it by hand and give the files as a plain folder.",
        ) from error
    return folder


class _Admission:
    """Decides on every member of one archive."""

    def __init__(
        self, archive: Path, limit: int | None, free: int, wanted: Callable[[str], bool] | None
    ):
        self.archive, self.limit, self.free, self.wanted = archive, limit, free, wanted
        self.members, self.bytes = 0, 0

    def admit(self, name: str, size: int, kind: str) -> bool:
        """Whether to write a member; raises for one that no honest archive holds.

        Parameters
        ----------
        kind
            ``file``, ``folder``, or what else it is.
        """
        self.members += 1
        if self.members > MOST_MEMBERS:
            self._refuse(f"has more than {MOST_MEMBERS} members")
        parts = PurePosixPath(name).parts
        if any(part.startswith("._") or part == "__MACOSX" for part in parts):
            return False
        if kind not in ("file", "folder"):
            self._refuse(f"holds a {kind}, '{_shown(name)}'")
        if leads_out(name):
            self._refuse(f"would write outside its folder: '{_shown(name)}'")
        if len(parts) > DEEPEST:
            self._refuse(f"nests more than {DEEPEST} folders")
        if "\0" in name or (kind == "file" and not parts):
            self._refuse(f"holds a file without a name: '{_shown(name)}'")
        if kind == "file" and self.wanted and not self.wanted(name):
            return False
        self.bytes += size
        if self.limit is not None and self.bytes > self.limit:
            self._refuse(f"unpacks to more than the allowed {self.limit} bytes")
        if self.bytes > self.free:
            raise WarplineError(
                f"The disk would be full: the archive unpacks to more than the {self.free} bytes "
                "that are free; nothing of it was unpacked.",
                where=self.archive,
                do="Free some space and start again; if the archive is far smaller than what it "
                "unpacks to, ask its provider first.",
            )
        return True

    def _refuse(self, what: str) -> None:
        raise WarplineError(
            f"The archive {what}; nothing of it was unpacked.",
            where=self.archive,
            do="Do not use this file: fetch it from its provider again.",
        )


def _shown(name: str) -> str:
    """A member's name in a message."""
    return plain(name[:LONGEST_NAME])


def _unpack_zip(archive: Path, opened: BinaryIO, folder: Path, admission: _Admission) -> None:
    with zipfile.ZipFile(Bounded(opened)) as source:
        for member in source.infolist():
            if not admission.admit(member.filename, member.file_size, _zip_kind(member)):
                continue
            if member.flag_bits & 1:
                raise WarplineError(
                    f"The archive's member '{_shown(member.filename)}' is encrypted.",
                    where=archive,
                    do="Unpack it with its password and give the files as a plain folder.",
                )
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # zipfile stops at the declared size, so that `limit` holds for what is written.
                with source.open(member) as stream, target.open("wb") as sink:
                    shutil.copyfileobj(stream, sink, 1 << 20)
            except (*CORRUPT, OSError) as error:
                if not is_corrupt(error):
                    raise
                raise zipfile.BadZipFile(f"'{_shown(member.filename)}': {error}") from error


def _zip_kind(member: zipfile.ZipInfo) -> str:
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device or pipe"
    return "folder" if member.filename.endswith("/") else "file"


def _unpack_tar(archive: Path, opened: BinaryIO, folder: Path, admission: _Admission) -> None:
    with tarfile.open(archive, "r:", Bounded(unpacked(opened))) as source:
        while (member := source.next()) is not None:
            if admission.admit(member.name, member.size, _tar_kind(member)):
                source.extract(member, folder, filter="data")
            source.members.clear()  # each keeps its headers
        _check_end(source)


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "symbolic link"
    if member.islnk():
        return "hard link"
    if member.isdir():
        return "folder"
    return "file" if member.isfile() else "device or pipe"


def _check_end(source: tarfile.TarFile) -> None:
    """A tar must end with a block of zeros.

    tarfile takes an archive cut between two members, or one with a broken header, for a shorter
    one. Reading on to the end of the stream also checks the checksum of a compressed one.
    """
    source.fileobj.seek(source.offset)
    if source.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("the end is missing")
    behind = 0
    while piece := source.fileobj.read(1 << 20):
        behind += len(piece)
        if behind > MOST_BEHIND:
            raise tarfile.ReadError(f"more than {MOST_BEHIND} bytes follow the end")
