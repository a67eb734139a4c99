"""How far two fields, one of each direction, are from being each other's inverse."""

from __future__ import annotations

import numpy as np

from warpline.fields.physical import DisplacementField
from warpline.fields.sampling import identity_grid


def inverse_consistency(forward: DisplacementField, backward: DisplacementField) -> float:
    """Mean of ``|T_forward(T_backward(x)) − x|`` over the voxels x of the backward field's grid.

    Voxels that the backward field takes off the forward field's grid do not count: nothing is
    known of the way back from there.

    Parameters
    ----------
    forward, backward
        From fixed to moving points, on the fixed grid, and from moving to fixed ones, on the
        moving grid.

    Returns
    -------
    float
        In mm; NaN if no voxel stays on the grid.
    """
    size = np.array(forward.grid.shape).reshape(3, 1, 1, 1)
    index = (backward.to_voxel(forward.grid) + identity_grid(backward.grid.shape))[0].numpy()
    inside = ((index >= 0) & (index <= size - 1)).all(axis=0)
    residual = np.linalg.norm(forward.compose(backward).vectors[inside], axis=-1)
    return float(residual.mean(dtype=np.float64)) if residual.size else float("nan")
