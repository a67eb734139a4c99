"""The mean abdomen as implicit surfaces, in its own frame.

The frame: mm, x to the patient's left, y to the back, z to the head; z = 0 between the first two
lumbar vertebrae, x = 0 in the midline. Diaphragm and heart are those of the chest phantom, moved.

Subjects are made of this abdomen by `maps`; the parameters here are those no deformation makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.phantoms.anatomy.chest import anatomy as chest
from warpline.phantoms.anatomy.chest.shapes import (
    Points,
    Profiles,
    bump,
    capsule,
    ellipsoid,
    soft_minimum,
    step,
)

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

# Points along tubes and their radii there, mm.
Tube = tuple[tuple[tuple[float, float, float], ...], tuple[float, ...]]
AORTA: Tube = (
    ((24, 38, 230), (22, 36, 150), (17, 26, 100), (9, 13, 55), (7, 6, 0), (4, 2, -55), (1, 6, -90)),
    (12.5, 12.0, 11.5, 10.5, 9.5, 8.8, 8.2),
)
ILIAC_ARTERIES: tuple[Tube, ...] = tuple(
    (
        ((side, 7, -89), (22 * side, 22, -130), (46 * side, 8, -185), (62 * side, -25, -250)),
        (6, 5.5, 5, 4.5),
    )
    for side in (-1, 1)
)
CAVA: Tube = (
    ((-17, -10, 140), (-19, 2, 105), (-21, 9, 60), (-20, 10, 20), (-18, 9, -40), (-14, 14, -98)),
    (12.0, 12.0, 12.5, 11.5, 10.5, 10.0),
)
ILIAC_VEINS: tuple[Tube, ...] = (
    (((-14, 14, -97), (-30, 28, -135), (-54, 14, -190), (-70, -20, -250)), (7.5, 7, 6.5, 6)),
    (((-10, 15, -97), (22, 30, -138), (52, 14, -190), (54, -18, -250)), (7.5, 7, 6.5, 6)),
)
PORTAL: Tube = (
    ((-7, -9, 4), (-14, -11, 18), (-26, -12, 32), (-40, -12, 42)),
    (7.0, 7.0, 7.2, 7.0),
)
SPLENIC: Tube = (
    ((-7, -9, 6), (12, -8, 15), (32, 0, 20), (52, 14, 27), (70, 28, 36), (82, 34, 42)),
    (5.2, 4.8, 4.6, 4.4, 4.2, 4.0),
)
MESENTERIC: tuple[Tube, ...] = (
    (((-7, -9, 5), (-7, -18, -20), (-4, -30, -60), (-20, -42, -95)), (6, 5.5, 4.5, 3)),
)
BRANCHES: tuple[Tube, ...] = (  # arteries
    (((8, -4, 22), (3, -18, 24), (-20, -16, 30), (-34, -20, 38)), (4, 3.5, 3, 2.5)),
    (((3, -18, 24), (25, -14, 32), (60, 18, 42), (78, 30, 48)), (3.2, 3, 2.8, 2.4)),
    (((7, -3, 8), (3, -16, -6), (2, -27, -50), (10, -40, -90)), (3.8, 3.6, 3.2, 2.4)),
    (((10, 8, -4), (24, 18, -6), (42, 34, -5)), (3.4, 3.2, 3)),
    (((2, 8, -6), (-18, 24, -12), (-40, 36, -18)), (3.4, 3.2, 3)),
)
RENAL_VEINS: tuple[Tube, ...] = (
    (((44, 36, -8), (24, 10, -10), (6, -8, -10), (-14, 6, -8)), (5, 5, 4.6, 4.6)),
    (((-42, 36, -20), (-28, 20, -16), (-20, 12, -12)), (5, 5, 4.6)),
)
ESOPHAGUS: Tube = (
    ((5, 20, 230), (7, 14, 150), (13, 4, 112), (24, 0, 88), (36, 2, 74)),
    (8.0, 8.0, 8.0, 8.0, 8.5),
)
# Hepatic veins, and the branches of the portal vein within the liver.
HEPATIC_VESSELS: tuple[Tube, ...] = (
    (((-21, 0, 92), (-52, 10, 78), (-82, 14, 52), (-100, 14, 20)), (5.5, 4.6, 3.6, 2.2)),
    (((-20, -2, 94), (-36, -26, 78), (-52, -48, 52), (-60, -58, 28)), (5.2, 4.2, 3.2, 2.0)),
    (((-18, -4, 94), (0, -24, 84), (22, -44, 72)), (4.6, 3.8, 2.2)),
    (((-52, 10, 78), (-70, -12, 84), (-92, -16, 80)), (3.2, 2.8, 2.0)),
    (((-82, 14, 52), (-98, 30, 44), (-106, 40, 36)), (2.8, 2.4, 1.8)),
    (((-40, -12, 42), (-60, -4, 44), (-76, 6, 36), (-92, 20, 22)), (6.2, 5.0, 4.0, 2.4)),
    (((-60, -4, 44), (-74, -14, 56), (-90, -16, 64)), (4.4, 3.6, 2.2)),
    (((-76, 6, 36), (-84, -6, 20), (-92, -18, 2)), (3.6, 2.8, 1.8)),
    (((-40, -12, 42), (-24, -32, 54), (-2, -44, 60), (16, -52, 58)), (5.2, 4.2, 3.2, 2.0)),
    (((-24, -32, 54), (-34, -54, 44), (-42, -66, 34)), (3.6, 2.8, 1.8)),
)
STOMACH: Tube = (
    ((60, 14, 70), (62, -6, 44), (52, -34, 14), (26, -50, -2), (0, -46, -4), (-22, -38, 2)),
    (33.0, 34.0, 27.0, 21.0, 17.0, 11.0),
)
PANCREAS: Tube = (
    ((-27, -10, -20), (-25, -16, 0), (-6, -22, 10), (18, -18, 18), (44, -4, 23), (70, 16, 34)),
    (13.0, 15.0, 9.5, 10.5, 11.0, 10.0),
)
DUODENUM: Tube = (
    ((-22, -38, 2), (-44, -28, 4), (-52, -12, -22), (-40, -8, -50), (-4, -17, -54), (26, -12, -36)),
    (11.0, 12.0, 12.0, 12.0, 10.0, 10.0),
)
COLON: Tube = (
    (
        (-88, -24, -135),
        (-92, -4, -80),
        (-88, -6, -46),
        (-66, -52, -52),
        (-20, -66, -62),
        (30, -66, -56),
        (76, -42, -22),
        (102, 4, 8),
        (104, 20, -40),
        (98, 6, -110),
        (70, -8, -158),
        (34, -20, -176),
        (14, 18, -188),
        (0, 50, -212),
        (0, 44, -258),
    ),
    (23, 22, 20, 18, 17, 17, 17, 16, 15, 14, 13, 14, 15, 17, 13),
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


# --- body and cavity ------------------------------------------------------------------------------


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


# --- organs ---------------------------------------------------------------------------------------


def tube(points: Points, path: Tube, extra: float = 0.0, blend: float = 0.0) -> np.ndarray:
    """Distance to a chain of capsules, `extra` mm thicker, its joints filled over `blend` mm."""
    ends, radii = path
    distance = None
    for k in range(len(ends) - 1):
        piece = capsule(points, ends[k], ends[k + 1], (radii[k] + extra, radii[k + 1] + extra))
        if distance is None:
            distance = piece
        elif blend:
            distance = soft_minimum(distance, piece, blend)
        else:
            distance = np.minimum(distance, piece)
    return distance


def tubes(points: Points, paths: tuple[Tube, ...]) -> np.ndarray:
    """Distance to the nearest of several tubes."""
    distance = tube(points, paths[0])
    for path in paths[1:]:
        distance = np.minimum(distance, tube(points, path))
    return distance


def _both(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """The intersection of two shapes, its edge rounded over `width` mm."""
    return -soft_minimum(-first, -second, width)


def liver(points: Points) -> np.ndarray:
    """Under the right dome; its lower face looks down, back and left."""
    x, y, z = points
    distance = ellipsoid(points, (-60, -10, 42), (116, 104, 92))
    distance = np.maximum(distance, abdominal(points) + 5)
    # The impressions of colon and kidney make the lower face hollow.
    under = 0.55 * x + 0.35 * y - 0.75 * z + 10 + 4 * np.sin(x / 21) * np.sin(y / 25)
    distance = _both(distance, under, 16.0)
    # The left lobe is thin and lies in front.
    left = 0.55 * x + 0.83 * y - 0.05 * z + 2
    distance = _both(distance, left, 14.0)
    # The notch of the falciform ligament.
    notch = ellipsoid(points, (-8, -66, 12), (2.5, 22, 20))
    return np.maximum(distance, -notch)


def spleen(points: Points) -> np.ndarray:
    """A crescent between the left dome, the stomach and the left kidney."""
    distance = ellipsoid(points, (97, 36, 46), (42, 54, 54))
    hollow = ellipsoid(points, (54, 4, 40), (38, 56, 62))
    distance = _both(distance, -hollow, 8.0)
    return np.maximum(distance, abdominal(points) + 5)


_KIDNEYS = {-1: (-58.0, 44.0, -18.0), 1: (60.0, 42.0, -4.0)}


def kidney(points: Points, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the outer surface of a kidney (−1 right, 1 left) and to its sinus."""
    centre = _KIDNEYS[side]
    # The upper pole is nearer to the midline and further back; the hilum looks inwards and forward.
    long = np.array([-0.24 * side, 0.2, 0.95])
    long /= np.linalg.norm(long)
    inwards = np.array([-0.84 * side, -0.54, 0.0])
    inwards -= (inwards @ long) * long
    inwards /= np.linalg.norm(inwards)
    turn = np.stack([inwards, np.cross(long, inwards), long])
    whole = ellipsoid(points, centre, (26, 23, 54), turn)
    at_hilum = np.asarray(centre) + 17 * inwards
    sinus = ellipsoid(points, at_hilum, (17, 9, 22), turn)
    return whole, np.maximum(sinus, whole - 1)


