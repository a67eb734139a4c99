"""Steps that make masks and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from warpline.cases.case import Case
from warpline.cases.lungs import segment_lungs as find_lungs
from warpline.cases.organs import harmonise as to_common_organs
from warpline.errors import WarplineError
from warpline.images.grid import Image


def segment_lungs(case: Case) -> Case:
    """Fill in the mask of a chest CT that has none: its lungs. Log and records say so.

    Intensities must still be in HU: before any step that normalises them.
    """
    if case.mask is not None:
        return case
    try:
        mask = find_lungs(case.image)
    except WarplineError as error:
        raise WarplineError(error.what, where=f"case {case.id}", do=error.do) from error
    volume = float(mask.array.sum() * np.prod(case.grid.spacing)) / 1e6
    print(f"{case.id}: no lung mask; the lungs are segmented ({volume:.2f} l)", flush=True)
    return replace(case, mask=mask, segmented=True)


def mask_of_labels(case: Case) -> Case:
    """The labelled voxels as the mask of a case that has none; such as LUNA16's lungs."""
    if case.mask is not None or case.labels is None:
        return case
    return replace(case, mask=Image((case.labels.array != 0).astype(np.uint8), case.grid))


def labels_of_mask(case: Case) -> Case:
    """The mask as label 1 of a case that has no label map: so the Dice of lungs is measured."""
    if case.labels is not None or case.mask is None:
        return case
    return replace(case, labels=Image((case.mask.array != 0).astype(np.uint8), case.grid))


def harmonise(case: Case, values: Mapping[int, str | None]) -> Case:
    """Translate the label map into the common organs by the dataset's table.

    `values` gives each of the dataset's values its organ, ``kidneys`` for both, or null: see
    `warpline.cases.organs.harmonise`. What the case has annotated goes along in common numbers; of
    a dataset without any organ the label map is left out. Kidneys that touch are parted in HU:
    before any step that normalises intensities.
    """
    if case.labels is None:
        return case
    try:
        found = to_common_organs(case.labels, case.image, values, case.annotated)
    except WarplineError as error:
        raise WarplineError(error.what, where=f"case {case.id}", do=error.do) from error
    if found.labels is None:
        return replace(case, labels=None, annotated=None)
    if found.note:
        print(f"{case.id}: {found.note}", flush=True)
    return replace(case, labels=found.labels, annotated=found.annotated)
