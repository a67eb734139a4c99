"""Tumours in liver, pancreas, kidney and colon: ellipsoids with ragged edges, some necrotic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.phantoms.anatomy.abdomen import tubes, viscera
from warpline.phantoms.anatomy.abdomen.organs import NUMBER, TUMOURS
from warpline.phantoms.anatomy.chest.shapes import Points
from warpline.registry import suggestion


@dataclass(frozen=True)
class Tumour:
    """One tumour, in the frame of the mean abdomen.

    Attributes
    ----------
    organ
        Number of the common organ it belongs to; 0 for the colon, which is none of them.
    label
        Its value in the second map.
    within
        Whether it ends where its organ does; others bulge.
    stretch
        Half axes along x, y, z, in radii.
    """

    organ: int
    label: int
    centre: tuple[float, float, float]
    radius: float
    stretch: tuple[float, float, float]
    hu: float
    within: bool


def random_tumours(
    rng: np.random.Generator, organs: Sequence[str], table: Mapping[str, float]
) -> list[Tumour]:
    """Tumours of the named organs, at least one in each.

    Parameters
    ----------
    table
        HU by tissue, from `phases`.

    Raises
    ------
    WarplineError
        If there is an organ in which no tumour is known.
    """
    result = []
    for organ in organs:
        if organ not in TUMOURS:
            raise WarplineError(
                f"There are no tumours of '{organ}'.",
                where="tumours",
                do=suggestion(organ, list(TUMOURS)),
            )
        result += _MAKERS[organ](rng, table)
    return result


def _inside(
    rng: np.random.Generator,
    box: tuple[Sequence[float], Sequence[float]],
    distance: Callable[[Points], np.ndarray],
    depth: tuple[float, float],
) -> tuple[float, float, float]:
    """A random point at a depth (range, mm) below a surface."""
    points = rng.uniform(*box, size=(4000, 3))
    value = -distance(tuple(points.T))
    fit = points[(value >= depth[0]) & (value <= depth[1])]
    return tuple(float(c) for c in fit[0])


def _stretch(rng: np.random.Generator) -> tuple[float, float, float]:
    return tuple(float(s) for s in rng.uniform(0.8, 1.2, 3))


def _of_liver(rng: np.random.Generator, table: Mapping[str, float]) -> list[Tumour]:
    box = ((-120, -80, -40), (40, 70, 110))

    # Not where its neighbours dent it.
    def free(points: Points) -> np.ndarray:
        near = np.minimum(viscera.kidney(points, -1)[0] - 5, viscera.gallbladder(points))
        near = np.minimum(near, tubes.tubes(points, (tubes.CAVA, tubes.PORTAL)))
        return np.maximum(viscera.liver(points), -near)

    return [
        Tumour(
            NUMBER["liver"],
            TUMOURS["liver"],
            _inside(rng, box, free, (8.0, 99.0)),
            float(rng.uniform(8, 20)),
            _stretch(rng),
            table["liver"] - float(rng.uniform(35, 55)),
            True,
        )
        for _ in range(rng.integers(1, 5))
    ]


def _of_pancreas(rng: np.random.Generator, table: Mapping[str, float]) -> list[Tumour]:
    box = ((-45, -35, -35), (80, 25, 45))
    return [
        Tumour(
            NUMBER["pancreas"],
            TUMOURS["pancreas"],
            _inside(rng, box, viscera.pancreas, (4.0, 99.0)),
            float(rng.uniform(9, 15)),
            _stretch(rng),
            table["pancreas"] - float(rng.uniform(30, 45)),
            False,
        )
    ]


def _of_kidney(rng: np.random.Generator, table: Mapping[str, float]) -> list[Tumour]:
    side = 1 if rng.random() < 0.5 else -1
    box = ((-90, 15, -75), (-25, 72, 40)) if side < 0 else ((25, 15, -60), (90, 72, 55))

    # Away from hilum and great vessels: on the outer half.
    def away(points: Points) -> np.ndarray:
        return np.maximum(viscera.kidney(points, side)[0], 58 - np.abs(points[0]))

    name = "right_kidney" if side < 0 else "left_kidney"
    return [
        Tumour(
            NUMBER[name],
            TUMOURS["kidney"],
            _inside(rng, box, away, (0.0, 5.0)),
            float(rng.uniform(13, 24)),
            _stretch(rng),
            0.55 * table["cortex"] + 20,
            False,
        )
    ]


def _of_colon(rng: np.random.Generator, table: Mapping[str, float]) -> list[Tumour]:
    ends = np.array(tubes.COLON[0], dtype=float)
    # In any stretch but the last, the rectum.
    k = int(rng.integers(0, len(ends) - 2))
    centre = ends[k] + rng.random() * (ends[k + 1] - ends[k])
    return [
        Tumour(
            0,
            TUMOURS["colon"],
            tuple(float(c) for c in centre),
            float(rng.uniform(13, 20)),
            _stretch(rng),
            table["wall"] + 8,
            False,
        )
    ]


_MAKERS = {
    "liver": _of_liver,
    "pancreas": _of_pancreas,
    "kidney": _of_kidney,
    "colon": _of_colon,
}
