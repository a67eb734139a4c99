"""DIR-Lab's 4D-CT and COPDgene cases: raw volumes and lists of landmarks, in zips or unpacked.

Two phases of a patient are two cases. The case sheet's ``image`` and ``landmarks`` are patterns of
file names: copies differ in suffixes, capitals and folders, so a file is looked for by its name
alone, whatever the case of its letters, in the folder and then in the zips in it. Size and spacing
are in no file; they stand under ``scans`` in the dataset file.

A volume is 16-bit, little-endian, x fastest, from the right, front and top of the patient on:
indices grow to the left, the back and the feet. Landmarks are indices that count from 1.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warpline.acquire.bounded import CORRUPT, Bounded, is_corrupt
from warpline.acquire.dataset import DatasetFiles, Scan
from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError
from warpline.files import read_list
from warpline.images.grid import Grid, Image

if TYPE_CHECKING:
    import pandas as pd

OFFSET = 1024  # a stored value is HU + 1024
UNSEEN = -500  # stored values below are no tissue: -2000 is common outside the field of view
OUTSIDE = -2048  # HU that voxels outside the field of view get
# Of DIR-Lab's frame, in LPS: the third index grows towards the feet.
DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
TOLERANCE = 0.05  # mm: lists of the initial errors differ in the last digit


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    With the second of a patient's cases the mean distance of their landmarks is printed; it must
    be the published one, unless the data are a phantom's.

    Raises
    ------
    WarplineError
        If a file is missing or stands in several places; if the volume has another size than the
        table's; if the patient's landmarks do not correspond, lie outside the volume, or are not
        as far apart as published.
    """
    grid = scan_grid(dataset.scans, case["patient"])
    image, landmarks = _find(folder, dataset, case, ("image", "landmarks"))
    _check_size(image, grid, case)
    _check_initial_error(folder, dataset, case, landmarks, grid)
    read = partial(read_scan, image, landmarks, grid, case["case"])
    return CaseFiles(image=image, landmarks=landmarks, read=read)


def scan_grid(scans: Mapping[str, Scan], patient: str) -> Grid:
    """The grid of a patient's volumes in DIR-Lab's own frame; the first voxel is at 0 mm.

    Raises
    ------
    WarplineError
        If ``scans`` of the dataset file does not have the patient.
    """
    if patient not in scans:
        raise WarplineError(
            f"The size and spacing of the patient '{patient}' are not known: the files do not hold "
            "them.",
            where="key 'scans' of the dataset file",
            do=f"Add {patient}: {{size: [x, y, z], spacing: [x, y, z]}}.",
        )
    scan = scans[patient]
    return Grid(scan.size[::-1], scan.spacing, direction=DIRECTION)


def read_scan(
    image: Path | zipfile.Path, landmarks: Path | zipfile.Path, grid: Grid, case: str
) -> tuple[Image, pd.DataFrame]:
    """A volume in HU and its landmarks ``id, x, y, z`` in mm, LPS.

    Empty slices at the ends are cut off. What lies outside the field of view becomes −2048 HU.

    Raises
    ------
    WarplineError
        If a file cannot be read, the volume is empty, or a landmark lies outside what is left.
    """
    import pandas as pd

    stored = np.frombuffer(_content(image, lambda path: path.read_bytes()), dtype="<i2").reshape(
        grid.shape
    )
    filled = np.flatnonzero([bool((plane > 0).any()) for plane in stored])
    if not filled.size:
        raise WarplineError(
            f"The volume of the case '{case}' is empty: no stored value is above 0.",
            where=image,
            do="Fetch the file again.",
        )
    first, last = int(filled[0]), int(filled[-1])
    stored = stored[first : last + 1]
    hu = np.where(stored < UNSEEN, np.int16(OUTSIDE), stored - np.int16(OFFSET))
    index = read_indices(landmarks, grid, case)
    cut_off = (index[:, 0] < first) | (index[:, 0] > last)
    if cut_off.any():
        raise WarplineError(
            f"The landmark {1 + int(np.argmax(cut_off))} of the case '{case}' lies in an empty "
            f"slice: the slices {first + 1} to {last + 1} of {grid.shape[0]} are filled.",
            where=landmarks,
            do="Check that the landmarks belong to this volume, and fetch both again.",
        )
    points = pd.DataFrame(grid.index_to_physical(index), columns=["x", "y", "z"])
    points.insert(0, "id", [str(number) for number in range(1, len(points) + 1)])
    kept = Grid(
        hu.shape,
        grid.spacing,
        tuple(map(float, grid.index_to_physical(np.array([first, 0, 0])))),
        grid.direction,
    )
    return Image(hu, kept), points


