"""Phantom abdomens as KiTS19's files, one by one: images here, segmentations there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from warpline.files import atomic_path
from warpline.phantoms.anatomy.abdomen.organs import KIDNEY_TUMOUR
from warpline.phantoms.providers.clinical import Protocol, case_seed, clinical_scan, organ, turned
from warpline.phantoms.providers.mirror import check_parameters, enter_checksum, nifti

IMAGES, SEGMENTATIONS = "imaging", "segmentation"
LABELLED = ("train", "val")
# Slices along the first axis, from the head down.
AXES = "IPL"
KIDNEY, TUMOUR = 1, 2
PROTOCOL = Protocol(("arterial",), ("kidney",))


def write_kits19(
    spec: Mapping[str, Any], cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``imaging/case_<id>.nii.gz`` of every case, ``segmentation/…`` of those that have one.

    Parameters
    ----------
    spec
        ``seed``, and as ``parameters`` the keyword arguments of `clinical.clinical_scan`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    parameters = dict(spec.get("parameters") or {})
    check_parameters(parameters, clinical_scan)
    paths = []
    for row in cases:
        scan = clinical_scan(case_seed(spec, "kits19", row["case"]), PROTOCOL, **parameters)
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
