"""Pairs of scans of one patient with corresponding landmarks.

A case is one scan; ``patient`` in the case sheet ties the two together. The columns hold paths
relative to the folder, or to an unpacked archive. Landmark files correspond line by line, so both
sides must have as many; those outside the image are left out on both sides, since pairs of
landmarks are matched by their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats import folder as own
from warpline.acquire.formats.base import CaseFiles
from warpline.acquire.landmarks import count_elastix
from warpline.errors import WarplineError


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If a file is not there, or the patient's other scan has another number of landmarks.
    """
    files = own.locate(folder, dataset, case)
    if files.landmarks is not None:
        _check_counts(files.landmarks, folder, dataset, case)
    return replace(files, drop_outside=True)


def _check_counts(
    landmarks: Path, folder: Path, dataset: DatasetFiles, case: Mapping[str, str]
) -> None:
    number = count_elastix(landmarks)
    for row in dataset.patients:
        if row["patient"] != case["patient"] or row["case"] == case["case"]:
            continue
        path = folder / own.paths_in(folder, row).get("landmarks", "")
        other = count_elastix(path) if path.is_file() else None
        if None not in (number, other) and number != other:
            raise WarplineError(
                f"The cases '{case['case']}' and '{row['case']}' of the patient "
                f"'{case['patient']}' have {number} and {other} landmarks; they must correspond "
                "line by line.",
                where=f"{landmarks}, {path}",
                do="Correct the files, or leave the column 'landmarks' of both cases empty.",
            )
