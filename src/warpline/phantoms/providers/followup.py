"""Baseline and follow-up scans of phantom chests, with landmarks, as SPREAD's are laid out.

The two scans of a patient differ in the depth of the breath, in where the patient lies, in noise,
and in what the scanner puts outside its field of view.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.landmarks import far_apart
from warpline.phantoms.providers.mirror import add_entry, enter_checksum
from warpline.phantoms.providers.request import Phantom

ARCHIVE = "followup.zip"
EXTENT = (400.0, 300.0, 335.0)  # mm along x, y, z that are scanned
NOISE = (12.0, 24.0)  # HU


@dataclass(frozen=True)
class StoredScan:
    """One scan: `image` int16 HU, `lungs` uint8 (1), `points` (n, 3) mm, LPS."""

    image: Image
    lungs: Image
    points: np.ndarray


@dataclass(frozen=True)
class StoredPair:
    """Two scans of one patient; `truth` lies on the baseline's grid and leads to the follow-up."""

    baseline: StoredScan
    followup: StoredScan
    truth: DisplacementField


def write_followup(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``followup.zip`` with the files that the case sheet names.

    The first case of a patient is the baseline. The true field, if any, lies beside its image as
    ``truth.mha`` (mm).

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_pair`.

    Raises
    ------
    WarplineError
        If a parameter is unknown, or a patient has not two cases.
    """
    make = phantom.maker(stored_pair)
    patients: dict[str, list[Mapping[str, str]]] = {}
    for row in cases:
        patients.setdefault(row["patient"], []).append(row)
    path = folder / ARCHIVE
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for patient, rows in patients.items():
            if len(rows) != 2:
                raise WarplineError(
                    f"The patient '{patient}' has {len(rows)} cases; a follow-up phantom makes two."
                )
            pair = make(phantom.seed_of(patient))
            for row, scan in zip(rows, (pair.baseline, pair.followup), strict=True):
                add_entry(archive, row["image"], _mha(scan.image))
                if row["mask"]:
                    add_entry(archive, row["mask"], _mha(scan.lungs))
                if row["landmarks"]:
                    add_entry(archive, row["landmarks"], _points(scan.points))
            beside = Path(rows[0]["image"]).with_name("truth.mha").as_posix()
            add_entry(archive, beside, _mha(Image(pair.truth.vectors, pair.truth.grid)))
    enter_checksum(path)
    return [path]


def stored_pair(
    seed: tuple[int, int],
    *,
    spacing: Sequence[float] = (4.0, 4.0, 5.0),
    diaphragm: Sequence[float] = (10.0, 18.0),
    uneven: float = 0.0,
    turn: float = 3.0,
    shift: float = 10.0,
    landmarks: int = 100,
    variation: float = 1.0,
) -> StoredPair:
    """One patient, scanned twice; at the follow-up the breath is deeper.

    Parameters
    ----------
    spacing
        (x, y, z) in mm; SPREAD has about 0.78, 0.78, 2.5.
    diaphragm
        Least and most by which the breaths differ at the domes, mm; 10 to 30.
    uneven
        How unevenly, see `warpline.phantoms.anatomy.chest.breathing`.
    turn, shift
        How much the patient lies otherwise: at most so many degrees about each axis, and mm along.
    landmarks
        How many, as far apart as can be; fewer if there are not as many.
    variation
        How much the patients differ, see `warpline.phantoms.anatomy.chest.subject`.
    """
    rng = np.random.default_rng((*seed, 17))  # another stream than the anatomy's
    excursion = rng.uniform(*diaphragm)
    rotation = np.asarray(
        sitk.Euler3DTransform((0, 0, 0), *np.radians(rng.uniform(-turn, turn, 3))).GetMatrix()
    ).reshape(3, 3)
    translation = rng.uniform(-shift, shift, 3)
    shape = tuple(round(e / s) for e, s in zip(EXTENT[::-1], spacing[::-1], strict=True))
    grids = []
    for _ in range(2):
        grid = chest.whole_chest_grid(shape, spacing)
        origin = np.round(np.add(grid.origin, rng.uniform(-5, 5, 3)), 3)
        grids.append(Grid(shape, grid.spacing, tuple(map(float, origin))))
    noise = rng.uniform(*NOISE, 2)
    # What the two scanners put outside: never the same.
    outside = rng.permutation([0, -2048, -3024])[:2]
    outside = [None if value == 0 else float(value) for value in outside]
    options = {"variation": variation, "border": None, "couch": "mixed", "threads": 1}
    breath = chest.breathing(
        seed,
        grid=grids[0],
        inhale_grid=chest.whole_chest_grid((8, 8, 8)),  # scanned otherwise, below
        diaphragm=excursion,
        uneven=uneven,
        outside=outside[0],
        noise=noise[0],
        **options,
    )
    # The scanner's frame at the follow-up: p ↦ rotation · p + translation. The patient stays, and
    # the grid moves the other way.
    frame = Grid(
        shape,
        grids[1].spacing,
        tuple(map(float, rotation.T @ (np.asarray(grids[1].origin) - translation))),
        tuple(map(float, rotation.T.ravel())),
    )
    scan = chest.subject(seed, grid=frame, outside=outside[1], noise=noise[1], **options)

    def seen(points: np.ndarray) -> np.ndarray:
        return points @ rotation.T + translation

    first, second = _common(breath.exhale, scan, landmarks)
    where = grids[0].index_to_physical(grids[0].indices())
    truth = seen(where + breath.exhale_to_inhale.vectors) - where
    return StoredPair(
        _scan(breath.exhale, grids[0], first),
        _scan(scan, grids[1], seen(second)),
        DisplacementField(truth.astype(np.float32), grids[0]),
    )


def _scan(scan: chest.Scan, grid: Grid, points: np.ndarray) -> StoredScan:
    lungs = (scan.lungs.array > 0).astype(np.uint8)
    return StoredScan(Image(scan.image.array, grid), Image(lungs, grid), points)


def _common(first: chest.Scan, second: chest.Scan, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) of both scans, of landmarks in the first one's lungs, well distributed."""
    axes = ["x", "y", "z"]
    index = np.rint(first.image.grid.physical_to_index(first.landmarks[axes].to_numpy()))
    inside = first.lungs.array[tuple(index.astype(int).T)] > 0
    both = pd.merge(first.landmarks[inside], second.landmarks, on="id", suffixes=("", "_then"))
    points = both[axes].to_numpy()
    chosen = far_apart(points, number)
    return points[chosen], both[[f"{axis}_then" for axis in axes]].to_numpy()[chosen]


def _points(points: np.ndarray) -> bytes:
    """A landmark file of elastix."""
    rows = [" ".join(f"{value:.6f}" for value in row) for row in points]
    return "\n".join(["point", str(len(rows)), *rows, ""]).encode()


def _mha(image: Image) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.mha"
        sitk.WriteImage(to_sitk(image), os.fspath(path))
        return path.read_bytes()
