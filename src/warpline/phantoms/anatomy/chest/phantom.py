"""Scans of chests: what the rest of the project asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy.chest import render as drawing
from warpline.phantoms.anatomy.chest.model import Chest, Seed
from warpline.phantoms.anatomy.chest.motion import Motion
from warpline.phantoms.anatomy.chest.scanner import Scanner, acquire

# mm along x, y, z that hold a chest with the arms up, and the middle of that box.
EXTENT = (400.0, 300.0, 335.0)
MIDDLE = (0.0, 8.0, -33.0)


@dataclass(frozen=True)
class Scan:
    """A scan and what is known of it.

    Attributes
    ----------
    image
        int16, HU.
    lungs
        uint8: 1 right, 2 left; without trachea, main bronchi and hilar vessels.
    lobes
        uint8: 1 to 5: right upper, middle, lower, left upper, lower.
    landmarks
        ``id``, ``x``, ``y``, ``z`` (mm, LPS) of those inside the grid.
    """

    image: Image
    lungs: Image
    lobes: Image
    landmarks: pd.DataFrame


@dataclass(frozen=True)
class Breath:
    """Two phases of one subject and the true fields between them.

    Attributes
    ----------
    inhale, exhale
        The scans.
    exhale_to_inhale
        On the exhale scan's grid: ``T(x)`` is where the point x of the exhale scan lies at inhale.
    inhale_to_exhale
        Its inverse, on the inhale scan's grid.
    chest, motion
        The subject and its breathing, from which `to_inhale` and `to_exhale` are computed.
    """

    inhale: Scan
    exhale: Scan
    exhale_to_inhale: DisplacementField
    inhale_to_exhale: DisplacementField
    chest: Chest
    motion: Motion

    def to_inhale(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) at inhale of points at exhale, mm, LPS, by the maps, not the field."""
        return self.chest.from_mean(self.chest.to_mean(points, self.motion))

    def to_exhale(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) at exhale of points at inhale, mm, LPS, by the maps, not the field."""
        return self.chest.from_mean(self.chest.to_mean(points), self.motion)


def whole_chest_grid(shape: Sequence[int], spacing: float | Sequence[float] | None = None) -> Grid:
    """A grid (axes along LPS) about the middle of the chest.

    Parameters
    ----------
    shape
        (z, y, x).
    spacing
        mm, one number or (x, y, z); None: isotropic, so that the whole chest fits.

    Raises
    ------
    WarplineError
        If shape or spacing are not those of a grid.
    """
    shape = tuple(int(n) for n in np.ravel(shape))
    if len(shape) != 3 or min(shape) < 1:
        raise WarplineError(
            f"{shape} is not the shape of a volume.", where="shape", do="Give (z, y, x) voxels."
        )
    if spacing is None:
        spacing = max(e / n for e, n in zip(EXTENT, shape[::-1], strict=True))
    spacing = tuple(float(s) for s in np.broadcast_to(np.ravel(spacing), 3))
    if min(spacing) <= 0 or not np.isfinite(spacing).all():
        raise WarplineError(
            f"{spacing} is not the spacing of a volume.",
            where="spacing",
            do="Give mm, one number or (x, y, z), each above 0.",
        )
    origin = tuple(
        m - (n - 1) / 2 * s for m, n, s in zip(MIDDLE, shape[::-1], spacing, strict=True)
    )
    return Grid(shape, spacing, origin)


def model(seed: Seed, *, variation: float = 1.0, hila: float = 0.0) -> Chest:
    """The subject that `subject` and `breathing` scan, with its exact maps.

    All subjects are maps of one mean chest, so two of them are maps of each other: a point ``p`` of
    one lies in the other at ``other.from_mean(one.to_mean(p))``. With `hila` that is not so of the
    large airways and vessels.

    Raises
    ------
    WarplineError
        If the variation is not possible.
    """
    return Chest.random(np.random.default_rng(seed).spawn(5)[0], variation, hila)


def subject(
    seed: Seed,
    *,
    grid: Grid | None = None,
    shape: Sequence[int] = (128, 128, 128),
    spacing: float | Sequence[float] | None = None,
    variation: float = 1.0,
    hila: float = 0.0,
    outside: float | str | None = "mixed",
    border: float | str | None = "mixed",
    couch: bool | str = "mixed",
    noise: float = 18.0,
    threads: int = 2,
) -> Scan:
    """One subject at inhale, the same for the same arguments.

    Parameters
    ----------
    grid
        Where to scan; None: `whole_chest_grid` of `shape` and `spacing`.
    variation
        Scale of the differences between subjects, 0 to 2; 0: all have the mean anatomy.
    hila
        By how many mm (standard deviation along each axis, 0 to 6) the large airways and vessels
        lie elsewhere than in another subject whose lungs are alike.
    outside
        HU outside the circular field of view (as wide as the slice's longer side); None: no circle,
        all is air; "mixed": drawn from None, −2048 and −3024.
    border
        HU of rows of padding at the slices' edges; None: no such rows; "mixed": in one of five
        scans with a circle, −2048 or −3024, whichever the outside is not.
    couch
        Whether the couch is seen; "mixed": in three of four scans.
    noise
        Standard deviation in the middle of a chest of usual size, HU.
    threads
        How many to compute with; the result does not depend on it.

    Raises
    ------
    WarplineError
        If a parameter is not possible, or the grid has no lung in it.
    """
    grid = whole_chest_grid(shape, spacing) if grid is None else grid
    parts = np.random.default_rng(seed).spawn(5)
    chest = Chest.random(parts[0], variation, hila)
    scanner = Scanner.random(parts[1], outside=outside, border=border, couch=couch, noise=noise)
    return _scan(chest, grid, None, scanner, parts[2], threads)


def breathing(
    seed: Seed,
    *,
    grid: Grid | None = None,
    inhale_grid: Grid | None = None,
    shape: Sequence[int] = (128, 128, 128),
    spacing: float | Sequence[float] | None = None,
    diaphragm: float | None = None,
    uneven: float = 0.0,
    variation: float = 1.0,
    outside: float | str | None = "mixed",
    border: float | str | None = "mixed",
    couch: bool | str = "mixed",
    noise: float = 18.0,
    threads: int = 2,
) -> Breath:
    """One subject at inhale and at exhale; the inhale scan is that of `subject`.

    Parameters
    ----------
    grid, inhale_grid
        Of both scans, and of the inhale scan where that is another one; see `subject`.
    diaphragm
        By how many mm its domes move, 10 to 30; None: drawn from the seed.
    uneven
        How differently the parts of the lungs take part in the breath, 0 (as a smooth function of
        place that is alike in all subjects) to 0.5.

    Raises
    ------
    WarplineError
        If a parameter is not possible, or a grid has no lung in it.
    """
    grid = whole_chest_grid(shape, spacing) if grid is None else grid
    inhale_grid = grid if inhale_grid is None else inhale_grid
    parts = np.random.default_rng(seed).spawn(5)
    chest = Chest.random(parts[0], variation)
    scanner = Scanner.random(parts[1], outside=outside, border=border, couch=couch, noise=noise)
    height = float(1 / np.linalg.norm(chest.map.matrix[2]))
    motion = Motion.random(parts[3], diaphragm, height, uneven)
    return Breath(
        _scan(chest, inhale_grid, None, scanner, parts[2], threads),
        _scan(chest, grid, motion, scanner, parts[4], threads),
        drawing.field(chest, grid, motion, True, threads),
        drawing.field(chest, inhale_grid, motion, False, threads),
        chest,
        motion,
    )


def _scan(
    chest: Chest,
    grid: Grid,
    motion: Motion | None,
    scanner: Scanner,
    rng: np.random.Generator,
    threads: int,
) -> Scan:
    hu, lungs, lobes = drawing.render(chest, grid, motion, scanner.couch, threads)
    if not lungs.any():
        raise WarplineError(
            "The grid has no lung in it.",
            where="grid",
            do=f"Put it about {MIDDLE} mm (LPS), the middle of the chest.",
        )
    ids, positions = chest.landmarks(motion)
    index = grid.physical_to_index(positions)
    seen = ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(axis=1)
    landmarks = pd.DataFrame(positions[seen], columns=["x", "y", "z"])
    landmarks.insert(0, "id", [name for name, inside in zip(ids, seen, strict=True) if inside])
    image = acquire(hu, grid, scanner, rng)
    return Scan(Image(image, grid), Image(lungs, grid), Image(lobes, grid), landmarks)
