"""An initial registration before a method: the method sees the moving case as that leaves it."""

from __future__ import annotations

from dataclasses import replace

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField


def resample_moving(moving: Case, initial: DisplacementField) -> Case:
    """A moving case resampled onto the fixed grid by its initial registration.

    Images linearly, labels and masks by nearest neighbour; without landmarks, which no
    registration looks at. A method's field on the moved case continues the initial one:
    ``initial.compose(field)``.
    """
    return replace(
        moving,
        image=initial.warp_image(moving.image),
        labels=None if moving.labels is None else initial.warp_labels(moving.labels),
        mask=None if moving.mask is None else initial.warp_labels(moving.mask),
        landmarks=None,
    )
