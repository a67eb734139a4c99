"""Phantom hippocampi packed as Task 4 of the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from warpline.files import atomic_path
from warpline.phantoms.anatomy import hippocampus
from warpline.phantoms.providers.mirror import add_member, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom


def write_hippocampus(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``Task04_Hippocampus.tar`` with a phantom subject for each case.

    Parameters of the phantom are those of `warpline.phantoms.anatomy.hippocampus.subject`.
    """
    make = phantom.maker(hippocampus.subject)
    archive, ids = folder / "Task04_Hippocampus.tar", [row["case"] for row in cases]
    return [write_msd_archive(archive, ids, lambda case: make(phantom.seed_of(case)))]


def write_msd_archive(
    path: str | os.PathLike, cases: Sequence[str], make: Callable[[str], hippocampus.Subject]
) -> Path:
    """Write subjects as a tar of the Medical Segmentation Decathlon's Task 4.

    The checksum is entered in ``SHA256SUMS`` beside it.

    Parameters
    ----------
    cases
        Case ids, the ends of the file names.
    make
        The subject of a case id.
    """
    path = Path(path)
    cases = sorted(cases)
    task = path.name.removesuffix(".tar")
    stems = {case: f"hippocampus_{case}.nii.gz" for case in cases}
    description = {
        "name": "Hippocampus",
        "description": "Phantom of the left and right hippocampus",
        "reference": "warpline.phantoms.anatomy.hippocampus",
        "licence": "none: synthetic",
        "relase": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": len(cases),
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{stem}", "label": f"./labelsTr/{stem}"}
            for stem in stems.values()
        ],
        "test": [],
    }
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        add_member(tar, f"{task}/dataset.json", json.dumps(description, indent=1).encode())
        for case in cases:
            subject = make(case)
            add_member(tar, f"{task}/imagesTr/{stems[case]}", nifti(subject.image))
            add_member(tar, f"{task}/labelsTr/{stems[case]}", nifti(subject.labels))
    enter_checksum(path)
    return path
