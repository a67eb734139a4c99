"""The mean chest as implicit surfaces, in its own frame.

The frame: mm, x to the patient's left, y to the back, z to the head; z = 0 at the carina, x = 0 in
the midline. The thoracic cavity is star-shaped about an axis along z, so that a point in it has
normalised cylindrical coordinates (ρ, θ, z), ρ = 1 on the inner face of the ribs: breathing
(`motion`) needs those. Its walls go on below the diaphragm round the abdomen. The spine dents it
from behind.

Subjects are made of this chest by `maps`; the parameters here are those that no deformation makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from warpline.phantoms.anatomy.chest.shapes import (
    Points,
    Profiles,
    bump,
    capsule,
    ellipsoid,
    soft_minimum,
    step,
)
from warpline.phantoms.anatomy.chest.trunks import AIRWAYS, ARTERIES, GREAT_VESSELS, VEINS

RUL, RML, RLL, LUL, LLL = 1, 2, 3, 4, 5
LOBES = {RUL: "R_upper", RML: "R_middle", RLL: "R_lower", LUL: "L_upper", LLL: "L_lower"}
RIGHT, LEFT = 1, 2

# Half width of the cavity, its front and back, the depth of the spine's dent; the same of the skin.
PROFILES = Profiles(
    {
        "width": [
            (-230, 126),
            (-150, 133),
            (-90, 134),
            (-40, 130),
            (0, 122),
            (40, 108),
            (70, 90),
            (90, 70),
            (108, 50),
            (140, 42),
        ],
        "front": [
            (-230, -84),
            (-150, -96),
            (-80, -97),
            (-30, -93),
            (10, -84),
            (45, -66),
            (75, -40),
            (100, -22),
            (140, -14),
        ],
        "back": [
            (-230, 84),
            (-130, 93),
            (-60, 98),
            (0, 97),
            (45, 88),
            (75, 76),
            (100, 64),
            (140, 56),
        ],
        "dent": [(-230, 46), (0, 45), (50, 41), (80, 32), (100, 24), (140, 22)],
        "skin width": [
            (-230, 150),
            (-150, 158),
            (-90, 161),
            (-20, 162),
            (30, 170),
            (70, 186),
            (95, 186),
            (115, 165),
            (135, 105),
            (160, 75),
        ],
        "skin front": [
            (-230, -104),
            (-150, -117),
            (-70, -119),
            (0, -114),
            (40, -98),
            (75, -72),
            (105, -52),
            (140, -48),
        ],
        "skin back": [
            (-230, 120),
            (-130, 124),
            (-40, 130),
            (20, 131),
            (60, 124),
            (95, 106),
            (140, 86),
        ],
    }
)

# The heart's long axis points to the left, forward and down.
_LONG = np.array([0.72, -0.44, -0.53])
_LONG /= np.linalg.norm(_LONG)
_SIDE = np.cross(_LONG, [0.0, 0.0, 1.0])
_SIDE /= np.linalg.norm(_SIDE)
HEART_TURN = np.stack([_LONG, _SIDE, np.cross(_LONG, _SIDE)])
HEART = (18.0, -27.0, -57.0)

# Domes of the diaphragm: x, y and z of the top, half widths along x and y.
DOMES = (
    (-68.0, -8.0, -90.0, 74.0, 92.0),
    (72.0, -8.0, -104.0, 70.0, 92.0),
    (8.0, -34.0, -107.0, 62.0, 70.0),
)


@dataclass(frozen=True)
class Body:
    """Parameters of a subject that are not a deformation of the mean chest.

    Attributes
    ----------
    fat
        How much thicker than in the mean chest the fat under the skin is, mm.
    muscle
        Scale of the muscles' thickness.
    breast
        Size of the breasts, 0 to 1.
    bone
        Scale of the bones' HU.
    gas
        Level of the gas in the stomach, mm above the stomach's middle.
    parenchyma
        HU of the lung half way between front and back, at inhale.
    gradient
        Change of it from front to back, HU.
    vessels
        Scale of the radii of airways and vessels.
    """

    fat: float = 0.0
    muscle: float = 1.0
    breast: float = 0.0
    bone: float = 1.0
    gas: float = 8.0
    parenchyma: float = -875.0
    gradient: float = 45.0
    vessels: float = 1.0

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> Body:
        """A body drawn around the mean; `variation` scales all deviations from it."""
        d = np.clip(rng.standard_normal(8), -2, 2) * variation
        female = rng.random() < 0.45
        return cls(
            fat=max(-7.0, 1.0 + 5.5 * d[0]),
            muscle=1 + 0.12 * d[1],
            breast=float(np.clip(0.6 + 0.3 * d[2], 0.2, 1.0)) * min(variation, 1.0) * female,
            bone=1 + 0.12 * d[3],
            gas=8 + 8 * d[4],
            parenchyma=-875 + 11 * d[5],
            gradient=45 + 9 * d[6],
            vessels=1 + 0.05 * d[7],
        )


# --- the cavity -----------------------------------------------------------------------------------


def axis_of(z: np.ndarray) -> np.ndarray:
    """y of the cavity's axis."""
    front, back = PROFILES.at(z, "front", "back")
    return (front + back) / 2


