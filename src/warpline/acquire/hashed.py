"""A file whose digest is taken while it is read."""

from __future__ import annotations

import hashlib
import io
import os
from typing import BinaryIO


class Hashed(io.RawIOBase):
    """Read a file in any order; every byte is hashed once, as it is first passed.

    Parameters
    ----------
    stream
        The file at its start, opened for reading without a buffer.
    """

    def __init__(self, stream: BinaryIO):
        self._stream, self._hash, self._passed = stream, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:
        start = self._stream.tell()
        count = self._stream.readinto(buffer)
        new = start + count - self._passed
        if new > 0:
            self._hash.update(memoryview(buffer)[count - new : count])
            self._passed += new
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        place = self._stream.seek(offset, whence)
        if place > self._passed:  # what is jumped over is hashed too
            self._stream.seek(self._passed)
            buffer = bytearray(1 << 20)
            while self._passed < place and self.readinto(buffer):
                pass
            self._stream.seek(place)
        return place

    def digest(self) -> str:
        """Hexadecimal SHA-256 of the whole file."""
        self.seek(0, os.SEEK_END)
        return self._hash.hexdigest()
