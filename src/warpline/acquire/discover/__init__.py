"""What a folder of scans holds: cases, what belongs to them, and how they pair."""

from __future__ import annotations

import os
from pathlib import Path

from warpline.acquire.discover import bids, by_name, dicom_folders, packages
from warpline.acquire.discover.found import Found
from warpline.errors import WarplineError

# The more a layout says, the earlier it is asked; names of files come last.
LAYOUTS = (
    packages.learn2reg,
    packages.nnunet,
    packages.decathlon,
    bids.bids,
    by_name.by_name,
    dicom_folders.dicom_folders,
)


def discover(folder: str | os.PathLike) -> Found:
    """The cases of a folder: of BIDS, Decathlon, nnU-Net, Learn2Reg, DICOM or files by name.

    Raises
    ------
    WarplineError
        If the folder is not there, holds fewer than two scans, or its description is broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WarplineError("The folder does not exist.", where=folder, do="Check its path.")
    for layout in LAYOUTS:
        found = layout(folder)
        if found is not None and len(found.scans) > 1:
            return found.checked()
    raise WarplineError(
        "There are no two scans to register.",
        where=folder,
        do="Put images in (.nii, .nii.gz, .mha, .mhd, .nrrd, or folders of DICOM files), or name "
        "another folder.",
    )
