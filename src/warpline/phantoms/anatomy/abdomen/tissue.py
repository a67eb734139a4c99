"""HU and labels of the mean abdomen at points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import ndimage

from warpline.phantoms.anatomy.abdomen import skeleton, tubes, viscera
from warpline.phantoms.anatomy.abdomen.body import (
    Body,
    cavity_distance,
    diaphragm,
    in_chest,
    lung_distance,
    skin_distance,
)
from warpline.phantoms.anatomy.abdomen.bowel import GAS, Loops, draw_bowel
from warpline.phantoms.anatomy.abdomen.canvas import AIR, FAT, Canvas, box_of
from warpline.phantoms.anatomy.abdomen.organs import COLON_TUMOUR, DUODENUM, HEPATIC_VESSEL, NUMBER
from warpline.phantoms.anatomy.abdomen.tumours import Tumour
from warpline.phantoms.anatomy.chest.anatomy import heart_distance
from warpline.phantoms.anatomy.chest.shapes import Points, bump, coverage, ellipsoid, step

SKIN, LUNG, BILE = 20.0, -860.0, 8.0  # HU
CORTEX, MARROW, DISC, CORD, CANAL, CARTILAGE = 620.0, 190.0, 80.0, 32.0, 12.0, 110.0
RIM = 1.8  # mm, cortex of bones


def make_grain(rng: np.random.Generator) -> np.ndarray:
    """A periodic pattern of about unit variance, (n, n, n) float32."""
    noise = rng.standard_normal((36, 36, 36)).astype(np.float32)
    fine = ndimage.gaussian_filter(noise, 0.8, mode="wrap")
    coarse = ndimage.gaussian_filter(noise[::-1], 2.4, mode="wrap")
    return 0.7 * fine / fine.std() + 0.7 * coarse / coarse.std()


def _grain(pattern: np.ndarray, points: Points, period: float) -> np.ndarray:
    """The pattern at points, a node every `period` mm."""
    index = np.stack([p / np.float32(period) for p in points])
    return ndimage.map_coordinates(pattern, index, order=1, mode="grid-wrap", prefilter=False)


def draw(
    points: Points,
    width: float,
    body: Body,
    table: Mapping[str, float],
    loops: Loops,
    pattern: np.ndarray,
    tumours: Sequence[Tumour],
) -> Canvas:
    """What lies at points (flat float32 arrays) of the mean abdomen.

    Parameters
    ----------
    width
        Over how many mm edges are blurred: about a voxel.
    table
        HU by tissue, from `phases`.
    """
    canvas = Canvas(points, width)
    skin = skin_distance(points, body)
    inside = np.flatnonzero(skin < width)
    if len(inside) == 0:
        return canvas
    inner = Canvas(tuple(p[inside] for p in points), width)
    skin = skin[inside]
    grain = _grain(pattern, inner.points, 5.1)
    # Finer than the voxels it averages out.
    grain = (grain / (1 + (width / 6) ** 2)).astype(np.float32)
    cavity = cavity_distance(inner.points)
    _wall(inner, skin, cavity, body, table, grain)
    draw_bowel(inner, cavity, body, table, loops, grain)
    _chest(inner, cavity, table, grain)
    _organs(inner, body, table, grain)
    _vessels(inner, table)
    for tumour in tumours:
        _tumour(inner, tumour, grain)
    canvas.hu[inside] = AIR + (inner.hu - AIR) * coverage(skin, width)
    canvas.organ[inside], canvas.other[inside] = inner.organ, inner.other
    return canvas


def _wall(
    canvas: Canvas,
    skin: np.ndarray,
    cavity: np.ndarray,
    body: Body,
    table: Mapping[str, float],
    grain: np.ndarray,
) -> None:
    """Fat, muscle and bone about the cavity; fat in it."""
    x, y, z = canvas.points
    everything = np.arange(len(x))
    canvas.hu[:] = FAT + 8 * grain
    muscle = table["muscle"] + 5 * grain
    # Under the fat of the skin; more of it in front of the belly and over the buttocks.
    fat = (
        12
        + body.fat
        + 5 * step(-y, 40, 100) * step(-z, 20, 100)
        + 12 * step(y, 60, 110) * step(-z, 130, 190)
    )
    depth = np.maximum(skin + np.maximum(fat, 5), -cavity)
    canvas.lay(everything, depth + 1.2 * grain, muscle)
    # Layers of fat between the muscles.
    streak = np.maximum(bump(cavity, 15 + 2 * np.sin(z / 19), 1.8), bump(cavity, 30 + y / 12, 2.0))
    canvas.hu += (
        0.75 * streak * step(y, 30, 60) * coverage(depth + 3, canvas.width) * (FAT - canvas.hu)
    )
    canvas.lay(everything, -2.2 - skin, SKIN)
    canvas.shape(((-110, -30, -262), (110, 80, 30)), viscera.deep_muscles, table["muscle"] + 2)
    canvas.shape(((-30, -20, 0), (40, 60, 110)), viscera.deep_muscles, table["muscle"] + 2)

    where = canvas.near(((-140, -110, 0), (140, 110, 240)))
    where = where[(cavity[where] > 0) & (cavity[where] < 16)]
    rib, cartilage = skeleton.rib_distance(canvas.at(where), cavity[where])
    canvas.lay(where, cartilage, CARTILAGE)
    canvas.lay(where, rib, CORTEX * body.bone)
    canvas.lay(where, rib + 1.6, MARROW * body.bone)

    where = canvas.near(((-46, 0, skeleton.SACRUM), (46, 112, 280)))
    bone, disc, canal = skeleton.spine_distance(canvas.at(where))
    _bones(canvas, where, bone, body, grain)
    canvas.lay(where, disc, DISC)
    canvas.lay(where, canal, CANAL)
    canvas.lay(where, canal + 4, CORD)
    where = canvas.near(((-155, -60, -340), (155, 110, -80)))
    _bones(canvas, where, skeleton.pelvis_distance(canvas.at(where)), body, grain)


def _bones(canvas: Canvas, where: np.ndarray, bone: np.ndarray, body: Body, grain) -> None:
    canvas.lay(where, bone, CORTEX * body.bone)
    canvas.lay(where, bone + RIM, MARROW * body.bone + 28 * grain[where])


def _chest(
    canvas: Canvas, cavity: np.ndarray, table: Mapping[str, float], grain: np.ndarray
) -> None:
    """Diaphragm, heart and the bases of the lungs."""
    where = canvas.near(((-140, -110, 10), (140, 110, 400)))
    where = where[cavity[where] < canvas.width]
    if len(where) == 0:
        return
    part = canvas.at(where)
    inside = cavity[where]
    top = diaphragm(part)
    canvas.lay(where, np.maximum(np.abs(top + 1.5) - 1.8, inside), table["muscle"])
    heart = heart_distance(in_chest(part))
    above = np.maximum(heart, 1 - top)
    canvas.lay(where, above, 20.0)
    canvas.lay(
        where, np.maximum(heart + 4, 3 - top), 0.5 * (table["heart"] + 60) + 4 * grain[where]
    )
    canvas.lay(where, np.maximum(heart + 15, 10 - top), table["heart"])
    lung = LUNG + 0.25 * part[1] + 22 * grain[where]
    canvas.lay(where, lung_distance(part, inside), lung)


def _organs(canvas: Canvas, body: Body, table: Mapping[str, float], grain: np.ndarray) -> None:
    def toned(value: float, much: float = 4.0) -> Callable[[np.ndarray], np.ndarray]:
        return lambda where: value + much * grain[where]

    box = box_of(tubes.DUODENUM)
    canvas.shape(
        box, lambda p: tubes.tube(p, tubes.DUODENUM), table["wall"], other=DUODENUM, rim=1.0
    )
    canvas.shape(box, lambda p: tubes.tube(p, tubes.DUODENUM, -3.5), toned(20, 8), other=None)
    canvas.shape(
        ((50, -25, -10), (140, 95, 100)),
        viscera.spleen,
        toned(table["spleen"]),
        organ=NUMBER["spleen"],
        rim=2.0,
    )
    canvas.shape(
        box_of(tubes.ESOPHAGUS),
        lambda p: tubes.tube(p, tubes.ESOPHAGUS),
        toned(table["esophagus"]),
        organ=NUMBER["esophagus"],
    )
    _stomach(canvas, body, table, grain)
    canvas.shape(
        ((-140, -110, -60), (90, 100, 130)),
        viscera.liver,
        toned(table["liver"]),
        organ=NUMBER["liver"],
        rim=1.5,
    )
    for side, name in ((-1, "right_kidney"), (1, "left_kidney")):
        where = canvas.near(
            ((-95, 10, -80), (-15, 80, 45)) if side < 0 else ((15, 10, -65), (95, 80, 60))
        )
        if len(where) == 0:
            continue
        whole, sinus = viscera.kidney(canvas.at(where), side)
        kidney = np.maximum(whole, -sinus)
        canvas.lay(where, whole - 5, FAT)
        canvas.lay(where, kidney, table["cortex"] + 4 * grain[where], organ=NUMBER[name])
        # Columns of cortex reach in between the pyramids.
        ragged = (
            np.maximum(whole + 7, -sinus)
            + 2.0 * np.sin(canvas.points[2][where] / 3.5)
            + 1.5 * grain[where]
        )
        canvas.lay(where, ragged, table["medulla"] + 4 * grain[where], organ=None)
        pelvis = sinus + 4.5
        canvas.lay(where, pelvis, 0.5 * (table["inferior_vena_cava"] + 10), organ=None)
    for side, name, box in (
        (-1, "right_adrenal", ((-45, 10, 15), (-12, 52, 62))),
        (1, "left_adrenal", ((10, 6, 13), (48, 48, 60))),
    ):
        canvas.shape(
            box,
            lambda p, side=side: viscera.adrenal(p, side),
            table["adrenal"],
            organ=NUMBER[name],
            rim=3.0,
        )
    canvas.shape(
        box_of(tubes.PANCREAS),
        viscera.pancreas,
        lambda where: table["pancreas"] + 14 * grain[where],
        organ=NUMBER["pancreas"],
        rim=1.0,
    )
    box = ((-70, -70, -34), (-28, -10, 26))
    canvas.shape(box, viscera.gallbladder, 35.0, organ=NUMBER["gallbladder"], rim=0.8)
    canvas.shape(box, lambda p: viscera.gallbladder(p) + 1.5, toned(BILE), organ=None)


def _stomach(canvas: Canvas, body: Body, table: Mapping[str, float], grain: np.ndarray) -> None:
    where = canvas.near(box_of(tubes.STOMACH))
    if len(where) == 0:
        return
    part = canvas.at(where)
    distance = viscera.stomach(part)
    canvas.lay(where, distance, table["wall"], organ=NUMBER["stomach"], rim=1.2)
    canvas.lay(where, distance + 4.5, body.meal + 16 * grain[where], organ=None)
    gas = np.maximum(distance + 4.5, part[1] - body.gas + 26)
    canvas.lay(where, gas, GAS, organ=None)


def _vessels(canvas: Canvas, table: Mapping[str, float]) -> None:
    def lay(paths, value, **settings) -> None:
        canvas.shape(box_of(*paths), lambda p: tubes.tubes(p, paths), value, **settings)

    aorta, vein, portal = (table[n] for n in ("aorta", "inferior_vena_cava", "portal_vein"))
    lay(tubes.RENAL_VEINS, vein)
    lay(tubes.BRANCHES, aorta)
    lay(tubes.MESENTERIC, portal)
    lay(tubes.ILIAC_VEINS, vein)
    lay(tubes.ILIAC_ARTERIES, aorta)
    # The liver's label includes the vessels in it.
    where = canvas.near(box_of(*tubes.HEPATIC_VESSELS))
    where = where[canvas.organ[where] == NUMBER["liver"]]
    if len(where):
        distance = tubes.tubes(canvas.at(where), tubes.HEPATIC_VESSELS)
        canvas.lay(where, distance, portal, organ=None, other=HEPATIC_VESSEL)
    number = NUMBER["portal_vein"]
    lay((tubes.SPLENIC,), portal, organ=number)
    lay((tubes.PORTAL,), portal, organ=number)
    lay((tubes.CAVA,), vein, organ=NUMBER["inferior_vena_cava"], rim=0.6)
    lay((tubes.AORTA,), aorta, organ=NUMBER["aorta"], rim=1.5)


def _tumour(canvas: Canvas, tumour: Tumour, grain: np.ndarray) -> None:
    reach = 1.6 * tumour.radius
    centre = np.asarray(tumour.centre)
    where = canvas.near((centre - reach, centre + reach))
    if tumour.within:
        where = where[canvas.organ[where] == tumour.organ]
    if len(where) == 0:
        return
    part = canvas.at(where)
    distance = ellipsoid(part, centre, np.asarray(tumour.stretch) * tumour.radius)
    distance = distance + 0.12 * tumour.radius * grain[where]
    distance = np.maximum(distance, cavity_distance(part) + 3)
    value = tumour.hu + 7 * grain[where]
    # Necrosis in the middle of large ones.
    necrotic = distance + max(0.5 * tumour.radius, 6.0)
    canvas.lay(where, distance, value, organ=tumour.organ, other=tumour.label)
    if tumour.label != COLON_TUMOUR:
        canvas.lay(where, necrotic, tumour.hu - 20, organ=None, other=None)
