"""Archives opened so that no header can fill the memory, and whatever damages them is told."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from typing import BinaryIO

LARGEST_READ = 1 << 24  # bytes: a zip's list of 100 000 members has fewer, other headers far fewer

# What Python's readers of archives raise for damaged ones; zipfile and bz2 also an OSError without
# a number, and what they meet in a damaged header.
CORRUPT = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    csv.Error,
    struct.error,
    NotImplementedError,
    ValueError,  # UnicodeError is one
    OverflowError,
    IndexError,
    KeyError,
    RecursionError,
)


def is_corrupt(error: BaseException) -> bool:
    """Whether an error tells of a damaged archive, not of this machine."""
    return isinstance(error, CORRUPT) or (isinstance(error, OSError) and error.errno is None)


class Bounded(io.RawIOBase):
    """A stream that refuses to read more than `LARGEST_READ` bytes at once.

    zipfile reads its list of members at once, tarfile an extended header: of the sizes that the
    archive claims. Contents are read in pieces.
    """

    def __init__(self, stream: BinaryIO):
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > LARGEST_READ:
            raise zipfile.BadZipFile(
                f"a header of {size} bytes is claimed; more than {LARGEST_READ} are not read"
            )
        if size >= 0:
            return self._stream.read(size)
        content = self._stream.read(LARGEST_READ + 1)
        if len(content) > LARGEST_READ:
            raise zipfile.BadZipFile(f"a header has more than {LARGEST_READ} bytes")
        return content

    def readinto(self, buffer: memoryview) -> int:
        return self._stream.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            # An OSError still: zipfile looks by one for what an archive may lack.
            raise OSError(f"a header points to byte {offset}") from error

    def tell(self) -> int:
        return self._stream.tell()


def unpacked(stream: BinaryIO) -> BinaryIO:
    """A tar's stream, whatever packs it, by its first bytes."""
    head = stream.read(6)
    stream.seek(0)
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=stream)
    if head[:3] == b"BZh":
        return bz2.BZ2File(stream)
    if head == b"\xfd7zXZ\x00" or head[:3] == b"\x5d\x00\x00":
        return lzma.LZMAFile(stream)
    return stream
