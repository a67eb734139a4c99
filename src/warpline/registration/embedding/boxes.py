"""The box around the lungs, to which both images of a pair are resampled."""

from __future__ import annotations

import numpy as np

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid


def lung_box(
    case: Case, direction: tuple[float, ...], shape: tuple[int, int, int], margin: float
) -> Grid:
    """The grid of `shape` that fills the box around a case's mask, along given axes.

    Parameters
    ----------
    direction
        3×3, row-major, as in `Grid`; the box lies along these axes, whatever the image's are.
    margin
        mm on each side, from the outer faces of the mask's voxels.

    Raises
    ------
    WarplineError
        If the case has no mask or an empty one.
    """
    if case.mask is None or not case.mask.array.any():
        state = "has no lung mask" if case.mask is None else "has a lung mask without any voxel"
        raise WarplineError(
            f"The case {state}; the registration looks at the lungs' box.",
            where=f"case {case.id}",
            do="Give the dataset lung masks, or add 'segment_lungs' to its 'prepare'.",
        )
    array = case.mask.array != 0
    z, y = np.nonzero(array.any(axis=2))
    # A row's first and last voxel are enough: the box holds what lies between.
    first = array[z, y].argmax(axis=1)
    last = array.shape[2] - 1 - array[z, y, ::-1].argmax(axis=1)
    corners = [
        np.stack([z + dz, y + dy, x + dx], axis=1)
        for dz in (-0.5, 0.5)
        for dy in (-0.5, 0.5)
        for x, dx in ((first, -0.5), (last, 0.5))
    ]
    axes = np.asarray(direction).reshape(3, 3)
    along = case.grid.index_to_physical(np.concatenate(corners)) @ axes
    low, high = along.min(axis=0) - margin, along.max(axis=0) + margin
    spacing = (high - low) / shape[::-1]
    return Grid(
        shape=tuple(shape),
        spacing=tuple(map(float, spacing)),
        origin=tuple(map(float, axes @ (low + spacing / 2))),
        direction=tuple(direction),
    )
