"""Learn2Reg 2020 task 2: ``scans/case_001_exp.nii.gz``, ``case_001_insp``, and ``lungMasks``.

A case is one scan, with the id ``001-exp`` or ``001-insp``; its patient is ``001``. The archives
have no landmarks. Those of the later package can be added: ``LungCT_0001_0000.csv`` (at exhale) and
``LungCT_0001_0001.csv`` (at inhale), or ``case_001_exp.csv`` and ``case_001_insp.csv``: lines of
x, y, z, voxel indices from 0. They are looked for in the dataset's ``landmark_folder`` and in the
archives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import SUFFIX, CaseFiles, find_one, no_case
from warpline.errors import WarplineError

CASE = re.compile(r"(\d{3})-(exp|insp)")
PHASES = {"exp": "0000", "insp": "0001"}
DEPTHS = ("", "*/", "*/*/", "*/*/*/")


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    The n-th landmark of a patient is another place in the next patient: ids are ``001-1`` ….

    Raises
    ------
    WarplineError
        If the id is no such id, the scan or its mask is not in the archives, or only one of the
        patient's scans has landmarks.
    """
    parts = CASE.fullmatch(case["case"])
    known = _known(folder)
    if parts is None or case["case"] not in known:
        raise no_case(case["case"], known, folder)
    number, phase = parts.groups()
    name = f"case_{number}_{phase}{SUFFIX}"
    mask = find_one(folder, f"lungMasks/{name}", f"lung mask of the case '{case['case']}'")
    landmarks = {
        other: _landmarks(folder, dataset.landmark_folder, number, other) for other in PHASES
    }
    if len({path is None for path in landmarks.values()}) == 2:
        there, missing = sorted(landmarks, key=lambda other: landmarks[other] is None)
        raise WarplineError(
            f"The patient '{number}' has landmarks at '{there}' and none at '{missing}'.",
            where=landmarks[there],
            do=f"Put the file of '{missing}' beside it, or take this one away.",
        )
    return CaseFiles(
        image=find_one(folder, f"scans/{name}", f"scan of the case '{case['case']}'"),
        mask=mask,
        landmarks=landmarks[phase],
        landmarks_in="voxel",
        landmark_prefix=f"{number}-",
    )


def _known(folder: Path) -> list[str]:
    """Ids of all scans in the archives."""
    names = (
        path.name.removesuffix(SUFFIX).removeprefix("case_").replace("_", "-")
        for depth in DEPTHS
        for path in folder.glob(f"{depth}scans/case_*{SUFFIX}")
    )
    return sorted(set(names))


def _landmarks(folder: Path, extra: str | None, number: str, phase: str) -> Path | None:
    names = (f"LungCT_0{number}_{PHASES[phase]}.csv", f"case_{number}_{phase}.csv")
    places = ([Path(extra)] if extra else []) + [folder]
    for place in places:
        for depth in DEPTHS:
            for name in names:
                for path in sorted(place.glob(depth + name)):
                    return path
    return None
