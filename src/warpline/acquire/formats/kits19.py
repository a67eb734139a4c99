"""KiTS19: scans and label maps file by file, or a copy of its repository.

A case's id is its number, ``00000``. Downloaded files are of the kinds ``imaging`` and
``segmentation``; in a copy of the repository (the dataset's ``folder``) they are
``case_00000/imaging.nii.gz`` and ``case_00000/segmentation.nii.gz``. The provider's test cases have
no segmentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import SUFFIX, CaseFiles, existing, fetched, find_one, is_fetched


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If the scan is not there, or a label map that its split should have.
    """
    number = case["case"]
    if dataset.per_case_folder is None:
        image = find_one(folder, f"case_{number}/imaging{SUFFIX}", f"scan of the case '{number}'")
        return CaseFiles(image=image, labels=existing(image.with_name(f"segmentation{SUFFIX}")))
    labelled = is_fetched(dataset, "segmentation", case)
    return CaseFiles(
        image=fetched(dataset, "imaging", case),
        labels=fetched(dataset, "segmentation", case) if labelled else None,
    )
