"""HU and labels at points, over which shapes are laid one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from warpline.phantoms.anatomy.abdomen.tubes import Tube
from warpline.phantoms.anatomy.chest.shapes import Points, coverage

AIR, FAT = -1000.0, -104.0  # HU
REACH = 8.0  # mm about a box within which a shape may change voxels

Box = tuple[Sequence[float], Sequence[float]]


class Canvas:
    """HU and labels at points, over which shapes are laid one after the other.

    A label belongs to where a shape's distance is negative, however wide the voxels are.
    """

    def __init__(self, points: Points, width: float):
        n = len(points[0])
        self.points, self.width = points, width
        self.hu = np.full(n, AIR, dtype=np.float32)
        self.organ, self.other = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        self._low = [float(p.min(initial=np.inf)) for p in points]
        self._high = [float(p.max(initial=-np.inf)) for p in points]

    def near(self, box: Box) -> np.ndarray:
        """Indices of the points in a box, (low, high) in mm."""
        reach = REACH + self.width
        low, high = [b - reach for b in box[0]], [b + reach for b in box[1]]
        if any(self._high[k] < low[k] or self._low[k] > high[k] for k in range(3)):
            return np.zeros(0, dtype=np.intp)
        inside = np.ones(len(self.hu), dtype=bool)
        for axis in range(3):
            # Axes along which everything lies inside need no look.
            if self._low[axis] < low[axis]:
                inside &= self.points[axis] >= low[axis]
            if self._high[axis] > high[axis]:
                inside &= self.points[axis] <= high[axis]
        return np.flatnonzero(inside)

    def at(self, where: np.ndarray) -> Points:
        """The points of some indices."""
        return tuple(p[where] for p in self.points)

    def lay(
        self,
        where: np.ndarray,
        distance: np.ndarray,
        value: float | np.ndarray,
        *,
        organ: int | None = 0,
        other: int | None = 0,
        rim: float = 0.0,
    ) -> None:
        """Lay a shape over what is there.

        Parameters
        ----------
        organ, other
            Its labels; None: those of what it covers stay.
        rim
            Fat about it, mm, that covers its neighbours.
        """
        if rim:
            self.lay(where, distance - rim, FAT)
        self.hu[where] += coverage(distance, self.width) * (value - self.hu[where])
        inside = where[distance < 0]
        if organ is not None:
            self.organ[inside] = organ
        if other is not None:
            self.other[inside] = other

    def shape(self, box: Box, distance: Callable[[Points], np.ndarray], value, **settings) -> None:
        """`lay` a shape that lies in a box."""
        where = self.near(box)
        if len(where):
            if callable(value):
                value = value(where)
            self.lay(where, distance(self.at(where)), value, **settings)


def box_of(*paths: Tube) -> Box:
    """A box about tubes."""
    ends = np.array([p for points, _ in paths for p in points], dtype=float)
    radii = np.array([r for _, radius in paths for r in radius], dtype=float)[:, None]
    return tuple((ends - radii).min(axis=0)), tuple((ends + radii).max(axis=0))
