"""The mean abdomen's organs and deep muscles as implicit surfaces; the frame is that of `body`."""

from __future__ import annotations

import numpy as np

from warpline.phantoms.anatomy.abdomen.body import abdominal
from warpline.phantoms.anatomy.abdomen.tubes import AORTA, COLON, PANCREAS, STOMACH, tube
from warpline.phantoms.anatomy.chest.shapes import Points, ellipsoid, soft_minimum, step


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
