"""Small tools for implicit shapes: profiles along z, soft steps, distances to capsules.

Points are three arrays of one shape, (x, y, z) in mm; a "distance" is negative inside and about mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

Points = tuple[np.ndarray, np.ndarray, np.ndarray]

LOW, HIGH, STEP = -320.0, 280.0, 0.5  # mm: the range of z in which a profile is tabulated


class Profiles:
    """Lengths that depend on z, monotone cubic between knots and constant beyond them.

    Tabulated, because they are asked for at every voxel.
    """

    def __init__(self, knots: Mapping[str, Sequence[tuple[float, float]]]):
        z = np.arange(LOW, HIGH + STEP, STEP)
        self._tables = {}
        for name, pairs in knots.items():
            at, value = np.array(sorted(pairs), dtype=np.float64).T
            table = PchipInterpolator(at, value)(np.clip(z, at[0], at[-1]))
            step = np.append(np.diff(table), 0.0)
            self._tables[name] = {
                np.dtype(kind): (table.astype(kind), step.astype(kind))
                for kind in (np.float32, np.float64)
            }
        self._last = len(z) - 1

    def at(self, z: np.ndarray, *names: str) -> list[np.ndarray]:
        """The named profiles at `z`, in its type."""
        position = np.clip((z - LOW) / STEP, 0, self._last)
        index = position.astype(np.int32)
        position -= index
        result = []
        for name in names:
            table, step = self._tables[name][z.dtype]
            result.append(table[index] + position * step[index])
        return result


def step(value: np.ndarray, start: float, stop: float) -> np.ndarray:
    """0 at `start`, 1 at `stop`, with zero slope at both (``3t² − 2t³``)."""
    t = np.clip((value - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)


def step_slope(value: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The derivative of `step`."""
    t = np.clip((value - start) / (stop - start), 0, 1)
    return 6 * t * (1 - t) / (stop - start)


def bump(value: np.ndarray, middle: float, width: float) -> np.ndarray:
    """A Gaussian of height 1."""
    return np.exp(-(((value - middle) / width) ** 2))


def coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """The part of a voxel of `width` mm that lies inside a surface at `distance` mm."""
    return np.clip(0.5 - distance / width, 0, 1)


def soft_minimum(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """The union of two shapes, the edge between them filled over `width` mm."""
    gap = np.maximum(width - np.abs(first - second), 0)
    return np.minimum(first, second) - gap * gap / (4 * width)


def ellipsoid(
    points: Points, centre: Sequence[float], radii: Sequence[float], turn: np.ndarray | None = None
) -> np.ndarray:
    """Distance to an ellipsoid; `turn` (3, 3) has its axes as rows."""
    offset = [p - c for p, c in zip(points, centre, strict=True)]
    if turn is not None:
        offset = [sum(float(t) * o for t, o in zip(row, offset, strict=True)) for row in turn]
    square = sum((o / r) ** 2 for o, r in zip(offset, radii, strict=True))
    return (np.sqrt(square) - 1) * min(radii)


def capsule(
    points: Points, start: Sequence[float], end: Sequence[float], radius: tuple[float, float]
) -> np.ndarray:
    """Distance to a tube with round ends, whose radius goes from one to the other."""
    axis = np.subtract(end, start)
    offset = [p - float(s) for p, s in zip(points, start, strict=True)]
    along = sum(float(a) * o for a, o in zip(axis, offset, strict=True)) / float(axis @ axis)
    along = np.clip(along, 0, 1)
    square = sum((o - along * float(a)) ** 2 for a, o in zip(axis, offset, strict=True))
    return np.sqrt(square) - (radius[0] + along * (radius[1] - radius[0]))
