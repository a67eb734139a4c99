"""NIfTI files as they are stored: what their headers say, and their voxels to the last byte.

ITK reads a truncated file without a word, puts 0 in the place of a voxel that is no finite number,
and takes 1 mm for a spacing of 0.
"""

from __future__ import annotations

import gzip
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from warpline.provenance.companions import other_half

log = logging.getLogger(__name__)

PIECE = 1 << 20
SLACK = 1 << 26  # bytes of anything that may follow the voxels
FURTHEST = 1 << 28  # byte at which voxels may begin: extensions of headers have some megabytes
HEADER_SIZE = 348
SECOND_SIZE = 540  # of a NIfTI-2 header
NIFTI_2 = (SECOND_SIZE, 0x1C020000)  # what it begins with, in either order of bytes
# The magic of one file, and of two.
SINGLE, PAIR = (b"n+1", b"n+2"), (b"ni1", b"ni2")
SPACING_TOLERANCE = 1e-3  # relative; headers hold float32
TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    32: "c8",
    64: "f8",
    128: "V3",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
    1792: "c16",
    2304: "V4",
}


@dataclass(frozen=True)
class Stored:
    """Where and how a file's voxels are stored.

    Attributes
    ----------
    path
        The file that holds them; `offset`: from which byte on.
    shape
        Along x, y, z and further axes.
    scale
        Slope and intercept from stored values to the image's.
    header
        All the header's fields.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: tuple[float, float]
    header: Any

    @property
    def is_second(self) -> bool:
        """Whether it is a NIfTI-2 file."""
        return int(self.header["sizeof_hdr"]) == SECOND_SIZE

    @property
    def is_plain(self) -> bool:
        """Whether the stored values are those of a volume, one number a voxel."""
        return len(self.shape) == 3 and self.dtype.kind in "iuf" and self.scale == (1.0, 0.0)


def is_nifti(name: str) -> bool:
    """Whether a file's name is that of a NIfTI file, or of half of one, in whatever capitals."""
    return name.lower().removesuffix(".gz").endswith((".nii", ".hdr", ".img"))


def is_analyze(header: Any) -> bool:
    """Whether a header has no magic: what NIfTI adds is something else there."""
    return bytes(header["magic"]) not in (*SINGLE, *PAIR)


def read_header(path: Path) -> Stored:
    """What a NIfTI-1, NIfTI-2 or Analyze header says of its voxels.

    Raises
    ------
    OSError, EOFError, zlib.error
        If it cannot be read, contradicts itself or is of another kind.
    """
    head, data = _halves(path)
    header, second = _header(head)
    size = SECOND_SIZE if second else HEADER_SIZE
    magic = bytes(header["magic"])
    if header["sizeof_hdr"] != size or (head == data) != (magic in SINGLE):
        raise OSError("its header is not that of a NIfTI file")
    axes, code = int(header["dim"][0]), int(header["datatype"])
    shape = tuple(map(int, header["dim"][1 : axes + 1]))
    if not 1 <= axes <= 7 or min(shape) < 1:
        raise OSError(f"its header claims the size {' × '.join(map(str, shape)) or axes}")
    if code not in TYPES:
        raise OSError(f"its header names an unknown type of voxels ({code})")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    offset = float(header["vox_offset"])
    least = size + 4 if head == data else 0
    if not (least <= offset <= FURTHEST and offset.is_integer()):
        raise OSError(f"its header puts the voxels at byte {offset:g}")
    dtype = np.dtype(TYPES[code]).newbyteorder(header["dim"].dtype.byteorder)
    slope, intercept = map(float, (header["scl_slope"], header["scl_inter"]))
    unscaled = slope == 0 or math.isnan(slope) or is_analyze(header)
    scale = (1.0, 0.0) if unscaled else (slope, intercept)
    if not all(map(math.isfinite, scale)):
        raise OSError(f"its header scales voxels by {slope:g} and {intercept:g}")
    return Stored(data, int(offset), shape, dtype, scale, header)


def _header(path: Path) -> tuple[Any, bool]:
    """All fields of a header in its own order of bytes, and whether it is of NIfTI-2."""
    with unpacked(path) as stream:
        block = stream.read(SECOND_SIZE)
    second = int.from_bytes(block[:4], "little") in NIFTI_2
    size = SECOND_SIZE if second else HEADER_SIZE
    if len(block) < size:
        raise EOFError(f"it has no whole header: {len(block)} bytes of {size}")
    # Here: who reads no NIfTI file does not wait for it.
    if second:
        from nibabel.nifti2 import header_dtype
    else:
        from nibabel.nifti1 import header_dtype

    header = np.frombuffer(block[:size], header_dtype, 1)
    if header["sizeof_hdr"][0] != size:
        header = header.view(header_dtype.newbyteorder())
    return header[0], second


def whole_size(stored: Stored) -> int:
    """How many bytes the file of one that is not packed has."""
    return stored.offset + math.prod(stored.shape) * stored.dtype.itemsize


