"""Distances between the surfaces of labels.

The definition is DeepMind's (Nikolov et al. 2018, *Deep learning to achieve clinically applicable
segmentation of head and neck anatomy for radiotherapy*; package `surface-distance`): surface
elements lie between voxels and count by their area, so that anisotropic voxels are weighted right.
The Learn2Reg challenge uses the same package. Of it the areas are taken; the nearest element is
found in a tree of the other surface's elements, not by a distance transform of the whole box.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from surface_distance import lookup_tables

from warpline.images.regions import bounding_boxes, union


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

    Returns
    -------
    dict
        Label value → distances; None where either map lacks the label, for there is no distance
        to a surface that does not exist.
    """
    if fixed.shape != warped.shape:
        raise ValueError(f"label maps of shapes {fixed.shape} and {warped.shape}")
    in_fixed, in_warped = bounding_boxes(fixed), bounding_boxes(warped)
    spacing = tuple(float(s) for s in spacing)
    table = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    result: dict[int, SurfaceDistances | None] = {}
    for label in labels:
        if label not in in_fixed or label not in in_warped:
            result[label] = None
            continue
        box = union(in_fixed[label], in_warped[label])
        result[label] = _between(
            *((_elements(part[box] == label, spacing, table)) for part in (fixed, warped))
        )
    return result


def _elements(
    mask: np.ndarray, spacing: tuple[float, ...], table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 3), in the unit of the spacing, and areas (n,) of a mask's surface elements.

    An element lies between 2³ voxels that are not all the same; which of them are in the mask tells
    its area.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    code = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for corner in np.ndindex(2, 2, 2):
        part = padded[tuple(slice(c, c + n) for c, n in zip(corner, code.shape, strict=True))]
        code |= part << np.uint8(7 - np.ravel_multi_index(corner, (2, 2, 2)))
    # From 0 and 255, all out or all in, to 1 and 0.
    index = np.flatnonzero(code + np.uint8(1) > 1)
    places = np.stack(np.unravel_index(index, code.shape), axis=-1)
    return places * np.asarray(spacing), table[code.ravel()[index]]


def _between(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> SurfaceDistances:
    from scipy.spatial import cKDTree

    trees = [cKDTree(places, balanced_tree=False) for places, _ in (first, second)]
    found = []
    for (places, areas), tree in ((first, trees[1]), (second, trees[0])):
        distances, _ = tree.query(places)
        order = np.argsort(distances)
        found.append((distances[order], areas[order]))
    return SurfaceDistances(*zip(*found, strict=True))
