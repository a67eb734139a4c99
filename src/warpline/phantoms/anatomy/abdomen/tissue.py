"""HU and labels of the mean abdomen at points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from warpline.phantoms.anatomy.abdomen import anatomy, skeleton
from warpline.phantoms.anatomy.abdomen.anatomy import Body
from warpline.phantoms.anatomy.abdomen.organs import COLON_TUMOUR, DUODENUM, HEPATIC_VESSEL, NUMBER
from warpline.phantoms.anatomy.abdomen.tumours import Tumour
from warpline.phantoms.anatomy.chest.shapes import Points, bump, coverage, ellipsoid, step

AIR, FAT, SKIN, LUNG, GAS, BILE, URINE = -1000.0, -104.0, 20.0, -860.0, -960.0, 8.0, 6.0
CORTEX, MARROW, DISC, CORD, CARTILAGE = 620.0, 190.0, 80.0, 32.0, 110.0
RIM = 1.8  # mm, cortex of bones
LOOP = 27.0  # mm, width of a loop of small bowel
REACH = 8.0  # mm about a box within which a shape may change voxels

Box = tuple[Sequence[float], Sequence[float]]


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


class Canvas:
    """HU and labels at points, over which shapes are laid one after the other.

    A label belongs to where a shape's distance is negative, however wide the voxels are.
    """

    def __init__(self, points: Points, width: float):
        n = len(points[0])
        self.points, self.width = points, width
        self.hu = np.full(n, AIR, dtype=np.float32)
        self.organ, self.other = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        self._low = [float(p.min(initial=np.inf)) for p in points]
        self._high = [float(p.max(initial=-np.inf)) for p in points]

    def near(self, box: Box) -> np.ndarray:
        """Indices of the points in a box, (low, high) in mm."""
        reach = REACH + self.width
        low, high = [b - reach for b in box[0]], [b + reach for b in box[1]]
        if any(self._high[k] < low[k] or self._low[k] > high[k] for k in range(3)):
            return np.zeros(0, dtype=np.intp)
        inside = np.ones(len(self.hu), dtype=bool)
        for axis in range(3):
            # Axes along which everything lies inside need no look.
            if self._low[axis] < low[axis]:
                inside &= self.points[axis] >= low[axis]
            if self._high[axis] > high[axis]:
                inside &= self.points[axis] <= high[axis]
        return np.flatnonzero(inside)

    def at(self, where: np.ndarray) -> Points:
        """The points of some indices."""
        return tuple(p[where] for p in self.points)

    def lay(
        self,
        where: np.ndarray,
        distance: np.ndarray,
        value: float | np.ndarray,
        *,
        organ: int | None = 0,
        other: int | None = 0,
        rim: float = 0.0,
    ) -> None:
        """Lay a shape over what is there.

        Parameters
        ----------
        organ, other
            Its labels; None: those of what it covers stay.
        rim
            Fat about it, mm, that covers its neighbours.
        """
        if rim:
            self.lay(where, distance - rim, FAT)
        self.hu[where] += coverage(distance, self.width) * (value - self.hu[where])
        inside = where[distance < 0]
        if organ is not None:
            self.organ[inside] = organ
        if other is not None:
            self.other[inside] = other

    def shape(self, box: Box, distance: Callable[[Points], np.ndarray], value, **settings) -> None:
        """`lay` a shape that lies in a box."""
        where = self.near(box)
        if len(where):
            if callable(value):
                value = value(where)
            self.lay(where, distance(self.at(where)), value, **settings)


def box_of(*paths: anatomy.Tube) -> Box:
    """A box about tubes."""
    ends = np.array([p for points, _ in paths for p in points], dtype=float)
    radii = np.array([r for _, radius in paths for r in radius], dtype=float)[:, None]
    return tuple((ends - radii).min(axis=0)), tuple((ends + radii).max(axis=0))


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
    skin = anatomy.skin_distance(points, body)
    inside = np.flatnonzero(skin < width)
    if len(inside) == 0:
        return canvas
    inner = Canvas(tuple(p[inside] for p in points), width)
    skin = skin[inside]
    grain = _grain(pattern, inner.points, 5.1)
    # Finer than the voxels it averages out.
    grain = (grain / (1 + (width / 6) ** 2)).astype(np.float32)
    cavity = anatomy.cavity_distance(inner.points)
    _wall(inner, skin, cavity, body, table, grain)
    _bowel(inner, cavity, body, table, loops, grain)
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
    canvas.shape(((-110, -30, -262), (110, 80, 30)), anatomy.deep_muscles, table["muscle"] + 2)
    canvas.shape(((-30, -20, 0), (40, 60, 110)), anatomy.deep_muscles, table["muscle"] + 2)

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
    canvas.lay(where, canal, URINE + 6)
    canvas.lay(where, canal + 4, CORD)
    where = canvas.near(((-155, -60, -340), (155, 110, -80)))
    _bones(canvas, where, skeleton.pelvis_distance(canvas.at(where)), body, grain)


def _bones(canvas: Canvas, where: np.ndarray, bone: np.ndarray, body: Body, grain) -> None:
    canvas.lay(where, bone, CORTEX * body.bone)
    canvas.lay(where, bone + RIM, MARROW * body.bone + 28 * grain[where])


def _bowel(
    canvas: Canvas,
    cavity: np.ndarray,
    body: Body,
    table: Mapping[str, float],
    loops: Loops,
    grain: np.ndarray,
) -> None:
    """Bladder, small bowel, colon."""
    wall = table["wall"]
    where = canvas.near(((-105, -95, -200), (105, 20, 5)))
    region = anatomy.bowel_region(canvas.at(where), cavity[where])
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
    canvas.shape(((-42, -52, -256), (42, 16, -196)), anatomy.bladder, wall, rim=3.0)
    canvas.shape(((-42, -52, -256), (42, 16, -196)), lambda p: anatomy.bladder(p) + 4, URINE)
    where = canvas.near(box_of(anatomy.COLON))
    if len(where) == 0:
        return
    part = canvas.at(where)
    x, y, z = part
    distance = anatomy.colon(part)
    canvas.lay(where, distance, wall, rim=1.0)
    # Stool: mottled, with gas in it; gas in front in some stretches.
    stool = 10 + 45 * grain[where] - 240 * np.clip(grain[where] - 0.7, 0, 1)
    canvas.lay(where, distance + 3, stool)
    swing = np.sin(x / 31 + z / 43 + 7 * body.meal)
    level = 2 + 26 * (0.45 - swing) - 40 * body.gassy
    canvas.lay(where, np.maximum(distance + 3, y - _colon_middle(part) + level), GAS)


def _colon_middle(points: Points) -> np.ndarray:
    """y of the colon's nearest bend, about: where gas and stool meet."""
    ends = np.array(anatomy.COLON[0], dtype=np.float32)
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
    top = anatomy.diaphragm(part)
    canvas.lay(where, np.maximum(np.abs(top + 1.5) - 1.8, inside), table["muscle"])
    heart = anatomy.chest.heart_distance(anatomy.in_chest(part))
    above = np.maximum(heart, 1 - top)
    canvas.lay(where, above, 20.0)
    canvas.lay(
        where, np.maximum(heart + 4, 3 - top), 0.5 * (table["heart"] + 60) + 4 * grain[where]
    )
    canvas.lay(where, np.maximum(heart + 15, 10 - top), table["heart"])
    lung = LUNG + 0.25 * part[1] + 22 * grain[where]
    canvas.lay(where, anatomy.lung_distance(part, inside), lung)


