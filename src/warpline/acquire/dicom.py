"""CT series of DICOM files: one volume, placed and ordered by what the headers say."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.memory import check_memory

MODALITY, SERIES = "0008|0060", "0020|000e"
POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
SAME_DIRECTION = 1e-3  # of direction cosines
SAME_PLACE = 0.05  # of the distance between slices; of a pixel, across them
BYTES = 2  # of a voxel, at least
MAGIC = b"DICM"  # after 128 bytes of every DICOM file


@dataclass(frozen=True)
class _Slice:
    """What the header of one file says; `spacing` is (x, y) in mm, `size` (x, y) in pixels."""

    path: Path
    series: str
    modality: str
    position: np.ndarray
    orientation: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]


def read_series(
    folder: str | os.PathLike,
    case: str,
    *,
    modalities: tuple[str, ...] | None = ("CT",),
    told: str | os.PathLike | None = None,
) -> Image:
    """The one series in a folder, a CT's in HU; files that are no DICOM are passed over.

    Slices are ordered along their normal by their position, whatever the names and numbers of the
    files: x and y run as the headers say, z along the cross product of the two.

    Parameters
    ----------
    case
        Named in errors.
    modalities
        Those that it may have; None for any.
    told
        What errors name in the place of the folder, such as the archive that it came in.

    Raises
    ------
    WarplineError
        If there is no DICOM file, one cannot be read or has no position; if the files are of
        several series or no CT; if slices differ in orientation, size or pixel spacing; if one is
        missing or there twice, or they are not stacked along their normal; if the volume needs more
        memory than there is.
    """
    try:
        return _read(Path(folder), case, modalities)
    except WarplineError as error:
        if told is None:
            raise
        inside = str(error.where).removeprefix(str(folder)).strip("/")
        where = f"{told}, {inside}" if inside else told
        raise WarplineError(error.what, where=where, do=error.do) from error


def _read(folder: Path, case: str, modalities: tuple[str, ...] | None) -> Image:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and _is_dicom(path))
    slices = [_read_header(path, case) for path in paths]
    if len(slices) < 2:
        raise _refusal(case, f"has {len(slices)} DICOM files, which make no volume", folder)
    _check_alike(slices, case, folder, modalities)
    check_memory(len(slices) * math.prod(slices[0].size) * BYTES, folder)
    rows = slices[0].orientation
    normal = np.cross(rows[:3], rows[3:])
    slices.sort(key=lambda one: float(one.position @ normal))
    distance = _distance(slices, normal, case, folder)
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([os.fspath(one.path) for one in slices])
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise _refusal(case, f"cannot be read ({reason})", folder) from error
    direction = np.stack([rows[:3], rows[3:], normal], axis=1)
    grid = Grid(
        shape=tuple(array.shape),
        spacing=(*slices[0].spacing, distance),
        origin=tuple(map(float, slices[0].position)),
        direction=tuple(map(float, direction.ravel())),
    )
    return Image(array, grid)


def _refusal(case: str, what: str, where: Path, do: str | None = None) -> WarplineError:
    return WarplineError(
        f"The DICOM series of the case '{case}' {what}.",
        where=where,
        do=do
        or "Fetch the series again; if that does not help, take the case out of the case sheet.",
    )


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == MAGIC


def _read_header(path: Path, case: str) -> _Slice:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(os.fspath(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise _refusal(case, f"has a file that cannot be read ({reason})", path) from error

    def text(key: str) -> str:
        return reader.GetMetaData(key).strip(" \0") if reader.HasMetaDataKey(key) else ""

    def numbers(key: str, count: int, name: str) -> np.ndarray:
        try:
            found = [float(part) for part in text(key).split("\\")]
        except ValueError:
            found = []
        if len(found) != count or not all(map(math.isfinite, found)):
            raise _refusal(case, f"has a file without {name} ({text(key) or 'none'})", path)
        return np.array(found)

    size = reader.GetSize()
    if math.prod(size[2:]) != 1:
        raise _refusal(case, f"has a file of {math.prod(size[2:])} frames, not of one slice", path)
    orientation = numbers(ORIENTATION, 6, "an orientation")
    lengths = np.linalg.norm(orientation.reshape(2, 3), axis=1)
    if (abs(lengths - 1) > SAME_DIRECTION).any() or (
        abs(orientation[:3] @ orientation[3:]) > SAME_DIRECTION
    ):
        raise _refusal(case, f"has a file whose axes are no right angle ({orientation})", path)
    between_rows, between_columns = numbers(PIXEL_SPACING, 2, "a pixel spacing")
    return _Slice(
        path=path,
        series=text(SERIES),
        modality=text(MODALITY),
        position=numbers(POSITION, 3, "a position"),
        orientation=orientation / np.repeat(lengths, 3),
        spacing=(float(between_columns), float(between_rows)),
        size=tuple(size[:2]),
    )


def _check_alike(
    slices: list[_Slice], case: str, folder: Path, wanted: tuple[str, ...] | None
) -> None:
    """Refuse files of several series, of something else than CT, or of several geometries."""

    def counted(values: list) -> str:
        return ", ".join(f"{value or 'none'} ({n} files)" for value, n in Counter(values).items())

    series = [one.series for one in slices]
    if len(set(series)) > 1:
        raise _refusal(
            case,
            f"is mixed with others: {counted(series)}",
            folder,
            "Put each series into a folder of its own, and name the one that is meant.",
        )
    modalities = [one.modality for one in slices]
    if wanted is not None and not set(modalities) <= set(wanted):
        raise _refusal(
            case, f"is no {' or '.join(wanted)}, but of modality {counted(modalities)}", folder
        )
    first = slices[0]
    for one in slices[1:]:
        different = {
            "orientation": not np.allclose(one.orientation, first.orientation, atol=SAME_DIRECTION),
            "size": one.size != first.size,
            "pixel spacing": not np.allclose(one.spacing, first.spacing, rtol=SAME_DIRECTION),
        }
        for name, differs in different.items():
            if differs:
                key = name.rpartition(" ")[2]
                values = f"{getattr(first, key)} and {getattr(one, key)}"
                raise _refusal(case, f"has slices of several kinds of {name}: {values}", one.path)


def _distance(slices: list[_Slice], normal: np.ndarray, case: str, folder: Path) -> float:
    """Millimetres between slices in order, refused if one is missing or they are not in line."""
    positions = np.array([one.position for one in slices])
    along = positions @ normal
    steps = np.diff(along)
    usual = float(np.median(steps))
    twice = np.flatnonzero(steps <= SAME_PLACE * max(usual, 0))
    if usual <= 0 or twice.size:
        first = int(twice[0]) if twice.size else 0
        names = f"{slices[first].path.name} and {slices[first + 1].path.name}"
        raise _refusal(case, f"has two slices in one place: {names}", folder)
    odd = np.flatnonzero(abs(steps - usual) > SAME_PLACE * usual)
    if odd.size:
        first = int(odd[0])
        missing = [round(step / usual) - 1 for step in steps[odd]]
        what = f"misses {sum(missing)} slices" if min(missing) > 0 else "has uneven slices"
        raise _refusal(
            case,
            f"{what}: {slices[first].path.name} and {slices[first + 1].path.name} are "
            f"{steps[first]:g} mm apart, others {usual:g} mm",
            folder,
            "Export the whole series again; of one with uneven slices make an even volume, for "
            "instance by dcm2niix.",
        )
    aside = positions - along[:, None] * normal
    drift = float(np.abs(aside - aside[0]).max())
    if drift > SAME_PLACE * min(slices[0].spacing):
        raise _refusal(
            case,
            f"is not stacked along its normal: slices lie up to {drift:g} mm aside",
            folder,
            "The gantry was tilted, most likely: undo it (dcm2niix does), and give the NIfTI file.",
        )
    return float(along[-1] - along[0]) / (len(slices) - 1)