def read_indices(path: Path | zipfile.Path, grid: Grid, case: str) -> np.ndarray:
    """Landmarks as array indices (n, 3), (z, y, x) from 0, of lines ``x y z`` from 1.

    Raises
    ------
    WarplineError
        If a line is not three numbers, or a landmark lies outside the volume.
    """
    try:
        lines = _content(path, read_list).splitlines()
        rows = [line.split() for line in lines if line.strip()]
        # The three of each line by name: 2 or 6 numbers a line must not pass for other points.
        values = np.array([[float(x), float(y), float(z)] for x, y, z in rows]).reshape(-1, 3)
    except ValueError as error:
        raise WarplineError(
            f"The landmarks of the case '{case}' cannot be read: every line must be x y z.",
            where=path,
            do="Fetch the file again.",
        ) from error
    size = np.asarray(grid.shape[::-1])
    wrong = ~((values >= 1) & (values <= size)).all(axis=1)
    if wrong.any() or not len(values):
        number = int(np.argmax(wrong)) if len(values) else 0
        found = (
            f"{wrong.sum()} of {len(values)} lie outside, the first is number {number + 1}: "
            f"{' '.join(f'{value:g}' for value in values[number])}"
            if len(values)
            else "there are none"
        )
        raise WarplineError(
            f"The landmarks of the case '{case}' must be indices from 1 1 1 to "
            f"{' '.join(map(str, size))}; {found}.",
            where=path,
            do="Check that the file belongs to this case, and 'scans' of the dataset file.",
        )
    return values[:, ::-1] - 1


def _content(path: Path | zipfile.Path, read: Callable[[Path | zipfile.Path], Any]) -> Any:
    try:
        return read(path)
    except (*CORRUPT, OSError) as error:
        if isinstance(path, Path) or not is_corrupt(error):
            raise
        raise WarplineError(
            f"The archive's member '{path.at}' is damaged ({error}).",
            where=path.root.filename,
            do="Fetch the archive again.",
        ) from error


# --- checks ---------------------------------------------------------------------------------------


def _check_size(image: Path | zipfile.Path, grid: Grid, case: Mapping[str, str]) -> None:
    found = _bytes(image)
    expected = 2 * math.prod(grid.shape)
    if found != expected:
        size = " × ".join(map(str, grid.shape[::-1]))
        raise WarplineError(
            f"The volume of the case '{case['case']}' has {found} bytes; {size} voxels of 2 bytes "
            f"are {expected}.",
            where=image,
            do=f"Fetch the file again if it is cut short; else correct 'scans.{case['patient']}' "
            "of the dataset file.",
        )


def _bytes(path: Path | zipfile.Path) -> int:
    if isinstance(path, zipfile.Path):
        member = path.root.getinfo(path.at)
        if member.flag_bits & 1:
            raise WarplineError(
                f"The archive's member '{path.at}' is encrypted.",
                where=path.root.filename,
                do="Unpack it with its password beside the archive.",
            )
        return member.file_size
    return path.stat().st_size