def _organs(canvas: Canvas, body: Body, table: Mapping[str, float], grain: np.ndarray) -> None:
    def toned(value: float, much: float = 4.0) -> Callable[[np.ndarray], np.ndarray]:
        return lambda where: value + much * grain[where]

    box = box_of(anatomy.DUODENUM)
    canvas.shape(
        box, lambda p: anatomy.tube(p, anatomy.DUODENUM), table["wall"], other=DUODENUM, rim=1.0
    )
    canvas.shape(box, lambda p: anatomy.tube(p, anatomy.DUODENUM, -3.5), toned(20, 8), other=None)
    canvas.shape(
        ((50, -25, -10), (140, 95, 100)),
        anatomy.spleen,
        toned(table["spleen"]),
        organ=NUMBER["spleen"],
        rim=2.0,
    )
    canvas.shape(
        box_of(anatomy.ESOPHAGUS),
        lambda p: anatomy.tube(p, anatomy.ESOPHAGUS),
        toned(table["esophagus"]),
        organ=NUMBER["esophagus"],
    )
    _stomach(canvas, body, table, grain)
    canvas.shape(
        ((-140, -110, -60), (90, 100, 130)),
        anatomy.liver,
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
        whole, sinus = anatomy.kidney(canvas.at(where), side)
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
            lambda p, side=side: anatomy.adrenal(p, side),
            table["adrenal"],
            organ=NUMBER[name],
            rim=3.0,
        )
    canvas.shape(
        box_of(anatomy.PANCREAS),
        anatomy.pancreas,
        lambda where: table["pancreas"] + 14 * grain[where],
        organ=NUMBER["pancreas"],
        rim=1.0,
    )
    box = ((-70, -70, -34), (-28, -10, 26))
    canvas.shape(box, anatomy.gallbladder, 35.0, organ=NUMBER["gallbladder"], rim=0.8)
    canvas.shape(box, lambda p: anatomy.gallbladder(p) + 1.5, toned(BILE), organ=None)