def read_plain(stored: Stored) -> np.ndarray:
    """The array (z, y, x) of a plain volume, in one pass that also checks it to its last byte.

    Raises
    ------
    EOFError, OSError, zlib.error
        If the file is incomplete, or its compressed content is damaged.
    """
    array = np.empty(stored.shape[::-1], stored.dtype)
    target, filled = memoryview(array.view(np.uint8).reshape(-1)), 0
    for piece in _pieces(stored):
        target[filled : filled + len(piece)] = piece
        filled += len(piece)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def read_not_finite(stored: Stored) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the voxels that are no finite numbers; checks the file to its last byte.

    Returns
    -------
    places, values
        Places count with x fastest, the components of vectors slowest.

    Raises
    ------
    EOFError, OSError, zlib.error
        If the file is incomplete, or its compressed content is damaged.
    """
    places, values, before, rest = [], [], 0, b""
    for piece in _pieces(stored):
        if stored.dtype.kind != "f":
            continue
        content = rest + piece
        whole = len(content) - len(content) % stored.dtype.itemsize
        found = np.frombuffer(content[:whole], stored.dtype)
        bad = np.flatnonzero(~np.isfinite(found))
        places.append(bad + before)
        values.append(found[bad].astype(np.float64))
        before, rest = before + len(found), content[whole:]
    if not places:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(places), np.concatenate(values)


def spacing_of(stored: Stored, path: Path) -> tuple[float, float, float] | None:
    """The spacing along x, y and z in mm, where ITK would take another one; None where it does not.

    Where only the sform places the voxels, its columns are the spacing (NIfTI-1's method 3).

    Raises
    ------
    OSError
        If the header's geometry holds something that is no number, or no spacing.
    """
    header, analyze = stored.header, is_analyze(stored.header)
    if analyze:
        log.warning("%s: an Analyze file does not say where left and right are", path)
    pixdim = np.abs(header["pixdim"][1:4].astype(float))
    said = bool((header["pixdim"][1:4] > 0).all() and np.isfinite(pixdim).all())
    sform, qform = (not analyze and header[f"{one}form_code"] > 0 for one in "sq")
    if qform:
        fields = [header[f"{name}"] for name in ("quatern_b", "quatern_c", "quatern_d")]
        fields += [header[f"qoffset_{axis}"] for axis in "xyz"]
        _check_numbers("qform", fields)
    if not sform:
        if not said:
            numbers = ", ".join(f"{value:g}" for value in header["pixdim"][1:4])
            raise OSError(f"its header has the spacing ({numbers}) mm, and no sform says another")
        return None
    rows = np.array([header[f"srow_{axis}"] for axis in "xyz"], dtype=float)
    _check_numbers("sform", rows)
    columns = np.linalg.norm(rows[:, :3], axis=0)
    if said and (qform or np.allclose(columns, pixdim, rtol=SPACING_TOLERANCE, atol=0)):
        return None
    if not (columns > 0).all():
        raise OSError("its sform has a spacing of 0 mm")
    axes = rows[:, :3] / columns
    if not np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=SPACING_TOLERANCE):
        raise OSError("its spacing is not that of its sform, whose axes are no right angles")
    spacing = tuple(map(float, columns))
    log.warning(
        "%s: the header's spacing (%s) mm is not that of its sform, which is taken: (%s) mm",
        path,
        ", ".join(f"{value:g}" for value in header["pixdim"][1:4]),
        ", ".join(f"{value:g}" for value in spacing),
    )
    return spacing


def _check_numbers(what: str, values: Any) -> None:
    if not np.isfinite(np.asarray(values, dtype=float)).all():
        raise OSError(f"its {what}, which places the voxels, holds something that is no number")


def _halves(path: Path) -> tuple[Path, Path]:
    """The files of the header and of the voxels; one and the same for ``.nii``."""
    kind = path.name.lower().removesuffix(".gz")[-4:]
    if kind == ".nii":
        return path, path
    others = other_half(path)
    if len(others) != 1:
        found = ", ".join(one.name for one in others) or "is not there"
        raise FileNotFoundError(f"its other half, .hdr or .img: {found}")
    return (path, others[0]) if kind == ".hdr" else (others[0], path)


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, whatever its name says."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def misnamed(path: Path) -> bool:
    """Whether a file is gzip and its name does not say so, or the other way round."""
    return is_packed(path) != path.name.lower().endswith(".gz")


def unpacked(path: Path) -> BinaryIO:
    """A file's content, compressed or not."""
    return gzip.open(path) if is_packed(path) else path.open("rb")


def _pieces(stored: Stored) -> Iterator[bytes]:
    """The bytes of the voxels; at their end the rest of the file is read too."""
    needed = math.prod(stored.shape) * stored.dtype.itemsize
    with unpacked(stored.path) as stream:
        there, left = len(stream.read(stored.offset)), needed
        while left and (piece := stream.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
        more = 0
        # A compressed file's checksum comes last.
        while isinstance(stream, gzip.GzipFile) and (piece := stream.read(PIECE)):
            more += len(piece)
            if more > SLACK:
                raise OSError(f"more than {SLACK} bytes follow its voxels")
    if left:
        there += needed - left
        raise EOFError(f"the file holds {there} bytes of {stored.offset + needed}")
