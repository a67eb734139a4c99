"""Phantom abdomens packed as Learn2Reg's AbdomenCTCT is, now and in 2020."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from warpline.files import atomic_path
from warpline.phantoms.anatomy import abdomen
from warpline.phantoms.anatomy.abdomen.organs import NUMBER
from warpline.phantoms.providers.clinical import placed, turned
from warpline.phantoms.providers.mirror import add_entry, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

NAME = "AbdomenCTCT"
NAME_2020 = "L2R_Task3_AbdominalCT"
SPACING = 2.0  # mm, of the real package
AXES = "RAS"


def write_abdomen(phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    """``AbdomenCTCT.zip`` with image and labels of every case.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_scan`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(stored_scan)
    stems = {row["case"]: f"{NAME}_{row['case']}_0000.nii.gz" for row in cases}
    description = {
        "name": NAME,
        "release": "phantom",
        "description": "Phantom of the abdomen in CT",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **{str(n): name for name, n in NUMBER.items()}},
        "numTraining": len(stems),
        "training": [
            {"image": f"./imagesTr/{stem}", "label": f"./labelsTr/{stem}"}
            for stem in stems.values()
        ],
    }
    path = folder / f"{NAME}.zip"
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        text = json.dumps(description, indent=1)
        add_entry(archive, f"{NAME}/{NAME}_dataset.json", text.encode())
        for case, stem in stems.items():
            scan = make(_seed(phantom, case))
            add_entry(archive, f"{NAME}/imagesTr/{stem}", nifti(turned(scan.image, AXES)))
            add_entry(archive, f"{NAME}/labelsTr/{stem}", nifti(turned(scan.labels, AXES)))
    enter_checksum(path)
    return [path]


def write_abdomen_2020(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``L2R_Task3_AbdominalCT.zip``, the same scans under the names in the sheet's ``image``."""
    make = phantom.maker(stored_scan)
    path = folder / f"{NAME_2020}.zip"
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for row in cases:
            scan, name = make(_seed(phantom, row["case"])), row["image"]
            label = name.replace("img", "label")
            root = f"{NAME_2020}/Training"
            add_entry(archive, f"{root}/img/{name}.nii.gz", nifti(turned(scan.image, AXES)))
            add_entry(archive, f"{root}/label/{label}.nii.gz", nifti(turned(scan.labels, AXES)))
    enter_checksum(path)
    return [path]


def stored_scan(
    seed: tuple[int, int], *, coarser: float = 1.0, variation: float = 1.0, noise: float = 10.0
) -> abdomen.Scan:
    """One subject on the grid that all of them share, in the portal venous phase.

    Parameters
    ----------
    coarser
        How many times larger the voxels are than the 2 mm of the real ones.
    variation, noise
        See `warpline.phantoms.anatomy.abdomen.subject`.
    """
    scan = abdomen.subject(seed, spacing=SPACING * coarser, variation=variation, noise=noise)
    # Their headers begin at 0, at the corner that the stored axes begin at.
    _, rows, columns = scan.image.array.shape
    step = SPACING * coarser
    return placed(scan, (-(columns - 1) * step, -(rows - 1) * step, 0.0))


def _seed(phantom: Phantom, case: str) -> tuple[int, int]:
    """The same in both packages, which have the same scans."""
    return phantom.seed_of(f"{NAME}/{case}")