def cavity_radius(x: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Distance from the axis to the cavity's surface in the direction of (x, v), a unit vector."""
    width, front, back, dent = PROFILES.at(z, "width", "front", "back", "dent")
    outline = _superellipse(x / width, 2 * v / (back - front))
    # exp((cos φ − 1) / σ²) is a Gaussian of the angle from straight behind, without the angle.
    return 1 / outline - dent * np.exp((v - 1) / 0.13)


def _superellipse(u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """``(|u|^2.5 + |w|^2.5)^(1/2.5)``, by square roots."""
    u, w = np.abs(u), np.abs(w)
    return (u * u * np.sqrt(u) + w * w * np.sqrt(w)) ** 0.4


def polar(x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius and unit direction of offsets from the axis."""
    # The axis itself has no direction; it lies in the heart, where the map is not smooth.
    r = np.maximum(np.sqrt(x * x + v * v), 1e-3)
    return r, x / r, v / r


@dataclass(frozen=True)
class InCavity:
    """Points in the cavity's coordinates: distance from the axis, direction, radius, mm."""

    r: np.ndarray
    cx: np.ndarray
    cv: np.ndarray
    radius: np.ndarray

    @classmethod
    def of(cls, points: Points) -> InCavity:
        x, y, z = points
        r, cx, cv = polar(x, y - axis_of(z))
        return cls(r, cx, cv, cavity_radius(cx, cv, z))

    @property
    def distance(self) -> np.ndarray:
        """To the inner face of the ribs."""
        return self.r - self.radius

    def __getitem__(self, where: np.ndarray) -> InCavity:
        return InCavity(self.r[where], self.cx[where], self.cv[where], self.radius[where])


def skin_distance(points: Points, body: Body) -> np.ndarray:
    """Distance to the skin; flattened where the back lies on the couch."""
    x, y, z = points
    width, front, back = PROFILES.at(z, "skin width", "skin front", "skin back")
    front, back = front - body.fat, back + 0.7 * body.fat
    r, cx, cv = polar(x, y - (front + back) / 2)
    radius = 1 / _superellipse(cx / (width + body.fat), 2 * cv / (back - front))
    # The groove over the spine, the hollow over the sternum, small irregularities.
    radius = radius - 4 * np.exp((cv - 1) / 0.012) - 3 * np.exp((-cv - 1) / 0.02)
    radius += 1.2 * np.sin(z / 17 + 3 * cx) * (1 + cv) / 2
    distance = r - radius
    flat = y - BACK - 0.7 * body.fat
    distance = np.maximum(distance, flat)
    if body.breast > 0:
        size = body.breast
        mirrored = (np.abs(x), y, z)
        reach = (50 + 12 * size, 17 + 17 * size, 50 + 10 * size)
        breast = ellipsoid(mirrored, (80, -88 - body.fat, -42), reach)
        distance = soft_minimum(distance, breast, 14.0)
    return distance


BACK = 122.0  # y at which the back of a mean body lies on the couch


# --- diaphragm, lungs, lobes ----------------------------------------------------------------------


def diaphragm(points: Points) -> np.ndarray:
    """Distance to the diaphragm's upper face, negative below it."""
    x, y, z = points
    top = np.full_like(z, -400)
    slope = np.zeros_like(z)
    for x0, y0, height, a, b in DOMES:
        uy = (y - y0) / b
        square = ((x - x0) / a) ** 2 + uy * uy
        # Deeper behind than in front.
        deep = 1 + 0.35 * uy
        dome = height - (30 * square + 20 * square * square) * deep
        higher = dome > top
        steep = np.sqrt(square) * (60 + 80 * square) * deep / (0.5 * (a + b))
        slope = np.where(higher, steep, slope)
        top = np.where(higher, dome, top)
    return (z - top) / np.sqrt(1 + slope * slope)


def _apex(points: Points) -> np.ndarray:
    """Distance to the domes of the lungs' apices, positive above."""
    x, y, z = points
    u, v = (np.abs(x) - 46) / 29, (y - 24) / 44
    return (z - 97 + 11 * (u * u + v * v)) * 0.75


def heart_distance(points: Points) -> np.ndarray:
    """Distance to the pericardium."""
    # It rests on the diaphragm: flatter, and reaching further, below than above.
    x, y, z = points
    under = np.minimum(z - HEART[2], 0)
    points = (x, y, z - 0.3 * under)
    ventricles = ellipsoid(points, HEART, (66, 45, 45), HEART_TURN)
    right_atrium = ellipsoid(points, (-19, -13, -54), (28, 31, 37))
    left_atrium = ellipsoid(points, (2, 12, -47), (37, 20, 23))
    outflow = ellipsoid(points, (6, -34, -26), (30, 24, 28))
    return np.minimum(np.minimum(ventricles, right_atrium), np.minimum(left_atrium, outflow))


def mediastinum(points: Points) -> np.ndarray:
    """Distance to the surface between the lungs and what lies between them."""
    x, y, z = points
    # The midline: thin in front of the heart, wide at the trachea and at the thoracic inlet.
    half = (
        2.5 + 12.5 * bump(y, 14, 38) + 14 * step(z, 35, 85) + 10 * step(y, 20, 55) * step(z, -60, 0)
    )
    distance = np.abs(x - 2 - 4 * np.sin(z / 40 + y / 60) + 0.06 * np.minimum(y, 0)) - half
    distance = np.minimum(distance, heart_distance(points) - 1)
    # Fat under the heart and beside it, over the diaphragm.
    under = np.maximum(heart_distance((x, y, np.maximum(z, HEART[2] - 12))), z - HEART[2])
    distance = np.minimum(distance, under + 2)
    for centre, radii in (((-34, -62, -104), (22, 18, 20)), ((58, -62, -108), (24, 16, 18))):
        distance = np.minimum(distance, ellipsoid(points, centre, radii))
    for start, end, radius in sheath():
        distance = np.minimum(distance, capsule(points, start, end, radius))
    return distance


@lru_cache(maxsize=1)
def sheath() -> tuple[tuple[tuple, tuple, tuple[float, float]], ...]:
    """Great vessels and central airways with the fat around them: capsules no lung goes into."""
    capsules = []
    for points, radii, pad in (
        *((p, r, 2.5) for _, p, r in GREAT_VESSELS),
        *((p, r, 2.0) for trunks in (AIRWAYS, ARTERIES, VEINS) for p, r in trunks.capsules()),
    ):
        for k in range(len(points) - 1):
            radius = (radii[k] + pad, radii[k + 1] + pad)
            capsules.append((tuple(points[k]), tuple(points[k + 1]), radius))
    return tuple(capsules)


def lung_distance(points: Points, cavity: InCavity) -> np.ndarray:
    """Distance to the surface of the nearer lung."""
    distance = np.maximum(cavity.distance + 1.0, 1.5 - diaphragm(points))
    distance = np.maximum(distance, _apex(points))
    # The mediastinum costs most, and matters only where the others leave room.
    near = distance < 8
    inner = tuple(p[near] for p in points)
    distance[near] = np.maximum(distance[near], -mediastinum(inner))
    return distance


def fissures(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Heights over the oblique and the horizontal fissure (mm, about normal to them)."""
    x, y, z = points
    left = x > 0
    wave = 3.5 * np.sin(x / 24 + y / 40) + 2.5 * np.cos(y / 23)
    side = (np.abs(x) - 72) / 10
    oblique = np.where(left, -33 + 0.86 * y, -40 + 0.82 * y) + wave - 0.35 * side * side
    horizontal = -24 + 0.08 * y + 2.5 * np.sin(x / 18) - 0.08 * (np.abs(x) - 60)
    return (z - oblique) * 0.76, z - horizontal


def lobes(points: Points) -> np.ndarray:
    """Which lobe (uint8) a point in a lung belongs to; meaningless outside."""
    oblique, horizontal = fissures(points)
    right = np.where(oblique < 0, RLL, np.where(horizontal < 0, RML, RUL))
    return np.where(points[0] > 0, np.where(oblique < 0, LLL, LUL), right).astype(np.uint8)
