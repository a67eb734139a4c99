"""The mean body as implicit surfaces, in its own frame: skin, cavity, diaphragm, lungs.

The frame: mm, x to the patient's left, y to the back, z to the head; z = 0 between the first two
lumbar vertebrae, x = 0 in the midline. Diaphragm and heart are those of the chest phantom, moved.

Subjects are made of this abdomen by `maps`; `Body` has the parameters that no deformation makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.phantoms.anatomy.abdomen.tubes import AORTA, tube
from warpline.phantoms.anatomy.chest import anatomy as chest
from warpline.phantoms.anatomy.chest.shapes import Points, Profiles, bump, step

FLOOR = -262.0  # z of the pelvic floor
TO_CHEST = (0.0, 10.0, -210.0)  # from this frame to the chest's

# Half width, front and back of the cavity and of the skin.
PROFILES = Profiles(
    {
        "width": [
            (-262, 52),
            (-225, 66),
            (-180, 84),
            (-140, 108),
            (-100, 116),
            (-60, 116),
            (0, 122),
            (60, 131),
            (120, 133),
            (200, 124),
        ],
        "front": [(-262, -45), (-200, -74), (-120, -82), (0, -82), (60, -88), (120, -94)],
        "back": [(-262, 70), (-200, 72), (-120, 66), (-60, 66), (0, 74), (60, 82), (200, 90)],
        "skin width": [
            (-320, 168),
            (-260, 172),
            (-210, 174),
            (-160, 166),
            (-110, 154),
            (-50, 146),
            (0, 150),
            (60, 156),
            (120, 160),
            (200, 160),
        ],
        "skin front": [
            (-320, -82),
            (-240, -94),
            (-180, -104),
            (-100, -107),
            (-50, -105),
            (0, -106),
            (60, -109),
            (200, -112),
        ],
        "skin back": [
            (-320, 100),
            (-240, 122),
            (-190, 126),
            (-130, 114),
            (-60, 106),
            (0, 108),
            (60, 113),
            (200, 120),
        ],
        # Middle of the vertebral bodies: lordosis, then kyphosis.
        "spine": [(-150, 52), (-110, 38), (-60, 32), (0, 36), (60, 45), (120, 54), (200, 63)],
    }
)


@dataclass(frozen=True)
class Body:
    """Parameters of a subject that are not a deformation of the mean abdomen.

    Attributes
    ----------
    fat
        How much thicker than in the mean the fat under the skin is, mm.
    bone
        Scale of the bones' HU.
    gas
        Level of the gas in stomach and colon: no gas behind this y (mm) from their middle.
    meal
        HU of what is in the stomach.
    gassy
        Share of the colon and of the small bowel's loops with gas.
    """

    fat: float = 2.0
    bone: float = 1.0
    gas: float = -10.0
    meal: float = 22.0
    gassy: float = 0.2

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> Body:
        """A body drawn around the mean; `variation` scales all deviations from it."""
        d = np.clip(rng.standard_normal(5), -2, 2) * variation
        return cls(
            fat=max(-6.0, 2 + 8 * d[0]),
            bone=1 + 0.12 * d[1],
            gas=-10 + 5 * d[2],
            meal=22 + 10 * d[3],
            gassy=float(np.clip(0.2 + 0.08 * d[4], 0, 1)),
        )


def _outline(x, v, width, depth) -> np.ndarray:
    """Distance to a superellipse of half width `width` and half depth `depth`."""
    r = np.maximum(np.sqrt(x * x + v * v), 1e-3)
    u, w = np.abs(x) / (r * width), np.abs(v) / (r * depth)
    return r - (u * u * np.sqrt(u) + w * w * np.sqrt(w)) ** -0.4


def skin_distance(points: Points, body: Body) -> np.ndarray:
    """Distance to the skin, negative inside."""
    x, y, z = points
    width, front, back = PROFILES.at(z, "skin width", "skin front", "skin back")
    front, back = front - body.fat, back + 0.6 * body.fat
    distance = _outline(x, y - (front + back) / 2, width + body.fat, (back - front) / 2)
    # The back lies flat; a groove over the spine; the cleft; below the floor two legs.
    distance = np.maximum(distance, y - 114 - 0.6 * body.fat)
    groove = 6 * bump(x, 0, 14) * step(y, 60, 100) * (1 + 4 * step(-z, 190, 240))
    between = 12 - np.abs(x) + 0.35 * np.maximum(z - FLOOR + 20, 0)
    return np.maximum(distance + groove, np.minimum(between, FLOOR - 18 - z))


def cavity_distance(points: Points) -> np.ndarray:
    """Distance to the inner face of the wall of chest, abdomen and pelvis."""
    x, y, z = points
    width, front, back = PROFILES.at(z, "width", "front", "back")
    distance = _outline(x, y - (front + back) / 2, width, (back - front) / 2)
    return np.maximum(distance, FLOOR - z)


def in_chest(points: Points) -> Points:
    """The points in the chest phantom's frame."""
    return tuple(p + d for p, d in zip(points, TO_CHEST, strict=True))


def diaphragm(points: Points) -> np.ndarray:
    """Distance to the diaphragm's upper face, negative below it."""
    return chest.diaphragm(in_chest(points))


def lung_distance(points: Points, cavity: np.ndarray) -> np.ndarray:
    """Distance to the lungs' bases."""
    x, y, _ = points
    middle = np.abs(x - 3) - 14 - 10 * step(y, 25, 60)
    between = np.minimum(middle, chest.heart_distance(in_chest(points)) - 2)
    between = np.minimum(between, tube(points, AORTA) - 2)
    return np.maximum(np.maximum(cavity + 2, 2 - diaphragm(points)), -between)


def abdominal(points: Points) -> np.ndarray:
    """Distance to the wall of the space below the diaphragm."""
    return np.maximum(cavity_distance(points), diaphragm(points))
