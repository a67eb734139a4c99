"""Distances between the surfaces of labels.

The definition is DeepMind's (Nikolov et al. 2018, *Deep learning to achieve clinically applicable
segmentation of head and neck anatomy for radiotherapy*; package `surface-distance`): surface
elements lie between voxels and count by their area, so that anisotropic voxels are weighted right.
The Learn2Reg challenge uses the same package. Of it the areas are taken. The nearest element is not
found by a distance transform of the whole box: elements lie on a lattice, whose places about each
are looked up, the nearest first; elements that have none within reach ask a tree of the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from surface_distance import lookup_tables

from warpline.images.regions import Box, bounding_boxes, union

REACH = 4  # places on the lattice that are looked up before a tree is asked


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances from each surface's elements to the other surface, and the elements' areas.

    `distances` and `areas` are pairs (fixed → warped, warped → fixed) of vectors, sorted by
    distance, in the unit of the spacing they were computed with.
    """

    distances: tuple[np.ndarray, np.ndarray]
    areas: tuple[np.ndarray, np.ndarray]

    def scaled(self, factor: float) -> SurfaceDistances:
        """The same surfaces in another unit."""
        return SurfaceDistances(
            tuple(factor * d for d in self.distances), tuple(factor**2 * a for a in self.areas)
        )

    def robust_hausdorff(self, percent: float = 95.0) -> float:
        """The larger of the two directions' area-weighted distance percentiles (95: HD95)."""
        return max(
            float(d[min(np.searchsorted(np.cumsum(a) / a.sum(), percent / 100.0), len(d) - 1)])
            for d, a in zip(self.distances, self.areas, strict=True)
        )

    def hausdorff(self) -> float:
        """The largest distance of any surface element to the other surface."""
        return max(float(d[-1]) for d in self.distances)


def surface_distances(
    fixed: np.ndarray,
    warped: np.ndarray,
    labels: Iterable[int],
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    boxes: tuple[Mapping[int, Box], Mapping[int, Box]] | None = None,
) -> dict[int, SurfaceDistances | None]:
    """Surface distances of each label, from which HD95 and the Hausdorff distance are read.

    Parameters
    ----------
    fixed, warped
        Integer label maps (z, y, x) on one grid.
    labels
        The positive label values to compare.
    spacing
        Voxel size along (z, y, x): mm, or ones for distances in voxels.
    boxes
        The `bounding_boxes` of both maps, if they are known.

    Returns
    -------
    dict
        Label value → distances; None where either map lacks the label, for there is no distance
        to a surface that does not exist.
    """
    if fixed.shape != warped.shape:
        raise ValueError(f"label maps of shapes {fixed.shape} and {warped.shape}")
    in_fixed, in_warped = boxes or (bounding_boxes(fixed), bounding_boxes(warped))
    spacing = tuple(float(s) for s in spacing)
    table = _areas(spacing)
    result: dict[int, SurfaceDistances | None] = {}
    for label in labels:
        if label not in in_fixed or label not in in_warped:
            result[label] = None
            continue
        box = union(in_fixed[label], in_warped[label])
        surfaces = [_Surface.of(part[box] == label, table) for part in (fixed, warped)]
        found = [a.distances_to(b, spacing) for a, b in permutations(surfaces)]
        order = [np.argsort(distances) for distances in found]
        result[label] = SurfaceDistances(
            tuple(distances[o] for distances, o in zip(found, order, strict=True)),
            tuple(surface.areas[o] for surface, o in zip(surfaces, order, strict=True)),
        )
    return result


@dataclass(frozen=True)
class _Surface:
    """The surface elements of a mask, on the lattice between its voxels.

    `lattice` has `REACH` empty places more on every side; `index` (n,) are the elements' places in
    it, flat; `areas` (n,).
    """

    lattice: np.ndarray
    index: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, table: np.ndarray) -> _Surface:
        """An element lies between 2³ voxels that differ; which of them are in tells its area."""
        padded = np.pad(mask, 1).view(np.uint8)
        code = np.zeros([n + 1 for n in mask.shape], np.uint8)
        for corner in np.ndindex(2, 2, 2):
            part = padded[tuple(slice(c, c + n) for c, n in zip(corner, code.shape, strict=True))]
            code |= part << np.uint8(7 - np.ravel_multi_index(corner, (2, 2, 2)))
        # From 0 and 255, all out or all in, to 1 and 0.
        lattice = np.pad(code + np.uint8(1) > 1, REACH)
        index = np.flatnonzero(lattice)
        inner = (slice(REACH, -REACH),) * 3
        return cls(lattice, index, table[code[lattice[inner]]])

    def distances_to(self, other: _Surface, spacing: tuple[float, ...]) -> np.ndarray:
        """Distance (n,) of each element to the nearest of another surface of the same lattice."""
        distances = np.empty(len(self.index))
        left, index = np.arange(len(self.index)), self.index
        there = other.lattice.ravel()
        for distance, steps in _shells(self.lattice.shape, spacing, REACH):
            found = there[index + steps[0]]
            for step in steps[1:]:
                found |= there[index + step]
            distances[left[found]] = distance
            left, index = left[~found], index[~found]
            if not len(left):
                return distances
        from scipy.spatial import cKDTree

        places, others = (
            np.stack(np.unravel_index(flat, self.lattice.shape), axis=-1) * np.asarray(spacing)
            for flat in (index, other.index)
        )
        distances[left] = cKDTree(others, balanced_tree=False).query(places)[0]
        return distances


@lru_cache(maxsize=64)
def _areas(spacing: tuple[float, ...]) -> np.ndarray:
    """Area (256,) of a surface element by which of its 2³ voxels are in the mask."""
    return lookup_tables.create_table_neighbour_code_to_surface_area(spacing)


@lru_cache(maxsize=64)
def _shells(
    shape: tuple[int, ...], spacing: tuple[float, ...], reach: int
) -> list[tuple[float, list[int]]]:
    """Steps to the places of a lattice within reach, as (distance, flat steps), nearest first."""
    distances, ends, steps = _steps(spacing, reach)
    flat = (steps @ np.array([shape[1] * shape[2], shape[2], 1])).tolist()
    starts = [0, *ends[:-1]]
    return [
        (distance, flat[start:end])
        for distance, start, end in zip(distances, starts, ends, strict=True)
    ]


@lru_cache(maxsize=64)
def _steps(spacing: tuple[float, ...], reach: int) -> tuple[list[float], list[int], np.ndarray]:
    """Of all steps (n, 3) to places within reach the different lengths, and where each ends."""
    axes = [np.arange(-reach, reach + 1)] * 3
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(steps * np.asarray(spacing), axis=1)
    # All places that are so near are in the lattice's margin.
    near = np.flatnonzero(lengths <= reach * min(spacing))
    near = near[np.argsort(lengths[near], kind="stable")]
    distances, counts = np.unique(lengths[near], return_counts=True)
    return distances.tolist(), np.cumsum(counts).tolist(), steps[near]
