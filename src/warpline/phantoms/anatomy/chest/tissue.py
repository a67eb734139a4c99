"""HU of the mean chest at points, but for what is painted as tubes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from warpline.phantoms.anatomy.chest import anatomy, skeleton
from warpline.phantoms.anatomy.chest.anatomy import Body, InCavity
from warpline.phantoms.anatomy.chest.shapes import Points, bump, coverage, ellipsoid, step

AIR, FAT, MUSCLE, BLOOD, HEART, SKIN, WATER = -1000.0, -102.0, 52.0, 41.0, 46.0, 20.0, 5.0
LIVER, SPLEEN, STOMACH, CARTILAGE, MARROW, CORTEX, DISC = 58.0, 49.0, 30.0, 95.0, 190.0, 720.0, 85.0
CORD, FISSURE, AIRWAY_WALL = 35.0, -560.0, 10.0
TEXTURE_SIZE = 40


@dataclass(frozen=True)
class Tissue:
    """HU (float32) and labels (uint8) at points; `lung` is 1 on the right, 2 on the left."""

    hu: np.ndarray
    lung: np.ndarray
    lobe: np.ndarray


def make_texture(rng: np.random.Generator) -> np.ndarray:
    """A periodic pattern of unit variance, (n, n, n) float32: the grain of the tissues."""
    noise = rng.standard_normal((TEXTURE_SIZE,) * 3).astype(np.float32)
    fine = ndimage.gaussian_filter(noise, 0.8, mode="wrap")
    coarse = ndimage.gaussian_filter(noise[::-1], 2.5, mode="wrap")
    return 0.75 * fine / fine.std() + 0.65 * coarse / coarse.std()


def _sample(texture: np.ndarray, points: Points, period: float) -> np.ndarray:
    """The pattern at points, a node every `period` mm."""
    index = np.stack([np.asarray(p, np.float32) / np.float32(period) for p in points])
    return ndimage.map_coordinates(texture, index, order=1, mode="grid-wrap", prefilter=False)


def tissue(
    points: Points,
    width: float,
    body: Body,
    texture: np.ndarray,
    density: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Tissue:
    """What lies at points (flat float32 arrays) of the mean chest.

    Parameters
    ----------
    width
        Over how many mm edges are blurred: about a voxel.
    texture
        From `make_texture`.
    density
        For some of the points (a mask): how many times denser the lung is than at inhale.
    """
    n = len(points[0])
    hu = np.full(n, AIR, dtype=np.float32)
    lung, lobe = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    skin = anatomy.skin_distance(points, body)
    inside = np.flatnonzero(skin < width)
    if len(inside) == 0:
        return Tissue(hu, lung, lobe)
    points, skin = tuple(p[inside] for p in points), skin[inside]
    cavity = InCavity.of(points)
    out = cavity.distance
    value = np.empty(len(inside), dtype=np.float32)

    wall = out > -width
    value[wall] = _wall(
        tuple(p[wall] for p in points), cavity[wall], skin[wall], width, body, texture
    )
    inner = np.flatnonzero(out < width)
    part = tuple(p[inner] for p in points)
    distance = anatomy.lung_distance(part, cavity[inner])
    soft = distance > -width
    content = np.empty(len(inner), dtype=np.float32)
    content[soft] = _soft(tuple(p[soft] for p in part), width, body, texture)
    airy = distance < width
    air_points = tuple(p[airy] for p in part)
    ratio = None
    if density is not None:
        mask = np.zeros(n, dtype=bool)
        mask[inside[inner[airy]]] = True
        ratio = density(mask)
    air = _parenchyma(air_points, width, body, texture, ratio)
    share = coverage(distance[airy], width)
    content[airy] = np.where(soft[airy], content[airy], 0) * (1 - share) + air * share
    share = coverage(out[inner], width)
    value[inner] = np.where(wall[inner], value[inner], 0) * (1 - share) + content * share
    hu[inside] = AIR + (value - AIR) * coverage(skin, width)

    aerated = inner[distance < 0]
    mine = tuple(p[aerated] for p in points)
    lobe[inside[aerated]] = anatomy.lobes(mine)
    lung[inside[aerated]] = np.where(mine[0] < 0, anatomy.RIGHT, anatomy.LEFT)
    return Tissue(hu, lung, lobe)


def _over(hu: np.ndarray, distance: np.ndarray, width: float, value) -> None:
    """Lay a tissue over what is there."""
    hu += coverage(distance, width) * (value - hu)


def _bone(hu: np.ndarray, distance: np.ndarray, width: float, rim: float, body: Body) -> None:
    """Cortex around marrow."""
    _over(hu, distance, width, CORTEX * body.bone)
    _over(hu, distance + rim, width, MARROW * body.bone)


# --- lungs ----------------------------------------------------------------------------------------


def _parenchyma(
    points: Points, width: float, body: Body, texture: np.ndarray, density: np.ndarray | None
) -> np.ndarray:
    """Lung tissue: denser towards the back, with the grain of lobules, cut by fissures."""
    x, y, z = points
    hu = body.parenchyma + body.gradient * y / 180 - 6 * step(z, 20, 90)
    grain = _sample(texture, points, 3.1)
    # Grain finer than the voxels averages out.
    hu = hu + grain * (17 / (1 + (width / 4) ** 2))
    if density is not None:
        hu = (hu - AIR) * density + AIR
    oblique, horizontal = anatomy.fissures(points)
    sheet = np.abs(oblique)
    horizontal = np.where((x < 0) & (oblique > 0), np.abs(horizontal), 99)
    # Fissures are incomplete towards the hilum.
    hidden = 12 * bump(x, 0, 45) * bump(y, 15, 25)
    sheet = np.minimum(sheet, horizontal + 0.2) + hidden
    thick = 1.1
    blur = max(width, 1.0)
    share = np.clip(1 - sheet / blur, 0, 1) * (thick / blur)
    return (hu + share * (FISSURE - hu)).astype(np.float32)


# --- chest wall -----------------------------------------------------------------------------------


def _wall(
    points: Points,
    cavity: InCavity,
    skin: np.ndarray,
    width: float,
    body: Body,
    texture: np.ndarray,
) -> np.ndarray:
    """Muscle, fat, skin, spine, sternum, scapulae."""
    x, y, z = points
    out = cavity.distance
    side, behind = np.abs(cavity.cx), cavity.cv
    # Thickness of all muscle outside the pleura.
    thick = 13 + 24 * bump(side, 0.34, 0.24) * step(behind, 0.0, 0.4)
    thick += 13 * bump(side, 0.62, 0.3) * step(-behind, 0.0, 0.4) * bump(z, 24, 42)
    thick += 24 * bump(side, 0.86, 0.28) * step(behind, -0.35, 0.3) * step(z, -90, 0)
    thick += 30 * step(z, 60, 100)
    thick = thick * body.muscle
    grain = _sample(texture, points, 5.3)
    hu = np.full(len(x), FAT, dtype=np.float32) + 7 * grain
    muscle = MUSCLE + 5 * grain
    ragged = out - thick + 1.2 * grain
    _over(hu, ragged, max(width, 2.0), muscle)
    # Fat between the layers of muscle, and a little under the ribs.
    streak = bump(out, 12.5 + 1.5 * np.sin(z / 7), 1.6) + 0.9 * bump(out, 23 + 0.06 * z, 1.5)
    streak *= np.clip(0.55 + 0.5 * grain, 0, 1) / max(1.0, width / 2.5)
    hu += streak * coverage(ragged, width) * (FAT - hu)
    if body.breast > 0:
        gland = ellipsoid((np.abs(x), y, z), (80, -96 - body.fat, -42), (28, 10, 28))
        _over(hu, gland + 5 * grain, 6.0, 20 + 15 * grain)
    _over(hu, -2.0 - skin, max(width, 1.0), SKIN)

    front = (y < 0) & (np.abs(x) < 40)
    part = tuple(p[front] for p in points)
    plate, value = skeleton.sternum_distance(part), hu[front]
    _bone(value, plate, width, 1.4, body)
    hu[front] = value

    blade = (out > 10) & (out < 34) & (y > 15) & (z > -75) & (z < 110)
    part = tuple(p[blade] for p in points)
    value = hu[blade]
    _bone(value, skeleton.scapula_distance(part, out[blade]), width, 1.5, body)
    hu[blade] = value

    (back,) = anatomy.PROFILES.at(z, "back")
    spinal = (np.abs(x) < 38) & (y > back - 44)
    part = tuple(p[spinal] for p in points)
    bone, disc, canal = skeleton.spine_distance(part)
    value = hu[spinal]
    _over(value, disc, width, DISC)
    _over(value, bone, width, CORTEX * 0.8 * body.bone)
    _over(value, bone + 1.6, width, MARROW * body.bone + 25 * grain[spinal])
    _over(value, canal, width, WATER + 10)
    _over(value, canal + 4.2, width, CORD)
    hu[spinal] = value
    return hu


# --- mediastinum and abdomen ----------------------------------------------------------------------


def _soft(points: Points, width: float, body: Body, texture: np.ndarray) -> np.ndarray:
    """What is in the cavity and no lung: fat with the heart in it, organs under the diaphragm."""
    x, y, z = points
    grain = _sample(texture, points, 4.7)
    hu = np.full(len(x), FAT, dtype=np.float32) + 12 * grain
    # Muscles and thyroid in the root of the neck.
    neck = step(z, 72, 100) * np.clip(0.8 + 0.3 * grain, 0, 1)
    hu += neck * (MUSCLE - hu)
    _over(hu, ellipsoid((np.abs(x), y, z), (17, 2, 112), (8, 10, 20)), width, 95.0)
    # Remnants of the thymus; the oesophagus, with a trace of gas; lymph nodes.
    thymus = ellipsoid(points, (-1, -46, 22), (20, 9, 28)) + 5 * grain
    _over(hu, thymus, 7.0, -35.0)
    tube = np.sqrt(((x - 5 - 0.035 * (20 - z)) / 1.25) ** 2 + (y - 37 + 0.03 * (z + 20)) ** 2)
    _over(hu, tube - 6.0, width, 34.0)
    _over(hu, np.maximum(tube - 1.6, -bump(z, 42, 20) + 0.4), width, -600.0)
    for centre, radius in (((3, 24, -16), 5.5), ((-17, 6, 14), 4.5), ((6, 2, 22), 3.8)):
        _over(hu, ellipsoid(points, centre, (1.6 * radius, radius, radius)), width, 38.0)

    heart = (np.abs(x - 15) < 90) & (y < 45) & (z < 25) & (z > -125)
    part = tuple(p[heart] for p in points)
    value = hu[heart]
    _heart(value, part, width)
    hu[heart] = value

    top = anatomy.diaphragm(points)
    below = top < width
    part = tuple(p[below] for p in points)
    value = _abdomen(part, top[below], width, body, grain[below])
    hu[below] += coverage(top[below], width) * (value - hu[below])
    return hu


def _heart(hu: np.ndarray, points: Points, width: float) -> None:
    distance = anatomy.heart_distance(points)
    x, _, z = points
    _over(hu, np.abs(distance) - 0.9, max(width, 1.0), 15.0)
    # Fat under the pericardium, thicker in the groove between atria and ventricles and at the apex.
    long = sum(
        float(t) * (p - c)
        for t, p, c in zip(anatomy.HEART_TURN[0], points, anatomy.HEART, strict=True)
    )
    fat = 2.2 + 9.0 * bump(long, -24, 8) + 2.5 * step(long, 20, 60) + 1.2 * np.sin(z / 9 + x / 14)
    muscle = distance + fat
    _over(hu, muscle, width, HEART)
    _over(hu, muscle + 10, 3.0, BLOOD - 3)


def _abdomen(
    points: Points, under: np.ndarray, width: float, body: Body, grain: np.ndarray
) -> np.ndarray:
    x, y, z = points
    hu = np.full(len(x), FAT, dtype=np.float32) + 10 * grain
    liver = ellipsoid(points, (-62, -6, -165), (112, 98, 84))
    # Its left edge recedes towards the feet.
    liver = np.maximum(liver, x - 48 - 0.33 * np.minimum(z + 100, 0))
    _over(hu, liver, width, LIVER + 3 * grain)
    spleen = ellipsoid(points, (92, 42, -148), (32, 46, 40))
    _over(hu, spleen, width, SPLEEN + 3 * grain)
    stomach = ellipsoid(points, (62, -22, -152), (47, 46, 42))
    _over(hu, stomach, width, MUSCLE - 8)
    # Lying on the back: the gas is in front, with a level.
    gas = np.maximum(stomach + 4, y + 22 + body.gas)
    _over(hu, stomach + 4, width, STOMACH + 12 * grain)
    _over(hu, gas, width, -960.0)
    colon = ellipsoid(points, (104, -18, -196), (20, 22, 24))
    _over(hu, colon, width, MUSCLE - 10)
    _over(hu, colon + 3, width, -700.0 + 120 * grain)
    for side in (-1, 1):
        kidney = ellipsoid(points, (56 * side, 52, -212 + 6 * side), (28, 24, 50))
        _over(hu, kidney, width, 34.0)
    crus = np.maximum(np.abs(np.abs(x - 3) - 13) - 4, np.abs(y - 40) - 16)
    _over(hu, crus, width, MUSCLE)
    # The diaphragm.
    _over(hu, -3.0 - under, width, MUSCLE)
    return hu
