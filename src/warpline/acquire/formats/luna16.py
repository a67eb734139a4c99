"""LUNA16: ``subset0/<uid>.mhd`` with ``.raw`` … ``subset9``, and ``seg-lungs-LUNA16/<uid>.mhd``.

A case's id is its series instance UID. In the lung masks 3 and 4 are the lungs; they become label
1 together. The trachea (5) and whatever else there is becomes background.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError

MASKS = "seg-lungs-LUNA16"
# These hold a scan's files and no more folders: they are asked for a name, and never listed. With
# 888 scans and a job for each, listing them every time would cost more than reading a scan.
HOLDS_SCANS = re.compile(rf"subset\d|{MASKS}")
LUNGS = {3: 1, 4: 1}
DEEPEST = 3  # an archive is unpacked into its own folder; two more may lie around its files


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If the scan or its lung mask is not in the archives, or stands in several places.
    """
    name = f"{case['case']}.mhd"
    images, masks = [], []
    for place in _folders(folder, DEEPEST):
        if (place / name).is_file():
            # The archive's own folder counts too, for one that holds its files directly.
            parts = place.relative_to(folder).parts
            (masks if any(part.startswith(MASKS) for part in parts) else images).append(place)
    if not images:
        raise WarplineError(
            f"The case '{case['case']}' of the case sheet is not in the archives.",
            where=folder,
            do="Its scan lies in one of subset0 to subset9: check that the archive is among the "
            "dataset's 'archives', or take the case out of the case sheet.",
        )
    if not masks:
        raise WarplineError(
            f"The case '{case['case']}' has no lung mask.",
            where=images[0] / name,
            do=f"Masks come in {MASKS}.zip: check that it is among the dataset's 'archives', or "
            "take the case out of the case sheet.",
        )
    for what, places in (("scan", images), ("lung mask", masks)):
        if len(places) > 1:
            raise WarplineError(
                f"The {what} of the case '{case['case']}' stands in several places: "
                f"{', '.join(str(place.relative_to(folder)) for place in places)}.",
                where=folder,
                do="Keep one of them.",
            )
    return CaseFiles(
        image=images[0] / name,
        labels=masks[0] / name,
        label_values=LUNGS,
        other_values=0,
        needs_labels=True,
    )


def case_of(name: str) -> str | None:
    """The case of a scan or a mask, of its header or its voxels; None for other files."""
    path = PurePosixPath(name)
    return path.stem if path.suffix in (".mhd", ".raw", ".zraw") else None


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """A folder and those in it down to a depth, in alphabetical order."""
    yield folder
    if depth == 0 or HOLDS_SCANS.fullmatch(folder.name):
        return
    with os.scandir(folder) as entries:
        below = sorted(entry.name for entry in entries if entry.is_dir())
    for name in below:
        yield from _folders(folder / name, depth - 1)