def _stomach(canvas: Canvas, body: Body, table: Mapping[str, float], grain: np.ndarray) -> None:
    where = canvas.near(box_of(anatomy.STOMACH))
    if len(where) == 0:
        return
    part = canvas.at(where)
    distance = anatomy.stomach(part)
    canvas.lay(where, distance, table["wall"], organ=NUMBER["stomach"], rim=1.2)
    canvas.lay(where, distance + 4.5, body.meal + 16 * grain[where], organ=None)
    gas = np.maximum(distance + 4.5, part[1] - body.gas + 26)
    canvas.lay(where, gas, GAS, organ=None)


def _vessels(canvas: Canvas, table: Mapping[str, float]) -> None:
    def lay(paths, value, **settings) -> None:
        canvas.shape(box_of(*paths), lambda p: anatomy.tubes(p, paths), value, **settings)

    aorta, vein, portal = (table[n] for n in ("aorta", "inferior_vena_cava", "portal_vein"))
    lay(anatomy.RENAL_VEINS, vein)
    lay(anatomy.BRANCHES, aorta)
    lay(anatomy.MESENTERIC, portal)
    lay(anatomy.ILIAC_VEINS, vein)
    lay(anatomy.ILIAC_ARTERIES, aorta)
    # The liver's label includes the vessels in it.
    where = canvas.near(box_of(*anatomy.HEPATIC_VESSELS))
    where = where[canvas.organ[where] == NUMBER["liver"]]
    if len(where):
        distance = anatomy.tubes(canvas.at(where), anatomy.HEPATIC_VESSELS)
        canvas.lay(where, distance, portal, organ=None, other=HEPATIC_VESSEL)
    number = NUMBER["portal_vein"]
    lay((anatomy.SPLENIC,), portal, organ=number)
    lay((anatomy.PORTAL,), portal, organ=number)
    lay((anatomy.CAVA,), vein, organ=NUMBER["inferior_vena_cava"], rim=0.6)
    lay((anatomy.AORTA,), aorta, organ=NUMBER["aorta"], rim=1.5)


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
    distance = np.maximum(distance, anatomy.cavity_distance(part) + 3)
    value = tumour.hu + 7 * grain[where]
    # Necrosis in the middle of large ones.
    necrotic = distance + max(0.5 * tumour.radius, 6.0)
    canvas.lay(where, distance, value, organ=tumour.organ, other=tumour.label)
    if tumour.label != COLON_TUMOUR:
        canvas.lay(where, necrotic, tumour.hu - 20, organ=None, other=None)
