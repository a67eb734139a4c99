"""Heads with a hippocampus on either side, packed as neurite-OASIS is.

Simple heads: the hippocampus phantom's surroundings go on to the skull, so that what lies about
either hippocampus looks as it does there, and the rest is only brain-like.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import hippocampus
from warpline.phantoms.anatomy.chest.shapes import coverage, ellipsoid
from warpline.phantoms.providers.clinical import turned
from warpline.phantoms.providers.mirror import add_member, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

ARCHIVE = "neurite-oasis.v1.0.tar"
AXES = "LIA"
LEFT, RIGHT = 14, 30  # values of the hippocampi in seg35
SEG35_WHITE, SEG35_GREY = 1, 2
# mm: from the middle of the head to that of a hippocampus, x (to the side), y (back), z.
TO_HIPPOCAMPUS = (27.0, 2.0, -8.0)
SMALLEST = 112  # voxels: those 64 about a hippocampus must lie in the image


def write_oasis(phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    """``neurite-oasis.v1.0.tar`` with every subject that a case is of.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `head`.
    cases
        ``0001-left``: the subject in the first line of ``subjects.txt``. ``image`` names the file
        that is needed, ``orig`` if empty.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(head)
    wanted: dict[int, set[str]] = {}
    for row in cases:
        number = int(row["case"].split("-")[0])
        wanted.setdefault(number, set()).add(row.get("image") or "orig")
    path = folder / ARCHIVE
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        names = [_folder(number) for number in range(1, max(wanted, default=0) + 1)]
        add_member(tar, "subjects.txt", "".join(f"{name}\n" for name in names).encode())
        for number in sorted(wanted):
            seed = phantom.seed_of(f"oasis/{number:04d}")
            aligned = {kind.startswith("aligned_") for kind in wanted[number]}
            for prefix in ("aligned_" if kind else "" for kind in sorted(aligned)):
                image, brain, labels = make(seed, aligned=bool(prefix))
                files = {
                    "orig": image,
                    "norm": image.with_array(image.array * brain),
                    "seg35": labels,
                }
                for kind, content in files.items():
                    name = f"{_folder(number)}/{prefix}{kind}.nii.gz"
                    add_member(tar, name, nifti(turned(content, AXES)))
    enter_checksum(path)
    return [path]


def head(
    seed: tuple[int, int],
    *,
    size: int = 112,
    variation: float = 1.0,
    noise: float = 0.035,
    aligned: bool = False,
) -> tuple[Image, np.ndarray, Image]:
    """Image (0 to 1), where the brain is, and label map of a head, 1 mm, axes along LPS.

    Parameters
    ----------
    size
        Voxels a side. Real ones have 256, or 160×192×224 aligned.
    variation
        Of the anatomy, see `hippocampus.Anatomy`.
    noise
        Relative to white matter.
    aligned
        The head in the middle of the image, not where the scanner found it.

    Raises
    ------
    WarplineError
        If the image is too small to hold the surroundings of both hippocampi.
    """
    if size < SMALLEST:
        raise WarplineError(
            f"A head does not fit into {size} voxels of 1 mm.",
            where="key 'phantom.parameters.size' of the dataset file",
            do=f"Give {SMALLEST} or more.",
        )
    rng = np.random.default_rng(seed)
    for_pose, for_noise, *for_sides = rng.spawn(4)
    shift = np.zeros(3) if aligned else for_pose.uniform(-2.5, 2.5, 3)
    grid = Grid((size,) * 3, origin=(-(size - 1) / 2,) * 3)
    points = [c.astype(np.float32) for c in np.moveaxis(grid.indices()[..., ::-1], -1, 0)]
    x, y, z = (c - (size - 1) / 2 - float(s) for c, s in zip(points, shift, strict=True))
    brain = ellipsoid((x, y, z), (0, 0, 0), (47, 50, 47))
    signal = np.zeros(grid.shape, np.float32)
    labels = np.zeros(grid.shape, np.uint8)
    for side, value, side_rng in ((1, LEFT, for_sides[0]), (-1, RIGHT, for_sides[1])):
        anatomy = hippocampus.Anatomy.random(side_rng, variation)
        half = (x * side >= 0) & (brain < 3)
        # That phantom's frame: z up, y forward, x to the side.
        local = np.stack(
            [
                z[half] - TO_HIPPOCAMPUS[2],
                TO_HIPPOCAMPUS[1] - y[half],
                x[half] * side - TO_HIPPOCAMPUS[0],
            ]
        ).astype(np.float64)
        local -= np.asarray(anatomy.shift)[:, None]
        local = np.einsum("ij,jn->in", hippocampus.rotation_matrix(anatomy.rotation), local)
        drawn, inside = hippocampus.draw(anatomy, local)
        signal[half] = drawn
        tissue = np.where(drawn > 0.8, SEG35_WHITE, SEG35_GREY)
        labels[half] = np.where(inside < 0, value, tissue)
    # Fluid in the midline and about the brain, then skull and scalp.
    cover = coverage(np.maximum(brain, 1.5 - np.abs(x)), 1.5)
    signal = hippocampus.FLUID + cover * (signal - hippocampus.FLUID)
    for outer, value in ((4, 0.06), (7, 0.75), (10, 0.0)):
        signal += coverage(outer - brain, 1.5) * (value - signal)
    labels[(brain > 0) | (np.abs(x) < 1.5)] = 0
    image = hippocampus.acquire(signal, for_noise, noise, 0.1).astype(np.float32)
    # FreeSurfer stores 256 levels.
    image = np.rint(image * (255 / image.max())) / np.float32(255)
    return Image(image, grid), (brain <= 0).astype(np.float32), Image(labels, grid)


def _folder(number: int) -> str:
    return f"OASIS_OAS1_{number:04d}_MR1"
