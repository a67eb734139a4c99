"""What a network sees of a pair, on a grid of its own, and how its field is brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Step

Register = Callable[[Case, Case], DisplacementField]


def prepare_pair(
    fixed: Case, moving: Case, steps: Sequence[Step], *, aligned: bool = False
) -> tuple[Case, Case]:
    """Both cases of a pair as `steps`, those of a recipe's ``prepare``, leave them.

    Each is cropped to a mask of its own, so that boxes resized to one shape lie on each other;
    a pair that an initial registration has `aligned` is seen in the fixed mask's box.

    Raises
    ------
    WarplineError
        If a step fails, such as a crop to a mask that is not there.
    """
    if aligned and steps:
        moving = replace(moving, mask=fixed.mask)
    return prepare(fixed, steps), prepare(moving, steps)


def on_own_grid(register: Register, steps: Sequence[Step], *, aligned: bool = False) -> Register:
    """A registration of a pair as `prepare_pair` leaves it.

    Its field lies on the fixed case's own grid. The field is read at the points of that grid, and
    beyond the grid that the method saw it goes on with the value at its border. Steps must leave
    every voxel at its place in mm (crops, resampling, intensities).
    """

    def registered(fixed: Case, moving: Case) -> DisplacementField:
        return register(*prepare_pair(fixed, moving, steps, aligned=aligned)).resample(fixed.grid)

    return registered if steps else register
