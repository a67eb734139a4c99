"""Own data: a folder, and a case sheet whose columns hold paths relative to it.

They may also be relative to an archive, if the dataset has archives instead of a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError

COLUMNS = ("image", "labels", "mask", "landmarks")


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case; images in any format that `warpline.images.files` reads.

    Landmarks as `warpline.acquire.landmarks` reads them: a table with ids, or a file of elastix.

    Raises
    ------
    WarplineError
        If the row names no image or a file that is not there: names the row and the column.
    """
    files: dict[str, Path] = {}
    placed = paths_in(folder, case)
    for column in COLUMNS:
        value = placed.get(column)
        place = f"{dataset.case_sheet}, case '{case['case']}', '{column}'"
        if value:
            files[column] = folder / value
            if not files[column].is_file():
                raise WarplineError(
                    f"The file {files[column]} does not exist.",
                    where=place,
                    do=f"Correct the path; it is relative to {folder.absolute()}.",
                )
        elif column == "image":
            raise WarplineError("The case has no image.", where=place, do="Fill in the column.")
    return CaseFiles(**files)


def paths_in(folder: Path, case: Mapping[str, str]) -> dict[str, str]:
    """The row with its paths relative to the folder, whichever archive they lie in."""
    placed = dict(case)
    for column in COLUMNS:
        path = case.get(column)
        if path and not (folder / path).is_file():
            within = [found for found in sorted(folder.glob("*/")) if (found / path).is_file()]
            if len(within) == 1:
                placed[column] = str((within[0] / path).relative_to(folder))
    return placed
