"""Breathing phantom chests packed as Learn2Reg 2020's task 2 is: exhale and inhale on one grid.

The landmarks are in an archive of their own: Learn2Reg's are not in its first archives either.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from warpline.acquire.formats.learn2reg_lung import PHASES
from warpline.files import atomic_path
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.mirror import add_entry, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

TRAINING, TEST, LANDMARKS = "training.zip", "testData.zip", "landmarks.zip"
LAST_OF_TRAINING = 20
SHAPE, SPACING = (208, 192, 192), (1.75, 1.25, 1.75)  # (z, y, x); x, y, z in mm
ORIGIN = (-160.0, -110.0, -215.0)  # mm: one for all, and not 0


def write_learn2reg_lung(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``training.zip``, ``testData.zip`` and ``landmarks.zip`` with both scans of every patient.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_pair`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(stored_pair)
    files: dict[str, dict[str, bytes]] = {TRAINING: {}, TEST: {}, LANDMARKS: {}}
    for patient in dict.fromkeys(row["patient"] for row in cases):
        training = int(patient) <= LAST_OF_TRAINING
        members, root = (files[TRAINING], "training/") if training else (files[TEST], "")
        for phase, (image, lungs, index) in make(phantom.seed_of(patient)).items():
            members[f"{root}scans/case_{patient}_{phase}.nii.gz"] = nifti(image)
            members[f"{root}lungMasks/case_{patient}_{phase}.nii.gz"] = nifti(lungs)
            lines = [",".join(f"{value:.3f}" for value in row) for row in index]
            name = f"LungCT_0{patient}_{PHASES[phase]}.csv"
            files[LANDMARKS][name] = "".join(f"{line}\n" for line in lines).encode()
    return [_write(folder / name, members) for name, members in files.items()]


def stored_pair(
    seed: tuple[int, int],
    *,
    coarser: float = 1.0,
    diaphragm: float | None = None,
    landmarks: int = 100,
    variation: float = 0.5,
) -> dict[str, tuple[Image, Image, np.ndarray]]:
    """One patient's scan, lungs and landmarks at ``exp`` and ``insp``.

    Parameters
    ----------
    coarser
        How many times larger the voxels are than Learn2Reg's, and how many times fewer.
    diaphragm, variation
        See `warpline.phantoms.anatomy.chest.breathing`.
    landmarks
        At most how many, as indices (n, 3), x, y, z from 0, with fractions.
    """
    shape = tuple(round(n / coarser) for n in SHAPE)
    grid = Grid(shape, tuple(s * coarser for s in SPACING), ORIGIN)
    breath = chest.breathing(
        seed,
        grid=grid,
        diaphragm=diaphragm,
        variation=variation,
        outside=None,
        border=None,
        couch=False,
        threads=1,
    )
    scans = {"exp": breath.exhale, "insp": breath.inhale}
    suffixes = [f"_{phase}" for phase in scans]
    shared = breath.exhale.landmarks.merge(breath.inhale.landmarks, on="id", suffixes=suffixes)
    rng = np.random.default_rng((*seed, 29))  # another stream than the anatomy's
    chosen = np.sort(rng.permutation(len(shared))[:landmarks])
    result = {}
    for phase, scan in scans.items():
        points = shared[[f"{axis}_{phase}" for axis in "xyz"]].to_numpy()[chosen]
        lungs = (scan.lungs.array > 0).astype(np.uint8)
        result[phase] = (scan.image, Image(lungs, grid), grid.physical_to_index(points)[:, ::-1])
    return result


def _write(path: Path, files: Mapping[str, bytes]) -> Path:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in files.items():
            add_entry(archive, name, content)
    enter_checksum(path)
    return path
