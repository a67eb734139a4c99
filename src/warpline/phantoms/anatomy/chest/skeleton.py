"""Ribs, costal cartilages and shoulder girdle as tubes; spine and sternum as implicit shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from warpline.phantoms.anatomy.chest import anatomy
from warpline.phantoms.anatomy.chest.shapes import Points, step

T1, VERTEBRA = 96.0, 21.5  # z of the first thoracic vertebra, height of one with its disc, mm
# For each rib: how far it descends, its end (angle from behind, rad), z at the sternum.
RIBS = (
    (22, 2.45, 52),
    (40, 2.55, 38),
    (56, 2.55, 20),
    (66, 2.5, 2),
    (72, 2.45, -16),
    (74, 2.35, -34),
    (74, 2.25, -50),
    (72, 2.1, -62),
    (68, 1.95, -74),
    (60, 1.75, None),
    (44, 1.35, None),
    (30, 0.95, None),
)

Tube = tuple[np.ndarray, np.ndarray]  # points (n, 3) and radii (n,), mm


def _on_wall(angle: np.ndarray, z: np.ndarray, out: float) -> np.ndarray:
    """Points (n, 3) at angles from straight behind, `out` mm outside the cavity."""
    z = np.asarray(z, dtype=np.float64)
    x, v = np.sin(angle), np.cos(angle)
    radius = anatomy.cavity_radius(x, v, z) + out
    return np.stack([x * radius, anatomy.axis_of(z) + v * radius, z], axis=-1)


@lru_cache(maxsize=1)
def rib_tubes() -> tuple[list[Tube], list[Tube]]:
    """Ribs and costal cartilages of both sides.

    A rib is higher than thick: two tubes, one over the other.
    """
    ribs, cartilages = [], []
    for number, (drop, stop, at_sternum) in enumerate(RIBS):
        z0 = T1 - VERTEBRA * number
        t = np.linspace(0, 1, 22)
        angle = 0.5 + (stop - 0.5) * t
        # Steep at the side, level at the back.
        path = _on_wall(angle, z0 - 3 - drop * (0.35 * t + 0.65 * step(t, 0.0, 1.0)), 6.0)
        # Neck: from the side of the vertebra, behind the lung, to the angle.
        back = anatomy.PROFILES.at(np.array([z0]), "back")[0][0]
        neck = np.array([[13.0, back - 19.0, z0 + 2], [26.0, back + 0.0, z0]])
        path = np.concatenate([neck, path])
        n = len(path)
        radius = np.interp(np.arange(n), [0, 2, 4, n - 1], [3.2, 3.4, 3.9, 3.6])
        if number in (0, 10, 11):
            radius = radius * 0.85
        for side in (-1, 1):
            one = path * [side, 1, 1]
            for rise in (-2.6, 2.6):
                taper = np.interp(np.arange(n), [0, 4], [0.2, 1.0])[:, None]
                ribs.append((one + taper * [0, 0, rise], radius))
            if at_sternum is not None:
                s = np.linspace(0, 1, 8)
                z = path[-1, 2] + (at_sternum - path[-1, 2]) * s**1.4
                way = _on_wall(stop + (np.pi - 0.17 - stop) * s, z, 6.0)
                cartilages.append((way * [side, 1, 1], np.full(len(way), 4.6)))
    return ribs, cartilages


@lru_cache(maxsize=1)
def girdle_tubes() -> list[Tube]:
    """Clavicles, with the arms over the head, scapular spines and the heads of the humeri."""
    tubes = []
    for side in (-1, 1):
        clavicle = [(16, -44, 62), (45, -50, 72), (80, -34, 88), (112, -8, 102), (138, 6, 112)]
        tubes.append((np.array(clavicle, float) * [side, 1, 1], np.array([7, 5.5, 5, 5, 5.5])))
        spine = [(95, 92, 52), (120, 72, 74), (140, 44, 96)]
        tubes.append((np.array(spine, float) * [side, 1, 1], np.array([3.5, 4.5, 6.0])))
        humerus = [(152, 22, 104), (158, 14, 122), (170, 0, 170)]
        tubes.append((np.array(humerus, float) * [side, 1, 1], np.array([19.0, 17.0, 12.0])))
    return tubes


def spine_distance(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances to the bone of the vertebrae, the discs and the spinal canal."""
    x, y, z = points
    (back,) = anatomy.PROFILES.at(z, "back")
    level = np.round((z - T1) / VERTEBRA)
    height = z - T1 - VERTEBRA * level
    grow = 1 + 0.0011 * (20 - z)
    y_body, y_canal = back - 25, back - 4
    waist = 1 - 0.07 * np.cos(height * (np.pi / 9))
    across = np.sqrt((x / (16.5 * grow * waist)) ** 2 + ((y - y_body) / (13.5 * grow * waist)) ** 2)
    body = (across - 1) * 14
    bone = np.maximum(body, np.abs(height) - 8.6)
    disc = np.maximum(body, 8.6 - np.abs(height))
    from_canal = np.sqrt((x / 1.15) ** 2 + (y - y_canal) ** 2)
    canal = from_canal - 8.0
    arch = np.maximum(from_canal - 12.5, np.abs(height + 2) - 7.5)
    bone = np.minimum(bone, np.maximum(arch, -canal))
    down = height + 4 + 0.45 * (y - y_canal - 12)
    process = np.maximum(np.abs(x) - 2.6 - 0.05 * (y - y_canal), np.abs(down) - 6.5)
    process = np.maximum(process, np.abs(y - y_canal - 22) - 13)
    bone = np.minimum(bone, process)
    transverse = np.maximum(np.abs(y - y_canal - 5 - 0.22 * np.abs(x)) - 4.6, np.abs(height) - 5.5)
    transverse = np.maximum(transverse, np.abs(np.abs(x) - 20) - 12)
    return np.maximum(np.minimum(bone, transverse), -canal), disc, canal


def sternum_distance(points: Points) -> np.ndarray:
    """Distance to manubrium and body of the sternum, with the gap between them."""
    x, y, z = points
    (front,) = anatomy.PROFILES.at(z, "front")
    half = 13 + 13 * step(z, 20, 50) + 3 * np.sin(z / 9) ** 2
    plate = np.maximum(np.abs(x) - half, np.abs(y - front + 8.5) - 5.0)
    plate = np.maximum(plate, np.abs(z + 18) - 80)
    return np.maximum(plate, 1.5 - np.abs(z - 24))


def scapula_distance(points: Points, out: np.ndarray) -> np.ndarray:
    """Distance to the blades of the scapulae; `out` is the distance from the cavity."""
    x, y, z = points
    side = np.abs(x)
    # A sheet beside the ribs, a triangle seen from behind.
    sheet = np.abs(out - 21 - 0.05 * (z - 20)) - 2.0 - 1.2 * step(side, 118, 140)
    edge = np.maximum(-46 - z + 0.55 * (side - 88), z - 82)
    edge = np.maximum(edge, 78 - 0.05 * z - side)
    edge = np.maximum(edge, side - 122 - 0.2 * (z + 20))
    return np.maximum(np.maximum(sheet, edge), 18 - y)
