"""Chest scans of different phantom subjects, with lung masks and the landmarks of Hu et al. 2020.

The subjects differ in anatomy, in where they lie, in noise, and in what the scanner puts outside
its field of view. Their large airways and arteries lie elsewhere than the lungs alone would say, as
people's do; where exactly is known.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.files import atomic_path
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.mirror import add_entry, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

ARCHIVE = "chest.zip"
EXTENT = (400.0, 300.0, 360.0)  # mm along x, y, z that are scanned
NOISE = (12.0, 24.0)  # HU
TRACHEA = [name for name in chest.HU2020 if name.startswith("trachea")]


@dataclass(frozen=True)
class StoredScan:
    """One subject: `image` int16 HU, `lungs` uint8 (1), `landmarks` ``id, x, y, z`` (mm, LPS)."""

    image: Image
    lungs: Image
    landmarks: pd.DataFrame


def write_subjects(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``chest.zip`` with the files that the case sheet names.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_scan`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(stored_scan)
    path = folder / ARCHIVE
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for row in cases:
            scan = make(phantom.seed_of(row["case"]))
            add_entry(archive, row["image"], nifti(scan.image))
            if row["mask"]:
                add_entry(archive, row["mask"], nifti(scan.lungs))
            if row["landmarks"]:
                table = scan.landmarks.to_csv(index=False, float_format="%.3f")
                add_entry(archive, row["landmarks"], table.encode())
    enter_checksum(path)
    return [path]


def stored_scan(
    seed: tuple[int, int],
    *,
    spacing: Sequence[float] = (4.0, 4.0, 4.0),
    variation: float = 1.0,
    hila: float = 2.0,
    shift: float = 20.0,
) -> StoredScan:
    """One subject at inhale.

    Parameters
    ----------
    spacing
        (x, y, z) in mm; clinical scans have about 0.7, 0.7, 1 to 5.
    variation
        How much the subjects differ, see `warpline.phantoms.anatomy.chest.subject`.
    hila
        By how many mm the large airways and arteries lie elsewhere than the lungs say, see there.
    shift
        By how many mm at most the scanners' frames differ along each axis.
    """
    rng = np.random.default_rng((*seed, 18))  # another stream than the anatomy's
    away = np.round(rng.uniform(-shift, shift, 3), 3)
    shape = tuple(round(e / s) for e, s in zip(EXTENT[::-1], spacing[::-1], strict=True))
    scan = chest.subject(
        seed,
        grid=chest.whole_chest_grid(shape, spacing),
        variation=variation,
        hila=hila,
        noise=rng.uniform(*NOISE),
        threads=1,
    )
    old = scan.image.grid
    grid = Grid(old.shape, old.spacing, tuple(map(float, np.add(old.origin, away))), old.direction)
    lungs = (scan.lungs.array > 0).astype(np.uint8)
    landmarks = hu2020_landmarks(chest.model(seed, variation=variation, hila=hila))
    landmarks[["x", "y", "z"]] += away
    return StoredScan(Image(scan.image.array, grid), Image(lungs, grid), landmarks)


def hu2020_landmarks(model: chest.Chest) -> pd.DataFrame:
    """The 11 landmarks of Hu et al. 2020, section III A, ``id, x, y, z`` in mm, LPS.

    Where the windpipe divides (carina), where the right and the left superior and the right middle
    lobar bronchus leave, where the pulmonary artery divides, where its right and left branch do;
    and four points on the windpipe, from the thoracic inlet down, as far from each other as the
    last is from the carina.
    """
    ids, points = model.landmarks()
    place = dict(zip(ids, points, strict=True))
    line = np.array([place[name] for name in (*TRACHEA, "carina")])
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    equal = np.linspace(0, along[-1], len(line))[:-1]
    trachea = np.stack([np.interp(equal, along, line[:, axis]) for axis in range(3)], axis=1)
    place |= dict(zip(TRACHEA, trachea, strict=True))
    table = pd.DataFrame([place[name] for name in chest.HU2020], columns=["x", "y", "z"])
    table.insert(0, "id", chest.HU2020)
    return table
