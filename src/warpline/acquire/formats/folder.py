"""Own data: a folder, and a case sheet whose columns hold paths relative to it.

They may also be relative to an archive, if the dataset has archives instead of a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.dicom import read_series
from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError
from warpline.images.grid import Image

COLUMNS = ("image", "labels", "mask", "landmarks")


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case; images in any format that `warpline.images.files` reads.

    An image may be a folder that holds the DICOM files of one CT series. Landmarks as
    `warpline.acquire.landmarks` reads them: tables with ids, 3D Slicer's, elastix'.

    Raises
    ------
    WarplineError
        If the row names no image or a file that is not there: names the row and the column.
    """
    files: dict[str, Path] = {}
    read = None
    placed = paths_in(folder, case)
    for column in COLUMNS:
        value = placed.get(column)
        place = f"{dataset.case_sheet}, case '{case['case']}', '{column}'"
        if value:
            files[column] = folder / value
            if column == "image" and files[column].is_dir():
                read = partial(_read_series, files[column], case["case"])
            elif not files[column].is_file():
                raise WarplineError(
                    f"The file {files[column]} does not exist.",
                    where=place,
                    do=f"Correct the path; it is relative to {folder.absolute()}.",
                )
        elif column == "image":
            raise WarplineError("The case has no image.", where=place, do="Fill in the column.")
    return CaseFiles(**files, read=read, fill_nan=dataset.nan == "fill")


def _read_series(folder: Path, case: str) -> tuple[Image, None]:
    return read_series(folder, case), None


def paths_in(folder: Path, case: Mapping[str, str]) -> dict[str, str]:
    """The row with its paths relative to the folder, whichever archive they lie in."""
    placed = dict(case)
    for column in COLUMNS:
        path = case.get(column)
        if not path or (folder / path).is_file():
            continue
        # An archive's own folder may be called as the file in it.
        parts = [found / path for found in sorted(folder.glob("*/"))]
        within = [part for part in parts if part.is_file()]
        if not within and not (folder / path).is_dir():
            within = [part for part in parts if part.is_dir()]
        if len(within) == 1:
            placed[column] = str(within[0].relative_to(folder))
    return placed
