"""The files that belong to an image's file: its voxels, where they lie apart from its header."""

from __future__ import annotations

import os
import re
from pathlib import Path

LONGEST_HEADER = 1 << 20  # bytes; one that lists a file a slice has some ten thousand
MOST_FILES = 100_000
# A pattern of names, with the first and the last number and the step between: s%03d.raw 1 90 1
PATTERN = re.compile(r"(\S*%\d*d\S*)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?")


def companions(path: str | os.PathLike) -> list[Path]:
    """What is read with an image's file: the voxels of ``.mhd`` and ``.nhdr``, NIfTI's other half.

    Whether these files exist is not looked at. Headers that cannot be read name none.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith((".hdr", ".img")):
            return other_half(path)
        if name.endswith((".mhd", ".mha")):
            return named_by_metaimage(path)
        if name.endswith((".nhdr", ".nrrd")):
            return _named_by_nrrd(path)
    except (OSError, ValueError):
        pass
    return []


def other_half(path: Path) -> list[Path]:
    """The voxels of a NIfTI header, or the header of NIfTI voxels, in whatever capitals; sorted."""
    own = path.name.lower().removesuffix(".gz")
    wanted = own[:-4] + {".hdr": ".img", ".img": ".hdr"}[own[-4:]]
    stem = path.name[: len(own) - 4]
    names = (name for name in os.listdir(path.parent) if name.startswith(stem))
    return sorted(
        path.parent / name for name in names if name.lower().removesuffix(".gz") == wanted
    )


def named_by_metaimage(path: Path) -> list[Path]:
    """The files of voxels that a MetaImage header names; none where they follow it.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or names too many files.
    """
    key, value, rest = _data_entry(path, ("ElementDataFile",), "=")
    return [] if not key or value == "LOCAL" else _listed(path, value, rest)


def _named_by_nrrd(path: Path) -> list[Path]:
    key, value, rest = _data_entry(path, ("data file", "datafile"), ":")
    return _listed(path, value, rest) if key else []


def _data_entry(path: Path, keys: tuple[str, ...], sign: str) -> tuple[str, str, list[str]]:
    """The entry of a header that names its data: key, value and the lines behind; or nothing."""
    with path.open("rb") as stream:
        lines = stream.read(LONGEST_HEADER).split(b"\n")
    for number, line in enumerate(lines):
        key, _, value = line.decode("utf-8", "replace").partition(sign)
        if not key.strip() and sign == ":":
            break  # an empty line ends a NRRD header
        if value.startswith("="):
            continue  # "key:=value" of NRRD is a remark
        if (key.strip().lower() if sign == ":" else key.strip()) in keys:
            rest = [name.decode("utf-8", "replace").strip() for name in lines[number + 1 :]]
            return key.strip(), value.strip(), rest
    return "", "", []


def _listed(path: Path, value: str, rest: list[str]) -> list[Path]:
    """The files of one name, of a pattern of names, or of the list that follows."""
    pattern = PATTERN.fullmatch(value)
    if value.split()[:1] == ["LIST"]:
        names = [name for name in rest if name]
    elif pattern:
        name, first, last, step = pattern[1], *map(int, pattern.groups()[1:4])
        numbers = range(first, last + (1 if step > 0 else -1), step)
        if len(numbers) > MOST_FILES:
            raise ValueError(f"its header names {len(numbers)} files")
        names = [name % number for number in numbers]
    else:
        names = [value] if value else []
    return [path.parent / name for name in names]