def _check_initial_error(
    folder: Path,
    dataset: DatasetFiles,
    case: Mapping[str, str],
    landmarks: Path | zipfile.Path,
    grid: Grid,
) -> None:
    """Compare the distance of the patient's landmarks before registration with the published one.

    It does not come out where the files are of another case, axes are exchanged or the spacing is
    wrong.
    """
    own = read_indices(landmarks, grid, case["case"])
    patient = case["patient"]
    for row in dataset.patients:
        if row["case"] == case["case"]:
            return  # each two cases are compared once, with the later one
        if row["patient"] != patient:
            continue
        (path,) = _find(folder, dataset, row, ("landmarks",))
        other = read_indices(path, grid, row["case"])
        if len(own) != len(other):
            raise WarplineError(
                f"The cases '{case['case']}' and '{row['case']}' have {len(own)} and {len(other)} "
                "landmarks; they must correspond line by line.",
                where=f"{landmarks}, {path}",
                do="Fetch the files again.",
            )
        mean = np.linalg.norm((own - other) * grid.spacing[::-1], axis=1).mean()
        published = None if dataset.phantom else dataset.scans[patient].initial_tre
        said = "" if published is None else f", published: {published:.2f} mm"
        print(f"{patient}: {len(own)} landmarks, initial error {mean:.2f} mm{said}", flush=True)
        if published is not None and abs(mean - published) > TOLERANCE:
            raise WarplineError(
                f"The {len(own)} landmarks of the patient '{patient}' are {mean:.2f} mm apart "
                f"before registration; published are {published:.2f} mm.",
                where=f"{landmarks}, {path}",
                do=f"Check that both files are this patient's, and 'scans.{patient}' of the "
                "dataset file (spacing; initial_tre: null switches this check off).",
            )


# --- finding --------------------------------------------------------------------------------------


def _find(
    folder: Path, dataset: DatasetFiles, case: Mapping[str, str], columns: tuple[str, ...]
) -> list[Path | zipfile.Path]:
    """The files that match a row's patterns."""
    found = [_candidates(folder, case[column]) for column in columns]
    missing = [case[column] for column, paths in zip(columns, found, strict=True) if not paths]
    if missing:
        page = dataset.ask
        ask = f"Ask for the data at {page} and put" if page else "Put"
        raise WarplineError(
            f"The case '{case['case']}' lacks {' and '.join(missing)}.",
            where=folder.absolute(),
            do=f"{ask} the zips, or what is in them, into this folder; names count, capitals and "
            "the folders below do not.",
        )
    for column, paths in zip(columns, found, strict=True):
        if len(paths) > 1:
            raise WarplineError(
                f"Several files match {case[column]} of the case '{case['case']}': "
                f"{', '.join(str(path) for path in paths)}.",
                where=folder.absolute(),
                do="Keep one of them.",
            )
    return [paths[0] for paths in found]


def _candidates(folder: Path, pattern: str) -> list[Path | zipfile.Path]:
    """Files of a folder by their name; those in its zips only if there is none beside."""
    pattern = pattern.lower()
    files = sorted(path for path in folder.rglob("*") if _visible(path.name) and path.is_file())
    plain = [path for path in files if fnmatchcase(path.name.lower(), pattern)]
    if plain:
        return plain
    zips = (path for path in files if path.suffix.lower() == ".zip")
    return [
        member
        for archive in zips
        for member in _members(archive)
        if fnmatchcase(member.name.lower(), pattern)
    ]


def _members(archive: Path) -> Iterator[zipfile.Path]:
    try:
        opened = zipfile.ZipFile(Bounded(archive.open("rb")))
        opened.filename = os.fspath(archive)
    except (*CORRUPT, OSError) as error:
        if not is_corrupt(error):
            raise
        raise WarplineError(
            f"The archive is truncated, or no zip ({error}).", where=archive, do="Fetch it again."
        ) from error
    for name in sorted(opened.namelist()):
        member = zipfile.Path(opened, name)
        if not name.endswith("/") and _visible(member.name):
            yield member


def _visible(name: str) -> bool:
    # macOS leaves a file "._<name>" beside every other.
    return not name.startswith(".")
