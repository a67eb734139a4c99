"""Plain NIfTI volumes read in one pass that also checks them to their last byte.

ITK reads a truncated file without a word, so that its volumes need a second pass over the file.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

PIECE = 1 << 20


def read_plain(path: Path) -> np.ndarray | None:
    """The array (z, y, x) of a three-dimensional NIfTI file without a scale.

    Returns
    -------
    ndarray or None
        None for any other file, readable or not.

    Raises
    ------
    EOFError, zlib.error, gzip.BadGzipFile
        If the file is incomplete, or its compressed content is damaged.
    """
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    import nibabel

    try:
        stored = nibabel.load(path).dataobj
    except (nibabel.filebasedimages.ImageFileError, ValueError, EOFError, OSError, zlib.error):
        return None
    dtype = stored.dtype
    scaled = (stored.slope, stored.inter) != (1.0, 0.0)
    if len(stored.shape) != 3 or dtype.kind not in "iuf" or scaled:
        return None
    array = np.empty(stored.shape[::-1], dtype)
    _fill(path, int(stored.offset), memoryview(array.view(np.uint8).reshape(-1)))
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _fill(path: Path, offset: int, target: memoryview) -> None:
    """Copy a file's unpacked content from `offset` on, and read it to its end."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        there = len(stream.read(offset))
        filled = 0
        while count := stream.readinto(target[filled : filled + PIECE]):
            filled += count
        there += filled
        # A compressed file's checksum comes last.
        while packed and (piece := stream.read(PIECE)):
            there += len(piece)
    if filled < len(target):
        raise EOFError(f"the file holds {there} bytes of {offset + len(target)}")
