"""Breathing phantom chests packed as copies of DIR-Lab's datasets are, the same bytes every time.

The archives differ as those that are passed around do: in suffixes, in capitals, in the folders
around the files. Landmarks are whole indices in both phases, as an expert clicks on voxels; the
true motion therefore misses them by up to half a voxel along each axis.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from warpline.acquire.formats.dirlab import DIRECTION, OFFSET, scan_grid
from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images.grid import Grid
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.landmarks import far_apart
from warpline.phantoms.providers.mirror import add_entry, enter_checksum
from warpline.phantoms.providers.request import Phantom

SCOUT = 8.0  # mm: voxels of the first, coarse view that says where the lungs are
SCOUTED = (48, 40, 52)  # and how many of them, z, y, x
MARGIN = (12.0, 12.0, 10.0)  # mm left about the lungs along x, y, z
OUTSIDE = -3024.0  # HU outside the field of view, where a scan has one
FEW = 75  # landmarks of the other list in a 4D-CT archive
MOST_EMPTY = 3  # empty slices at the feet of COPD's exhale scans


@dataclass(frozen=True)
class StoredPair:
    """Two phases as they are stored.

    Attributes
    ----------
    inhale, exhale
        int16, HU + 1024, (z, y, x); indices grow to the feet, the back and the left.
    inhale_points, exhale_points
        Landmarks (n, 3) as indices x, y, z from 1.
    true_points
        Where the inhale landmarks really are at exhale, indices x, y, z from 1 with fractions.
    """

    inhale: np.ndarray
    exhale: np.ndarray
    inhale_points: np.ndarray
    exhale_points: np.ndarray
    true_points: np.ndarray


def write_4dct(phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    """``Case1Pack.zip`` …: the phases T00 and T50 of every patient.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_pair`; with the patients' scans.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible, or a patient has no number or no size.
    """
    return [
        _write(folder / f"Case{number}Pack.zip", _files_4dct(number, pair))
        for number, pair in _pairs(phantom, cases)
    ]


def write_copd(phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    """``copd1.zip`` …: the breath-holds iBHCT and eBHCT of every patient; see `write_4dct`."""
    return [
        _write(folder / f"copd{number}.zip", _files_copd(number, pair))
        for number, pair in _pairs(phantom, cases)
    ]


def stored_pair(
    seed: tuple[int, int],
    grid: Grid,
    *,
    diaphragm: Sequence[float] = (10.0, 30.0),
    uneven: float = 0.0,
    landmarks: int = 300,
    variation: float = 1.0,
    noise: float = 18.0,
    outside: float = 0.5,
    threads: int = 1,
) -> StoredPair:
    """One patient at inhale and at exhale.

    A patient whose lungs would not fit into the grid is made smaller.

    Parameters
    ----------
    grid
        Of both scans, in DIR-Lab's frame; where its origin lies does not matter.
    diaphragm
        Least and most by which its domes move, mm; within 10 to 30 of a patient of usual size.
    landmarks
        How many, as far apart as can be; fewer if there are not as many.
    uneven, variation, noise, threads
        See `warpline.phantoms.anatomy.chest.breathing`.
    outside
        Share of the patients with a circular field of view.
    """
    rng = np.random.default_rng((*seed, 23))  # another stream than the anatomy's
    excursion, circle = rng.uniform(*diaphragm), rng.random() < outside
    where, scale = _placed(seed, grid, variation)
    breath = chest.breathing(
        seed,
        grid=where,
        diaphragm=float(np.clip(excursion / scale, 10.0, 30.0)),
        uneven=uneven,
        variation=variation,
        outside=OUTSIDE if circle else None,
        border=None,
        noise=noise,
        threads=threads,
    )
    marks = breath.inhale.landmarks[["x", "y", "z"]].to_numpy()
    index = np.unique(np.rint(where.physical_to_index(marks)).astype(int), axis=0)
    index = index[breath.inhale.lungs.array[tuple(index.T)] > 0]
    true = where.physical_to_index(breath.to_exhale(where.index_to_physical(index)))
    inside = ((true >= 0) & (true <= np.asarray(where.shape) - 1)).all(axis=1)
    index, true = index[inside], true[inside]
    chosen = far_apart(index * np.asarray(grid.spacing[::-1]), landmarks)
    index, true = index[chosen, ::-1] + 1, true[chosen, ::-1] + 1
    return StoredPair(
        breath.inhale.image.array + np.int16(OFFSET),
        breath.exhale.image.array + np.int16(OFFSET),
        index,
        np.rint(true).astype(int),
        true,
    )


def _placed(seed: tuple[int, int], grid: Grid, variation: float) -> tuple[Grid, float]:
    """The grid about the patient's lungs, and the patient's size in it (at most 1).

    Instead of a smaller patient in the grid, the patient gets a larger grid.
    """
    view = chest.whole_chest_grid(SCOUTED, SCOUT)
    lungs = chest.subject(seed, grid=view, variation=variation, noise=0.0, threads=1).lungs.array
    found = np.argwhere(lungs > 0)
    low, high = (view.index_to_physical(end) for end in (found.min(axis=0), found.max(axis=0)))
    needed = high - low + SCOUT + 2 * np.asarray(MARGIN)
    extent = np.asarray(grid.shape[::-1]) * grid.spacing
    scale = min(1.0, float((extent / needed).min()))
    large = Grid(grid.shape, tuple(float(s / scale) for s in grid.spacing), direction=DIRECTION)
    middle = large.index_to_physical((np.asarray(grid.shape) - 1) / 2)
    origin = tuple(map(float, (low + high) / 2 - middle))
    return Grid(large.shape, large.spacing, origin, DIRECTION), scale


def _pairs(
    phantom: Phantom, cases: Sequence[Mapping[str, str]]
) -> Iterator[tuple[int, StoredPair]]:
    """Every patient's number and pair, one after the other."""
    make = phantom.maker(stored_pair)
    for patient in dict.fromkeys(row["patient"] for row in cases):
        number = re.fullmatch(r"[a-z]+([1-9]\d*)", patient)
        if number is None:
            raise WarplineError(
                f"The patient '{patient}' has no number, by which its archive is named.",
                where="the case sheet",
                do="Name patients as DIR-Lab does: case1 …, or copd1 ….",
            )
        grid = scan_grid(phantom.scans, patient)
        yield int(number[1]), make(phantom.seed_of(patient), grid)


def _files_4dct(number: int, pair: StoredPair) -> dict[str, bytes]:
    """Path in the archive to content."""
    root = "Case8Deploy" if number == 8 else f"Case{number}Pack"
    suffix = "_s" if number == 1 else "-ssm" if number < 6 else ""
    extremes = "extremePhases" if number % 2 == 0 else "ExtremePhases"
    stem = f"Case{number}_300" if number < 6 else f"case{number}_dirLab300"
    files = {}
    for phase, volume, points in (
        ("T00", pair.inhale, pair.inhale_points),
        ("T50", pair.exhale, pair.exhale_points),
    ):
        files[f"{root}/Images/case{number}_{phase}{suffix}.img"] = _raw(volume)
        files[f"{root}/{extremes}/{stem}_{phase}_xyz.txt"] = _text(points, " ")
        files[f"{root}/Sampled4D/case{number}_4D-75_{phase}.txt"] = _text(points[:FEW], " ")
    return files


def _files_copd(number: int, pair: StoredPair) -> dict[str, bytes]:
    """Path in the archive to content; empty slices stand at the feet of most exhale scans."""
    root = f"copd{number}/copd{number}" if number % 2 else f"copd{number}"
    lowest = int(pair.exhale_points[:, 2].max())
    empty = min((number - 1) % (MOST_EMPTY + 1), len(pair.exhale) - lowest)
    exhale = pair.exhale.copy()
    exhale[len(exhale) - empty :] = 0
    return {
        f"{root}/copd{number}_iBHCT.img": _raw(pair.inhale),
        f"{root}/copd{number}_eBHCT.img": _raw(exhale),
        f"{root}/copd{number}_300_iBH_xyz_r1.txt": _text(pair.inhale_points, "\t"),
        f"{root}/copd{number}_300_eBH_xyz_r1.txt": _text(pair.exhale_points, "\t"),
    }


def _raw(volume: np.ndarray) -> bytes:
    return volume.astype("<i2").tobytes()


def _text(points: np.ndarray, between: str) -> bytes:
    """A line x y z for each landmark."""
    return "".join(between.join(map(str, row)) + "\r\n" for row in points).encode()


def _write(path: Path, files: Mapping[str, bytes]) -> Path:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in files.items():
            add_entry(archive, name, content)
    enter_checksum(path)
    return path
