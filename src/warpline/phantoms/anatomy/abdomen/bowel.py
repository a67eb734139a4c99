"""Small bowel, colon and bladder: walls and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from warpline.phantoms.anatomy.abdomen import tubes, viscera
from warpline.phantoms.anatomy.abdomen.body import Body
from warpline.phantoms.anatomy.abdomen.canvas import Canvas, box_of
from warpline.phantoms.anatomy.chest.shapes import Points

GAS, URINE = -960.0, 6.0  # HU
LOOP = 27.0  # mm, width of a loop of small bowel


@dataclass(frozen=True)
class Loops:
    """The small bowel as cells about jittered centres, each with content of its own.

    Attributes
    ----------
    centres
        (n, 3) mm, mean frame.
    content
        HU in the middle of each cell.
    """

    centres: np.ndarray
    content: np.ndarray
    tree: cKDTree

    @classmethod
    def random(cls, rng: np.random.Generator, gassy: float) -> Loops:
        """A filling; `gassy` is the share of loops with gas."""
        # Longer along x than along the other axes, as loops more often lie across.
        steps = np.array([1.7, 1.0, 0.95]) * LOOP
        lines = [
            np.arange(low, high, s)
            for low, high, s in zip((-120, -100, -210), (125, 30, 15), steps, strict=True)
        ]
        centres = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
        centres = centres + rng.uniform(-0.42, 0.42, centres.shape) * steps
        kind = rng.random(len(centres))
        content = np.where(kind < gassy, GAS, rng.normal(18, 9, len(centres)))
        return cls(centres, content, cKDTree(centres / [1.5, 1, 1]))

    def at(self, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Depth below a loop's surface (mm), content, and y from the loop's middle."""
        x, y, z = points
        at = np.stack([x / 1.5, y, z], axis=-1)
        distance, nearest = self.tree.query(at, k=2)
        depth = (distance[:, 1] - distance[:, 0]) / 2
        middle = self.centres[nearest[:, 0], 1]
        return (
            depth.astype(np.float32),
            self.content[nearest[:, 0]].astype(np.float32),
            (y - middle).astype(np.float32),
        )


def draw_bowel(
    canvas: Canvas,
    cavity: np.ndarray,
    body: Body,
    table: Mapping[str, float],
    loops: Loops,
    grain: np.ndarray,
) -> None:
    """Lay bladder, small bowel and colon into the cavity.

    Parameters
    ----------
    cavity
        Distance of the canvas' points to the cavity's wall, mm.
    table
        HU by tissue, from `phases`.
    grain
        Of the tissues at the points, about unit variance.
    """
    wall = table["wall"]
    where = canvas.near(((-105, -95, -200), (105, 20, 5)))
    region = viscera.bowel_region(canvas.at(where), cavity[where])
    where, region = where[region < 0], region[region < 0]
    if len(where):
        depth, content, above = loops.at(canvas.at(where))
        surface = np.maximum(3.2 - depth, region)
        canvas.lay(where, surface, wall + 4 * grain[where])
        fluid = np.where(content == GAS, 15, content)
        lumen = surface + 3.2
        canvas.lay(where, lumen, fluid + 10 * grain[where])
        gas = np.maximum(lumen, above + 2)
        canvas.lay(where, np.where(content == GAS, gas, 99.0), GAS)
    canvas.shape(((-42, -52, -256), (42, 16, -196)), viscera.bladder, wall, rim=3.0)
    canvas.shape(((-42, -52, -256), (42, 16, -196)), lambda p: viscera.bladder(p) + 4, URINE)
    where = canvas.near(box_of(tubes.COLON))
    if len(where) == 0:
        return
    part = canvas.at(where)
    x, y, z = part
    distance = viscera.colon(part)
    canvas.lay(where, distance, wall, rim=1.0)
    # Stool: mottled, with gas in it; gas in front in some stretches.
    stool = 10 + 45 * grain[where] - 240 * np.clip(grain[where] - 0.7, 0, 1)
    canvas.lay(where, distance + 3, stool)
    swing = np.sin(x / 31 + z / 43 + 7 * body.meal)
    level = 2 + 26 * (0.45 - swing) - 40 * body.gassy
    canvas.lay(where, np.maximum(distance + 3, y - _colon_middle(part) + level), GAS)


def _colon_middle(points: Points) -> np.ndarray:
    """y of the colon's nearest bend, about: where gas and stool meet."""
    ends = np.array(tubes.COLON[0], dtype=np.float32)
    best = np.full(points[0].shape, np.inf, dtype=np.float32)
    result = np.zeros_like(best)
    for a, b in pairwise(ends):
        way = b - a
        along = sum((p - s) * w for p, s, w in zip(points, a, way, strict=True)) / (way @ way)
        np.clip(along, 0, 1, out=along)
        square = sum((p - s - along * w) ** 2 for p, s, w in zip(points, a, way, strict=True))
        nearer = square < best
        best = np.where(nearer, square, best)
        result = np.where(nearer, a[1] + along * way[1], result)
    return result
