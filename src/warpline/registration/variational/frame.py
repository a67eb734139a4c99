"""One grid for both images of a pair, about what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to

RANGE = (0.5, 99.5)  # percentiles of the known voxels between which intensities are kept
PADDED = 0.02  # of an image that has its lowest value, from which on these voxels show nothing
MARGIN = 12.0  # mm about what both images show


@dataclass(frozen=True)
class Scan:
    """An image as a registration looks at it.

    Attributes
    ----------
    image
        float32 within [0, 1].
    known
        float32, 1 where the image shows something (and inside its mask, if it has one), else 0.
    """

    image: Image
    known: Image


def read_scan(image: Image, mask: Image | None) -> Scan:
    """An image of any intensities, and its mask.

    Values that are no numbers are unknown, and so is what pads the image: its lowest value, if
    that fills a part of it that touches a face.
    """
    values = np.asarray(image.array, dtype=np.float32)
    known = np.isfinite(values)
    if not known.all():
        values = np.where(known, values, values[known].min() if known.any() else 0)
    if mask is not None:
        inside = (
            mask if mask.grid.close_to(image.grid) else resample_to(mask, image.grid, nearest=True)
        )
        known &= inside.array > 0
    lowest = values == values.min()
    if (lowest & known).any():
        known &= ~_padding(lowest)
    if not known.any():
        known = np.ones(values.shape, bool)
    low, high = np.percentile(values[known][:: max(1, int(known.sum()) // 200_000)], RANGE)
    scaled = (values - low) / max(float(high - low), 1e-6 * max(1.0, abs(float(high))))
    np.clip(scaled, 0, 1, out=scaled)
    return Scan(image.with_array(scaled), image.with_array(known.astype(np.float32)))


def _padding(lowest: np.ndarray) -> np.ndarray:
    """Of the voxels that have an image's lowest value the large parts that touch a face."""
    size = lowest.size
    if not PADDED * size < np.count_nonzero(lowest) < size:
        return np.zeros(lowest.shape, bool)
    from scipy import ndimage

    parts, _ = ndimage.label(lowest)
    faces = [parts.take(end, axis) for axis in range(3) for end in (0, -1)]
    outside = np.unique(np.concatenate([face.ravel() for face in faces]))
    sizes = np.bincount(parts.ravel())
    large = [n for n in outside if n and sizes[n] > 0.1 * PADDED * size]
    return np.isin(parts, large)


def frame_of(grid: Grid, box: tuple[np.ndarray, np.ndarray], voxels: int) -> Grid:
    """The grid of a registration: along the axes of the fixed one, over a box of it.

    Parameters
    ----------
    grid
        The fixed image's.
    box
        First and last index (z, y, x) that it has to hold.
    voxels
        About how many it may have; it has no finer spacing than `grid` along any axis, and as far
        as `voxels` allows no coarser one than its coarsest axis has.
    """
    low, high = (np.asarray(end, dtype=float) for end in box)
    native = np.asarray(grid.spacing[::-1])
    extent = np.maximum(high - low, 1) * native
    step = float(native.min())
    while np.prod(np.ceil(extent / np.maximum(native, step)) + 1) > voxels:
        step *= 1.02
    keep = native * 1.15 >= step
    spacing = np.where(keep, native, step)
    shape = np.where(keep, np.rint(high - low), np.ceil(extent / spacing)).astype(int) + 1
    shape = np.maximum(shape, 2)
    middle = (low + high) / 2
    first = np.where(
        keep, np.floor(middle - (shape - 1) / 2 + 0.5), middle - (shape - 1) * spacing / native / 2
    )
    origin = grid.index_to_physical(first)
    return Grid(
        tuple(int(n) for n in shape),
        tuple(float(s) for s in spacing[::-1]),
        tuple(map(float, origin)),
        grid.direction,
    )


def shared_box(fixed: Scan, moving: Scan, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices (z, y, x) of the fixed grid, first and last, between which both show something.

    Parameters
    ----------
    matrix
        (4, 4), fixed to moving points, mm.
    """
    grid = fixed.image.grid
    ends = _bounds(fixed.known.array)
    other = moving.image.grid
    corners = (
        np.array(np.meshgrid(*zip(*_bounds(moving.known.array), strict=True))).reshape(3, -1).T
    )
    points = other.index_to_physical(corners)
    back = np.linalg.inv(matrix)
    theirs = grid.physical_to_index(points @ back[:3, :3].T + back[:3, 3])
    margin = MARGIN / np.asarray(grid.spacing[::-1])
    low = np.maximum(ends[0], theirs.min(0)) - margin
    high = np.minimum(ends[1], theirs.max(0)) + margin
    last = np.asarray(grid.shape) - 1
    low, high = np.clip(np.floor(low), 0, last), np.clip(np.ceil(high), 0, last)
    if (high - low < 4).any():  # they hardly meet
        return np.zeros(3), last.astype(float)
    return low, high


def _bounds(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index of what is known."""
    low, high = [], []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(known.any(axis=others))
        low.append(found[0])
        high.append(found[-1])
    return np.array(low, float), np.array(high, float)


def thinned(scan: Scan, spacing: tuple[float, ...]) -> Scan:
    """A scan whose voxels are smaller than `spacing` (x, y, z) by not much: blocks become one."""
    own = scan.image.grid
    block = [max(1, int(s / o)) for s, o in zip(spacing[::-1], own.spacing[::-1], strict=True)]
    block = [min(b, n) for b, n in zip(block, own.shape, strict=True)]
    if max(block) == 1:
        return scan
    shape = tuple(n // b for n, b in zip(own.shape, block, strict=True))

    def mean(array: np.ndarray) -> np.ndarray:
        for axis, (n, b) in enumerate(zip(shape, block, strict=True)):
            if b > 1:
                part = array.take(range(n * b), axis) if n * b < array.shape[axis] else array
                array = part.reshape(*part.shape[:axis], n, b, *part.shape[axis + 1 :]).mean(
                    axis + 1
                )
        return array

    grid = Grid(
        shape,
        tuple(s * b for s, b in zip(own.spacing, block[::-1], strict=True)),
        tuple(map(float, own.index_to_physical((np.asarray(block) - 1) / 2))),
        own.direction,
    )
    return Scan(Image(mean(scan.image.array), grid), Image(mean(scan.known.array), grid))


def smoothed(scan: Scan, spacing: tuple[float, ...]) -> Scan:
    """A scan as a grid of `spacing` (x, y, z) may read it: thinned, and smoothed for the rest."""
    scan = thinned(scan, spacing)
    ratio = np.asarray(spacing) / np.asarray(scan.image.grid.spacing)
    width = np.where(ratio > 1.3, 0.4 * ratio, 0)[::-1]
    if not width.any():
        return scan
    from scipy import ndimage

    image = ndimage.gaussian_filter(scan.image.array, width, mode="nearest", truncate=2.5)
    return Scan(scan.image.with_array(image), scan.known)


def on_frame(
    scan: Scan, frame: Grid, matrix: np.ndarray | None, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """A scan's intensities and what is known of it, (1, 1, z, y, x) each, read on a frame.

    Parameters
    ----------
    scan
        `smoothed` for the frame.
    matrix
        (4, 4), from points of the frame to points of the scan, mm; None: the same points.
    """
    if matrix is None and frame.close_to(scan.image.grid):
        parts = scan.image, scan.known
    else:
        parts = tuple(resample_to(part, frame, matrix=matrix) for part in (scan.image, scan.known))
    image, known = (
        torch.from_numpy(np.ascontiguousarray(part.array, dtype=np.float32))[None, None].to(device)
        for part in parts
    )
    return image, known
