"""Spine, pelvis, hips and the lower ribs as implicit shapes; the frame is that of `body`."""

from __future__ import annotations

import numpy as np

from warpline.phantoms.anatomy.abdomen.body import PROFILES
from warpline.phantoms.anatomy.chest.shapes import Points, capsule, ellipsoid, soft_minimum, step

VERTEBRA = 33.0  # mm, height of a lumbar vertebra with its disc
RIB_STEP = 25.0  # mm between two ribs
SACRUM = -122.0  # z of its upper face


def spine_distance(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances to the bone of the vertebrae, the discs and the spinal canal."""
    x, y, z = points
    (middle,) = PROFILES.at(z, "spine")
    height = z - VERTEBRA * (np.floor(z / VERTEBRA) + 0.5)
    waist = 1 - 0.07 * np.cos(height * (np.pi / 13))
    across = np.sqrt((x / (23.5 * waist)) ** 2 + ((y - middle) / (17 * waist)) ** 2)
    body = (across - 1) * 18
    body = np.maximum(body, SACRUM - z)
    bone = np.maximum(body, np.abs(height) - 12.4)
    disc = np.maximum(body, 12.4 - np.abs(height))
    y_canal = middle + 26
    from_canal = np.sqrt((x / 1.3) ** 2 + (y - y_canal) ** 2)
    canal = np.maximum(from_canal - 9, SACRUM - z)
    arch = np.maximum(np.maximum(from_canal - 14.5, -canal), np.abs(height + 3) - 11)
    process = np.maximum(np.abs(x) - 3.5, np.abs(height + 6) - 10)
    process = np.maximum(process, np.abs(y - y_canal - 26) - 15)
    transverse = np.maximum(np.abs(y - y_canal + 4) - 4, np.abs(height) - 6)
    transverse = np.maximum(transverse, np.abs(np.abs(x) - 28) - 15)
    behind = np.maximum(np.minimum(np.minimum(arch, process), transverse), SACRUM - z)
    return np.maximum(np.minimum(bone, behind), -canal), disc, canal


def pelvis_distance(points: Points) -> np.ndarray:
    """Distance to sacrum, hip bones and femora."""
    x, y, z = points
    side = np.abs(x)
    mirrored = (side, y, z)
    sacrum = ellipsoid(points, (0, 66, -150), (54, 20, 40), _tilted(0.5))
    coccyx = capsule(points, (0, 84, -180), (0, 92, -222), (12.0, 5.0))
    # The wing: a bent plate from the sacrum to the hip.
    plate = np.abs(side - 72 - 0.62 * (y * -0.55 + 28) + 0.0035 * (y - 20) ** 2) - 4.5
    plate = plate * 0.85 - 1.5 * step(np.abs(z + 105), 30, 0)
    plate = np.maximum(plate, ellipsoid(mirrored, (80, 26, -140), (80, 62, 56)))
    hip = soft_minimum(plate, ellipsoid(mirrored, (88, 12, -206), (30, 28, 32)), 10.0)
    pubis = capsule(mirrored, (76, -8, -212), (10, -40, -238), (9.0, 8.5))
    ischium = capsule(mirrored, (80, 26, -216), (56, 42, -268), (15.0, 12.0))
    ramus = capsule(mirrored, (54, 36, -270), (12, -34, -246), (6.5, 6.5))
    hip = np.minimum(np.minimum(hip, pubis), np.minimum(ischium, ramus))
    head = ellipsoid(mirrored, (94, 8, -214), (24, 24, 24))
    hip = np.maximum(hip, 3.0 - head)
    neck = capsule(mirrored, (94, 8, -214), (132, 18, -238), (17.0, 15.0))
    shaft = capsule(mirrored, (134, 18, -236), (128, 8, -340), (19.0, 14.0))
    femur = np.minimum(np.minimum(head, neck), shaft)
    return np.minimum(np.minimum(np.minimum(sacrum, coccyx), hip), femur)


def _tilted(angle: float) -> np.ndarray:
    """Axes of an ellipsoid whose upper end leans forward."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def rib_distance(points: Points, cavity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the ribs and to the costal cartilages, in the wall outside the cavity."""
    x, y, z = points
    front, back = PROFILES.at(z, "front", "back")
    v = y - (front + back) / 2
    # 0 straight behind, 1 straight in front.
    around = (1 - v / np.maximum(np.hypot(x, v), 1.0)) / 2
    along = z + 88 * around
    height = along - RIB_STEP * np.round(along / RIB_STEP)
    rib = np.sqrt((height / 6.2) ** 2 + ((cavity - 7.5) / 4.2) ** 2)
    rib = (rib - 1) * 4.2
    lowest = np.maximum(38 - along, 6 + 95 * step(around, 0.5, 1.0) - z)
    rib = np.maximum(np.maximum(rib, lowest), 12 - np.abs(x))
    gap = around - 0.9
    return np.maximum(rib, gap * 60), np.maximum(rib, -gap * 60)
