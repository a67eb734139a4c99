"""A chest on a grid: tissues pulled back voxel by voxel, tubes painted over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.phantoms.anatomy.chest import scanner as scan
from warpline.phantoms.anatomy.chest import skeleton, tissue, trunks, tubes
from warpline.phantoms.anatomy.chest.model import Chest
from warpline.phantoms.anatomy.chest.motion import Motion
from warpline.phantoms.anatomy.chest.shapes import Points

SLAB = 120_000  # voxels at a time: their many intermediate arrays stay in the cache
RIM = 1.25  # mm, cortex of a rib


def render(
    chest: Chest, grid: Grid, motion: Motion | None, couch: bool, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU (float32), lungs and lobes (uint8), each (z, y, x), without noise.

    Parameters
    ----------
    motion
        None for the chest at inhale.
    """
    hu = np.empty(grid.shape, np.float32)
    lungs, lobes = np.empty(grid.shape, np.uint8), np.empty(grid.shape, np.uint8)
    edge = max(float(np.prod(grid.spacing)) ** (1 / 3), tubes.POINT_SPREAD)
    # The mean chest's millimetres are not quite the subject's.
    width = edge / chest.map.scale
    x0, top = chest.back

    def draw(start: int, stop: int) -> None:
        points = slab_points(grid, start, stop)
        reference = chest.map(points)
        density = None
        moved = reference
        if motion is not None:
            moved = motion.to_inhale(reference)

            def density(mask: np.ndarray) -> np.ndarray:
                part = tuple(p[mask] for p in points)
                return chest.volume_ratio(part, tuple(r[mask] for r in reference), motion)

        drawn = tissue.tissue(moved, width, chest.body, chest.texture, density)
        if couch:
            scan.add_couch(drawn.hu, points, top, x0, edge)
        hu[start:stop] = drawn.hu.reshape(-1, *grid.shape[1:])
        lungs[start:stop] = drawn.lung.reshape(-1, *grid.shape[1:])
        lobes[start:stop] = drawn.lobe.reshape(-1, *grid.shape[1:])

    in_slabs(grid, draw, threads)
    _paint_tubes(hu, chest, grid, motion)
    return hu, lungs, lobes


def field(chest: Chest, grid: Grid, motion: Motion, to_inhale: bool, threads: int):
    """The displacement from one phase to the other, on a grid of the former."""
    vectors = np.empty((*grid.shape, 3), np.float32)

    def draw(start: int, stop: int) -> None:
        points = slab_points(grid, start, stop)
        reference = chest.map(points)
        moved = motion.to_inhale(reference) if to_inhale else motion.to_exhale(reference)
        target = chest.map_back(points, reference, moved)
        for axis in range(3):
            part = target[axis] - points[axis]
            vectors[start:stop, ..., axis] = part.reshape(-1, *grid.shape[1:])

    in_slabs(grid, draw, threads)
    return DisplacementField(vectors, grid)


def in_slabs(grid: Grid, draw: Callable[[int, int], None], threads: int) -> None:
    """Call `draw` for ranges of slices that make up the grid."""
    thickness = max(1, SLAB // (grid.shape[1] * grid.shape[2]))
    ranges = [(z, min(z + thickness, grid.shape[0])) for z in range(0, grid.shape[0], thickness)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for _ in pool.map(lambda pair: draw(*pair), ranges):
            pass


def slab_points(grid: Grid, start: int, stop: int) -> Points:
    """Physical points of the slices, three flat float32 arrays."""
    z, y, x = np.arange(start, stop), np.arange(grid.shape[1]), np.arange(grid.shape[2])
    points = []
    for row, origin in zip(grid.matrix, grid.origin, strict=True):
        parts = (origin + row[2] * z)[:, None, None] + (row[1] * y)[:, None] + row[0] * x
        points.append(parts.astype(np.float32).ravel())
    return tuple(points)


def _paint_tubes(hu: np.ndarray, chest: Chest, grid: Grid, motion: Motion | None) -> None:
    volume = np.zeros(grid.shape, np.uint8)
    for value, pieces in _layers(chest):
        start, end, radius = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        ends = chest.from_mean(np.concatenate([start, end]), motion)
        half = len(start)
        tubes.paint(volume, grid, ends[:half], ends[half:], radius * chest.map.scale)
        for k in range(grid.shape[0]):
            covered = volume[k] > 0
            if covered.any():
                plane = hu[k]
                share = volume[k][covered] * np.float32(1 / 255)
                plane[covered] += share * (np.float32(value) - plane[covered])
        volume[:] = 0


def _layers(chest: Chest) -> Iterator[tuple[float, list]]:
    """HU and pieces (start, end, radius) of tubes, in the order of painting; the mean's frame."""
    ribs, cartilages = skeleton.rib_tubes()
    girdle = skeleton.girdle_tubes()
    bone = chest.body.bone
    yield tissue.CARTILAGE, [_chain(*tube) for tube in cartilages]
    yield tissue.CORTEX * bone, [_chain(*tube) for tube in ribs + girdle]
    yield tissue.MARROW * bone, [_chain(p, r - RIM) for p, r in ribs + girdle]
    scale = chest.body.vessels
    great = [_chain(np.array(p, float), np.array(r)) for _, p, r in trunks.GREAT_VESSELS]
    blood = [
        tubes.segments(tree.position, tree.parent, tree.radius * scale)
        for tree in (chest.trees["artery"], chest.trees["vein"])
    ]
    yield tissue.BLOOD, great + blood
    airway = chest.trees["airway"]
    lumen = airway.radius * scale
    yield (
        tissue.AIRWAY_WALL,
        [tubes.segments(airway.position, airway.parent, lumen + 0.35 + 0.13 * lumen)],
    )
    yield tissue.AIR + 8, [tubes.segments(airway.position, airway.parent, lumen)]


def _chain(points: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pieces of a tube given by points along it."""
    radii = np.stack([np.roll(radius, 1), radius], axis=1)
    return tubes.segments(points, np.arange(len(points)) - 1, radii)