def gallbladder(points: Points) -> np.ndarray:
    """A pear under the liver, its fundus in front and below."""
    return tube(points, (((-40, -22, 14), (-50, -50, -14)), (9.0, 15.5)))


def adrenal(points: Points, side: int) -> np.ndarray:
    """An inverted Y of thin limbs (−1 right, 1 left)."""
    if side < 0:
        centre, tilt = (-27.0, 30.0, 38.0), 0.55
    else:
        centre, tilt = (29.0, 26.0, 36.0), 0.75
    limbs = []
    for sign in (-1, 1):
        c, s = np.cos(sign * tilt * 0.6), np.sin(sign * tilt * 0.6)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        middle = (centre[0] + 4.5 * sign, centre[1] + 5, centre[2] - 2)
        limbs.append(ellipsoid(points, middle, (3.2, 11, 14), turn))
    body = ellipsoid(points, (centre[0], centre[1] - 4, centre[2] + 2), (4.2, 9, 15))
    return soft_minimum(np.minimum(limbs[0], limbs[1]), body, 2.0)


def pancreas(points: Points) -> np.ndarray:
    """From the duodenum's loop over the spine to the spleen's hilum; lobulated."""
    x, y, z = points
    lobules = 1.3 * np.sin(x / 3.1) * np.sin(z / 3.7 + x / 9) + 0.8 * np.sin(y / 2.9)
    return tube((x, y, z), PANCREAS, blend=6.0) + lobules


