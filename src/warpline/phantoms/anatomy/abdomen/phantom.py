"""Scans of abdomens: what the rest of the project asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy.abdomen import tissue
from warpline.phantoms.anatomy.abdomen.body import Body
from warpline.phantoms.anatomy.abdomen.bowel import Loops
from warpline.phantoms.anatomy.abdomen.maps import AbdomenMap
from warpline.phantoms.anatomy.abdomen.phases import Enhancement
from warpline.phantoms.anatomy.abdomen.tumours import random_tumours
from warpline.phantoms.anatomy.chest.render import in_slabs, slab_points
from warpline.phantoms.anatomy.chest.scanner import Scanner, acquire

Seed = int | tuple[int, ...]

# mm along x, y, z from the lungs' bases to the hips, and the middle of that box.
EXTENT = (384.0, 320.0, 512.0)
MIDDLE = (0.0, 4.0, -42.0)


@dataclass(frozen=True)
class Scan:
    """A scan and what is known of it.

    Attributes
    ----------
    image
        int16, HU.
    labels
        uint8: the common organs, see `organs.NUMBER`; tumours count as their organ.
    others
        uint8: duodenum, vessels of the liver, tumours, see `organs`.
    """

    image: Image
    labels: Image
    others: Image


@dataclass(frozen=True)
class Abdomen:
    """A subject, before any scanner sees it.

    Attributes
    ----------
    map
        From the subject to the mean abdomen.
    body
        What differs from the mean by no deformation.
    enhancement
        How it takes up the contrast agent.
    loops, pattern
        Its small bowel, and the grain of its tissues.
    """

    map: AbdomenMap
    body: Body
    enhancement: Enhancement
    loops: Loops
    pattern: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> Abdomen:
        """A subject around the mean; `variation` 0: the mean itself, but for bowel and grain."""
        for_map, for_body, for_blood, for_loops, for_grain = rng.spawn(5)
        body = Body.random(for_body, variation)
        return cls(
            AbdomenMap.random(for_map, variation),
            body,
            Enhancement.random(for_blood, variation),
            Loops.random(for_loops, body.gassy),
            tissue.make_grain(for_grain),
        )

    def to_mean(self, points: np.ndarray) -> np.ndarray:
        """Points (…, 3) of the mean abdomen for points of the subject (mm, LPS)."""
        return np.stack(self.map(_split(points)), axis=-1)

    def from_mean(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_mean`."""
        return np.stack(self.map.inverse(_split(points)), axis=-1)


def model(seed: Seed, *, variation: float = 1.0) -> Abdomen:
    """The subject that `subject` scans, with its exact map.

    All subjects are maps of one mean abdomen, so two of them are maps of each other: a point ``p``
    of one lies in the other at ``other.from_mean(one.to_mean(p))``. Bowel loops and tumours have no
    counterpart.

    Raises
    ------
    WarplineError
        If the variation is not possible.
    """
    return Abdomen.random(np.random.default_rng(seed).spawn(3)[0], variation)


def correspondence(fixed: Abdomen, moving: Abdomen, grid: Grid) -> DisplacementField:
    """The true field from one subject to another, on a grid of the former."""
    points = grid.index_to_physical(grid.indices())
    moved = moving.from_mean(fixed.to_mean(points))
    return DisplacementField((moved - points).astype(np.float32), grid)


def whole_abdomen_grid(
    spacing: float | Sequence[float], shape: Sequence[int] | None = None
) -> Grid:
    """A grid about the middle of the abdomen, axes along LPS.

    Parameters
    ----------
    spacing
        mm, one number or (x, y, z).
    shape
        (z, y, x); None: as many voxels as cover it, 256×160×192 at 2 mm.

    Raises
    ------
    WarplineError
        If shape or spacing are not those of a grid.
    """
    spacing = tuple(float(s) for s in np.broadcast_to(np.ravel(spacing), 3))
    if min(spacing) <= 0 or not np.isfinite(spacing).all():
        raise WarplineError(
            f"{spacing} is not the spacing of a volume.",
            where="spacing",
            do="Give mm, one number or (x, y, z), each above 0.",
        )
    if shape is None:
        shape = [max(1, round(e / s)) for e, s in zip(EXTENT, spacing, strict=True)][::-1]
    shape = tuple(int(n) for n in np.ravel(shape))
    if len(shape) != 3 or min(shape) < 1:
        raise WarplineError(
            f"{shape} is not the shape of a volume.", where="shape", do="Give (z, y, x) voxels."
        )
    origin = tuple(
        m - (n - 1) / 2 * s for m, n, s in zip(MIDDLE, shape[::-1], spacing, strict=True)
    )
    return Grid(shape, spacing, origin)


def subject(
    seed: Seed,
    *,
    grid: Grid | None = None,
    spacing: float | Sequence[float] = 2.0,
    phase: str = "portal-venous",
    tumours: Sequence[str] = (),
    variation: float = 1.0,
    noise: float = 10.0,
    outside: float | None = None,
    threads: int = 1,
) -> Scan:
    """One subject, the same for the same arguments.

    Parameters
    ----------
    grid
        Where to scan; None: `whole_abdomen_grid` of `spacing`.
    phase
        Of the contrast agent, see `phases.PHASES`.
    tumours
        Organs with tumours: liver, pancreas, kidney, colon.
    variation
        Scale of the differences between subjects, 0 to 2; 0: all have the mean anatomy.
    noise
        Standard deviation in the middle of a body of usual size, HU.
    outside
        HU outside the circular field of view; None: no circle.
    threads
        How many to compute with; the result does not depend on it.

    Raises
    ------
    WarplineError
        If a parameter is not possible, or the grid has no organ in it.
    """
    grid = whole_abdomen_grid(spacing) if grid is None else grid
    for_model, for_tumours, for_noise = np.random.default_rng(seed).spawn(3)
    abdomen = Abdomen.random(for_model, variation)
    table = abdomen.enhancement.table(phase)
    lesions = random_tumours(for_tumours, tumours, table)
    scanner = Scanner.random(
        for_noise.spawn(1)[0], outside=outside, border=None, couch=False, noise=noise
    )
    hu = np.empty(grid.shape, np.float32)
    organs, others = np.empty(grid.shape, np.uint8), np.empty(grid.shape, np.uint8)
    # The mean abdomen's millimetres are not quite the subject's.
    width = float(np.prod(grid.spacing)) ** (1 / 3) / abdomen.map.scale

    def draw(start: int, stop: int) -> None:
        points = abdomen.map(slab_points(grid, start, stop))
        drawn = tissue.draw(
            points, width, abdomen.body, table, abdomen.loops, abdomen.pattern, lesions
        )
        hu[start:stop] = drawn.hu.reshape(-1, *grid.shape[1:])
        organs[start:stop] = drawn.organ.reshape(-1, *grid.shape[1:])
        others[start:stop] = drawn.other.reshape(-1, *grid.shape[1:])

    in_slabs(grid, draw, threads)
    if not organs.any():
        raise WarplineError(
            "The grid has no organ in it.",
            where="grid",
            do=f"Put it about {MIDDLE} mm (LPS), the middle of the abdomen.",
        )
    image = acquire(hu, grid, scanner, for_noise)
    return Scan(Image(image, grid), Image(organs, grid), Image(others, grid))


def _split(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.asarray(points, dtype=np.float64)
    return points[..., 0], points[..., 1], points[..., 2]
