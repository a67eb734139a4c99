"""Tubes painted into a volume by the part of each voxel that they cover."""

from __future__ import annotations

import numpy as np

from warpline.images.grid import Grid

POINT_SPREAD = 0.9  # mm, the finest that a scanner resolves, about
CANDIDATES = 1_500_000  # voxels looked at in one go


def segments(
    points: np.ndarray, parent: np.ndarray, radius: np.ndarray, longest: float = 8.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the branches of a tree into short pieces, which a smooth map leaves about straight.

    Parameters
    ----------
    points, parent, radius
        (n, 3) mm; (n,), −1 for a root; (n, 2), mm.

    Returns
    -------
    start, end, radius
        (m, 3), (m, 3) and (m,): the mean radius of each piece.
    """
    child = np.flatnonzero(parent >= 0)
    a, b, r = points[parent[child]], points[child], radius[child]
    count = np.maximum(np.ceil(np.linalg.norm(b - a, axis=1) / longest), 1).astype(int)
    which = np.repeat(np.arange(len(child)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    low, high = (number / count[which])[:, None], ((number + 1) / count[which])[:, None]
    way = (b - a)[which]
    middle = (low + high)[:, 0] / 2
    mean = r[which, 0] * (1 - middle) + r[which, 1] * middle
    return a[which] + low * way, a[which] + high * way, mean


def paint(
    volume: np.ndarray, grid: Grid, start: np.ndarray, end: np.ndarray, radius: np.ndarray
) -> None:
    """Raise each voxel to the part of it (0 to 255) that a tube covers.

    Where a tube is thinner than a voxel its cross-section's area is spread over the voxels about
    it, so that it fades, and does not vanish or widen, on coarse grids.

    Parameters
    ----------
    volume
        (z, y, x) uint8, changed in place.
    start, end, radius
        (m, 3), (m, 3), (m,): straight pieces, physical mm.
    """
    spacing = np.asarray(grid.spacing[::-1], dtype=np.float64)
    # To mm along the grid's axes, (z, y, x): distances stay what they are.
    a, b = (grid.physical_to_index(p) * spacing for p in (start, end))
    axis = b - a
    length = np.linalg.norm(axis, axis=1)
    unit = axis / np.maximum(length, 1e-6)[:, None]
    width = np.sqrt(((spacing**2) * (1 - unit**2)).sum(axis=1) / 2)
    width = np.maximum(width, POINT_SPREAD)
    core = np.sqrt(np.maximum(radius**2 - width**2 / 12, width**2 / 4))
    peak = np.minimum(1.0, radius**2 / (core**2 + width**2 / 12))
    visible = peak > 0.006
    reach = (core + width / 2)[:, None]
    low = np.ceil((np.minimum(a, b) - reach) / spacing).astype(int)
    high = np.floor((np.maximum(a, b) + reach) / spacing).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, volume.shape)
    size = high - low
    todo = np.flatnonzero(visible & (size > 0).all(axis=1))
    # Pieces with boxes of about the same size go together.
    todo = todo[np.argsort(size[todo].prod(axis=1), kind="stable")]
    flat = volume.reshape(-1)
    while len(todo):
        largest = np.maximum.accumulate(size[todo], axis=0).prod(axis=1)
        fit = np.flatnonzero(largest * np.arange(1, len(todo) + 1) > CANDIDATES)
        count = max(1, int(fit[0])) if len(fit) else len(todo)
        part, todo = todo[:count], todo[count:]
        _paint_boxes(flat, volume.shape, spacing, a, axis, core, width, peak, low, high, part)


def _paint_boxes(flat, shape, spacing, a, axis, core, width, peak, low, high, part) -> None:
    box = (high - low)[part].max(axis=0)
    offsets = [np.arange(n) for n in box]
    index = [low[part, k][:, None] + offsets[k] for k in range(3)]
    inside = [index[k] < high[part, k][:, None] for k in range(3)]
    # (m, z, y, x) by broadcasting; offsets from the piece's start.
    expand = ((..., None, None), (slice(None), None, slice(None), None), (slice(None), None, None))
    offset = [
        (index[k] * spacing[k] - a[part, k][:, None]).astype(np.float32)[expand[k]]
        for k in range(3)
    ]
    way = axis[part].astype(np.float32)
    square = np.maximum((way**2).sum(axis=1), 1e-9)
    four = (slice(None), None, None, None)
    along = sum(offset[k] * (way[:, k] / square)[four] for k in range(3))
    np.clip(along, 0, 1, out=along)
    distance = sum((offset[k] - along * way[:, k][four]) ** 2 for k in range(3))
    np.sqrt(distance, out=distance)
    core, width, peak = (v[part].astype(np.float32)[four] for v in (core, width, peak))
    part_covered = np.clip((core - distance) / width + 0.5, 0, 1) * (255 * peak)
    for k in range(3):
        part_covered *= inside[k][expand[k]]
    where = part_covered > 0.5
    strides = (shape[1] * shape[2], shape[2], 1)
    linear = sum((index[k] * strides[k])[expand[k]] for k in range(3))
    np.maximum.at(flat, linear[where], np.rint(part_covered[where]).astype(np.uint8))
