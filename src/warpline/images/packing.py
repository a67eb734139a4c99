"""Files packed by gzip, piece after piece on all threads.

The pieces end at whole bytes and follow one another in one stream of deflate (RFC 1951), so that
every reader of gzip takes it for what any other program packs.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import SimpleITK as sitk

PIECE = 1 << 20  # bytes
SEEN = 1 << 15  # bytes of a piece on which both ways are tried
# Magic, deflate, no name, no time, quickest, made anywhere (RFC 1952): the same bytes every time.
HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
RAW = -15  # zlib's window of 32 KiB, without a head of its own
LEVEL, MEMORY = 2, 9  # of CT level 6 makes 2 to 9 % less, in 2 to 5 times the time
# Mantissas of measured or interpolated numbers never come twice: to look for them costs two
# thirds of the time and gains nothing, so that runs and the frequency of bytes are all there is.
STORED = 0  # its level
RUNS, ANYTHING = zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY
GAIN = 0.97  # of the size, which looking for what comes twice must at least bring


def pack(source: str | os.PathLike, target: str | os.PathLike, worth: float = 1.0) -> None:
    """Write the gzip of a file, which is not empty.

    Parameters
    ----------
    worth
        Pieces that would not be smaller than this part of their size are stored as they are, which
        costs next to nothing.

    Raises
    ------
    OSError
        If a file cannot be read, or written to its end.
    """
    threads = max(1, sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
    with open(source, "rb") as stream, open(target, "wb") as packed:
        size = os.fstat(stream.fileno()).st_size
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            starts = range(0, size, PIECE)
            packed.write(HEAD)
            with ThreadPoolExecutor(threads) as pool:
                jobs = (
                    pool.submit(
                        _packed, content[start : start + PIECE], start + PIECE >= size, worth
                    )
                    for start in starts
                )
                for piece in _in_turn(jobs, 2 * threads):
                    packed.write(piece)
            packed.write(struct.pack("<II", _checksum(content), size & 0xFFFFFFFF))


def _in_turn(jobs: Iterator, ahead: int) -> Iterator[bytes]:
    """Results in the order of the jobs, of which so many are begun before the first is taken."""
    waiting = list(islice(jobs, ahead))
    while waiting:
        yield waiting.pop(0).result()
        waiting += islice(jobs, 1)


def _packed(piece: bytes, last: bool, worth: float) -> bytes:
    """A piece as deflate has it, ending at a whole byte; the `last` one ends the stream."""
    packer = _packer(*_way(piece, worth))
    return packer.compress(piece) + packer.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def _way(piece: bytes, worth: float) -> tuple[int, int]:
    """The level and strategy of a piece, by its middle."""
    start = max(0, (len(piece) - SEEN) // 2)
    part = piece[start : start + SEEN]

    def size(strategy: int) -> int:
        packer = _packer(LEVEL, strategy)
        return len(packer.compress(part)) + len(packer.flush())

    by_runs, by_anything = size(RUNS), size(ANYTHING)
    if min(by_runs, by_anything) >= worth * len(part):
        return STORED, RUNS
    return LEVEL, ANYTHING if by_anything < GAIN * by_runs else RUNS


def _packer(level: int, strategy: int) -> zlib._Compress:
    return zlib.compressobj(level, zlib.DEFLATED, RAW, MEMORY, strategy)


def _checksum(content: mmap.mmap) -> int:
    value = 0
    for start in range(0, len(content), PIECE):
        value = zlib.crc32(content[start : start + PIECE], value)
    return value
