"""Whether a MetaImage file (``.mhd`` with its data beside, ``.mha``) is whole.

ITK's own answer to a data file that ends too early is obscure, and one that is too long it reads
without a word.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path

from warpline.images.memory import check_fits
from warpline.provenance.companions import named_by_metaimage

SUFFIXES = (".mhd", ".mha")
LONGEST_HEADER = 1 << 16  # bytes
GEOMETRY = (
    "ElementSpacing",
    "ElementSize",
    "Offset",
    "Position",
    "Origin",
    "TransformMatrix",
    "Orientation",
    "Rotation",
)
# Bytes of an element; ITK writes the same type under several names.
BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}


def check_complete(path: str | os.PathLike) -> None:
    """Refuse a MetaImage file whose data are not as many bytes as its header says.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the header lacks a key or places the voxels nowhere, a data file is missing or has
        another size, its compressed content is damaged, or its voxels are text.
    WarplineError
        If it would need more memory than there is.
    """
    path = Path(path)
    header, length = _read_header(path)
    try:
        voxels = math.prod(int(number) for number in header["DimSize"].split())
        bytes_each = BYTES[header["ElementType"].removesuffix("_ARRAY")]
        skip = int(header.get("HeaderSize") or 0)
        needed = voxels * bytes_each * int(header.get("ElementNumberOfChannels") or 1)
        file = header["ElementDataFile"]
        _check_geometry(header)
    except (KeyError, ValueError) as error:
        raise OSError(f"its header is not that of a MetaImage: {error}") from error
    if not _yes(header, "BinaryData", default=True):
        raise OSError("its voxels are text, of which ITK reads no more than the first numbers")
    if file.split()[0] == "LIST" or "%" in file:
        _check_list(path, needed, skip)
        return
    local = file == "LOCAL"
    data = path if local else path.parent / file
    if not data.is_file():
        raise FileNotFoundError(f"its data file '{file}' does not exist")
    there = data.stat().st_size
    start = length if local else 0
    if skip == -1:  # "the data are the file's last bytes"
        start = max(there - needed, 0)
    else:
        start += skip
    if _yes(header, "CompressedData", default=False):
        check_fits(needed, [data])  # before all of it is unpacked
        stored = int(header.get("CompressedDataSize") or there - start)
        there, more = _unpacked_size(data, start, stored, needed)
    else:
        there, more = there - start, there - start > needed
    if there < needed:
        raise EOFError(f"'{data.name}' holds {there} bytes of {needed}")
    if more:
        raise OSError(f"'{data.name}' holds more than the {needed} bytes of its header's DimSize")


def _check_geometry(header: dict[str, str]) -> None:
    """ITK takes 0 for what is no number."""
    for key in GEOMETRY:
        for number in header.get(key, "").split():
            if not math.isfinite(float(number)):
                raise ValueError(f"{key} is {header[key]}")


def _check_list(path: Path, needed: int, skip: int) -> None:
    """Data in several files, of equal parts: ITK leaves what no file holds as it finds it."""
    files = named_by_metaimage(path)
    there = 0
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"its data file '{file.name}' does not exist")
        size = file.stat().st_size - max(skip, 0)
        if size * len(files) != needed and skip != -1:
            raise EOFError(f"'{file.name}' holds {size} bytes of {needed / len(files):g}")
        there += min(size, needed // len(files))
    if there != needed:
        raise EOFError(f"its {len(files)} data files hold {there} bytes of {needed}")


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The header's values by key, and its length in bytes; ElementDataFile is its last key."""
    with path.open("rb") as stream:
        text = stream.read(LONGEST_HEADER)
    values, length = {}, 0
    for line in text.splitlines(keepends=True):
        length += len(line)
        key, _, value = line.decode("utf-8", "replace").partition("=")
        values[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            if not value.strip():
                break
            return values, length
    raise EOFError("its header names no ElementDataFile")


def _yes(header: dict[str, str], key: str, default: bool) -> bool:
    return header[key][:1].lower() in ("t", "1") if header.get(key) else default


def _unpacked_size(path: Path, start: int, stored: int, needed: int) -> tuple[int, bool]:
    """Bytes that `stored` compressed bytes hold, counted up to `needed`, and whether it is more.

    ITK reads no more than `stored` bytes, and puts zeros where content is missing. zlib compares
    the content with its checksum at the end of the stream.
    """
    there = 0
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib's own form or gzip's
    with path.open("rb") as stream:
        stream.seek(start)
        while not unpacker.eof:
            piece = unpacker.unconsumed_tail
            if not piece:
                piece = stream.read(min(stored, 1 << 20))
                stored -= len(piece)
            if not piece:
                raise EOFError(f"'{path.name}' ends before its compressed content does")
            there += len(unpacker.decompress(piece, 1 << 22))
            if there > needed:
                return needed, True
    return there, False
