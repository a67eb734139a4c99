"""The volume that a transformation turns inside out, which single determinants can miss."""

from __future__ import annotations

import numpy as np

from warpline.fields.physical import DisplacementField

# A cell none of whose edges changes by more, in voxels, cannot fold: the gradient of each of its
# tetrahedra has entries of at most three times that, and row sums below one.
SAFE = 1.0 / 9.0
SLICES = 16


def non_diffeomorphic_volume(field: DisplacementField) -> float:
    """Volume of the field's folds, as a fraction of the grid's.

    The displacement is read as linear within tetrahedra. Each cell of eight neighbouring voxels is
    cut into five of them, in either of the two ways that there are; the volume of those that end
    inside out is summed, and the mean of both ways taken. A field has none exactly if it is a
    bijection wherever it is so cut, which central differences do not tell. Source: Liu et al. 2024,
    "On Finite Difference Jacobian Computation in Deformable Image Registration".

    Parameters
    ----------
    field
        On a grid of any spacing and direction, at least two voxels along each axis.

    Returns
    -------
    float
        0 for no folds; a cell that is mirrored counts as a whole one. NaN on a flat grid.
    """
    cells = np.subtract(field.grid.shape, 1)
    if cells.min() < 1:
        return float("nan")
    inverse = np.linalg.inv(field.grid.matrix).T.astype(np.float32)
    volume = 0.0
    for start in range(0, int(cells[0]), SLICES):
        # Of components and axes in the order (x, y, z).
        part = field.vectors[start : start + SLICES + 1] @ inverse
        volume += _inside_out(part.transpose(2, 1, 0, 3))
    return float(volume / cells.prod())


def _inside_out(moved: np.ndarray) -> float:
    """The sum of a block's folded volumes, in cells; displacements (x, y, z, 3) in voxels."""
    corners = {
        (i, j, k): moved[
            i : len(moved) - 1 + i, j : moved.shape[1] - 1 + j, k : moved.shape[2] - 1 + k
        ]
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    }
    far = np.zeros(corners[0, 0, 0].shape[:3], bool)
    for axis in range(3):
        large = (np.abs(np.diff(moved, axis=axis)) > SAFE).any(-1)
        ends = [
            (slice(None, -1), slice(1, None)) if a != axis else (slice(None),) for a in range(3)
        ]
        for x in ends[0]:
            for y in ends[1]:
                for z in ends[2]:
                    far |= large[x, y, z]
    if not far.any():
        return 0.0
    places = {corner: values[far].astype(np.float64) + corner for corner, values in corners.items()}
    total = 0.0
    for corner, place in places.items():
        # The tetrahedron of a corner and its three neighbours, edges pointing along the axes.
        edges = []
        for axis in range(3):
            other = list(corner)
            other[axis] = 1 - other[axis]
            edges.append((places[tuple(other)] - place) * (1 - 2 * corner[axis]))
        total += _negative(edges)
    for first, *others in (
        ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
        ((1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0)),
    ):
        # The one in the middle, a third of the cell.
        total += _negative([places[other] - places[first] for other in others])
    return total / 2.0


def _negative(edges: list[np.ndarray]) -> float:
    """The volume of tetrahedra with three edges (n, 3) that are inside out, above zero."""
    first, second, third = edges
    volumes = np.einsum("nk,nk->n", first, np.cross(second, third)) / 6.0
    return float(-volumes[volumes < 0].sum())
