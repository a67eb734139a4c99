"""Own data: a folder, and a case sheet whose columns hold paths relative to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError

COLUMNS = ("image", "labels", "mask", "landmarks")


def locate(folder: Path, dataset: Mapping[str, Any], case: Mapping[str, str]) -> CaseFiles:
    """Files of a case; images in any format that SimpleITK reads, landmarks as a canonical table.

    Raises
    ------
    WarplineError
        If the row names no image or a file that is not there: names the row and the column.
    """
    files: dict[str, Path] = {}
    for column in COLUMNS:
        value = case.get(column)
        place = f"{dataset.get('case_sheet', 'the case sheet')}, case '{case['case']}', '{column}'"
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
