"""neurite-OASIS: ``OASIS_OAS1_0001_MR1/orig.nii.gz`` …, ``subjects.txt``, one folder a subject.

A case's id is the number of its line in ``subjects.txt`` (as in Learn2Reg 2021), with the side of
the hippocampus that it is cut about: ``0001-left``, ``0001-right``; or the number alone for the
whole head. The case sheet's ``image`` names the image: ``orig`` (where empty) and ``norm`` in the
scanner's space, ``aligned_orig`` and ``aligned_norm`` in the template's. Without ``labels`` in the
dataset file label maps only tell where to cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import SUFFIX, CaseFiles, Crop, find_one, no_case
from warpline.acquire.names import inside
from warpline.errors import WarplineError
from warpline.files import read_list
from warpline.images.grid import Image
from warpline.registry import suggestion

CASE = re.compile(r"(\d+)(?:-(left|right))?")
HIPPOCAMPUS = {"left": 14, "right": 30}  # in the label maps of 35 structures
SIDE = 64.0  # mm: the crop's, as those of Learn2Reg 2020 task 4
# An image to the label map that lies on its grid.
IMAGES = {
    "orig": "seg35",
    "norm": "seg35",
    "aligned_orig": "aligned_seg35",
    "aligned_norm": "aligned_seg35",
}


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If the id is no such id or beyond the list, the list leads out of its folder, the image's
        name is not one of the four, or a file is not there.
    """
    subjects = find_one(folder, "subjects.txt", "list of subjects")
    names = read_list(subjects, "replace").split()
    parts = CASE.fullmatch(case["case"])
    if parts is None or not 1 <= int(parts.group(1)) <= len(names):
        raise no_case(case["case"], [f"{k:04d}-left" for k in range(1, len(names) + 1)], subjects)
    subject = inside(subjects.parent, names[int(parts.group(1)) - 1], subjects)
    side = parts.group(2)
    kind = case.get("image") or "orig"
    if kind not in IMAGES:
        raise WarplineError(
            f"The case '{case['case']}' is to have the image '{kind}'.",
            where=f"{dataset.case_sheet}, column 'image'",
            do=suggestion(kind, IMAGES),
        )
    table = [int(value) for value in dataset.labels]
    files = {"image": subject / f"{kind}{SUFFIX}"}
    if side or table:
        files["labels"] = subject / f"{IMAGES[kind]}{SUFFIX}"
    for path in files.values():
        if not path.exists():
            raise WarplineError(
                f"A file of the case '{case['case']}' is not in the archive.",
                where=path,
                do="Fetch the archive again, or take the case out of the case sheet.",
            )
    return CaseFiles(
        **files,
        label_values={value: value for value in table},
        other_values=0,
        crop=partial(around, HIPPOCAMPUS[side], case["case"]) if side else None,
    )


def around(value: int, case: str, label_map: Image) -> Crop:
    """A cube of `SIDE` mm about the middle of a label's extent, moved into the image where needed.

    Raises
    ------
    WarplineError
        If no voxel has the label.
    """
    found = np.argwhere(label_map.array == value)
    if not len(found):
        raise WarplineError(
            f"The label map of the case '{case}' has no hippocampus (value {value}) to cut about.",
            where=f"case {case}",
            do="Take the case out of the case sheet.",
        )
    middle = (found.min(axis=0) + found.max(axis=0)) / 2
    shape = np.array(label_map.array.shape)
    size = np.minimum(np.rint(SIDE / np.array(label_map.grid.spacing[::-1])).astype(int), shape)
    start = np.clip(np.rint(middle - (size - 1) / 2).astype(int), 0, shape - size)
    note = {"by": "seg35", "about": {"value": value, "middle": middle[::-1].tolist()}}
    return Crop(tuple(start.tolist()), tuple((start + size).tolist()), note)
