"""Phantom abdomens as KiTS19's files, one by one: images here, segmentations there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from warpline.files import atomic_path
from warpline.phantoms.anatomy.abdomen.organs import KIDNEY_TUMOUR
from warpline.phantoms.providers.clinical import Protocol, clinical_scan, organ, turned
from warpline.phantoms.providers.mirror import enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

IMAGES, SEGMENTATIONS = "imaging", "segmentation"
LABELLED = ("train", "val")
# Slices along the first axis, from the head down.
AXES = "IPL"
KIDNEY, TUMOUR = 1, 2
PROTOCOL = Protocol(("arterial",), ("kidney",))


def write_kits19(phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    """``imaging/case_<id>.nii.gz`` of every case, ``segmentation/…`` of those that have one.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `clinical.clinical_scan`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(clinical_scan)
    paths = []
    for row in cases:
        scan = make(phantom.seed_of(f"kits19/{row['case']}"), PROTOCOL)
        labels = np.zeros(scan.labels.array.shape, np.uint8)
        labels[organ(scan, "right_kidney", "left_kidney")] = KIDNEY
        labels[scan.others.array == KIDNEY_TUMOUR] = TUMOUR
        files = {IMAGES: scan.image}
        if row.get("split") in LABELLED:
            files[SEGMENTATIONS] = scan.labels.with_array(labels)
        for kind, image in files.items():
            path = folder / kind / f"case_{row['case']}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_bytes(nifti(turned(image, AXES)))
            enter_checksum(path)
            paths.append(path)
    return paths