def stomach(points: Points) -> np.ndarray:
    """Fundus under the left dome, body, antrum and pylorus, with folds."""
    x, y, z = points
    distance = tube(points, STOMACH, blend=14.0)
    distance = np.maximum(distance, abdominal(points) + 6)
    return distance + 0.9 * np.sin(z / 5 + x / 17) * np.sin(y / 11)


def colon(points: Points) -> np.ndarray:
    """The whole colon and rectum, with haustra."""
    x, _, z = points
    haustra = 2.2 * np.sin(x / 6.5) * np.sin(z / 6 + 0.4) * step(z, -200, -170)
    return tube(points, COLON) + haustra


def bladder(points: Points) -> np.ndarray:
    """The urinary bladder."""
    return ellipsoid(points, (0, -18, -226), (40, 32, 28))


def bowel_region(points: Points, cavity: np.ndarray) -> np.ndarray:
    """Distance to the space in which the small bowel lies."""
    space = ellipsoid(points, (2, -38, -98), (102, 56, 98))
    return np.maximum(space, cavity + 9)


# --- muscles --------------------------------------------------------------------------------------


def deep_muscles(points: Points) -> np.ndarray:
    """Psoas, iliacus and the diaphragm's crura."""
    x, y, z = points
    mirrored = (np.abs(x), y, z)
    psoas = (
        (
            (25, 42, 20),
            (34, 38, -40),
            (44, 34, -100),
            (64, 12, -170),
            (84, -8, -235),
            (96, 8, -262),
        ),
        (7.0, 15.0, 20.0, 19.0, 16.0, 11.0),
    )
    distance = tube(mirrored, psoas)
    quadratus = ellipsoid(mirrored, (62, 68, -40), (24, 8, 62))
    crura = np.maximum(np.abs(tube(points, AORTA) - 5.5) - 3.5, np.abs(z - 55) - 52)
    crura = np.maximum(crura, -6 - y + 12 * step(z, 20, 60))
    return np.minimum(np.minimum(distance, quadratus), crura)
