"""Where a NIfTI header puts its voxels, read here where ITK reads it otherwise or not at all."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np

from warpline.errors import WarplineError
from warpline.images.grid import Grid

log = logging.getLogger(__name__)

LPS = np.array([-1.0, -1.0, 1.0])  # from RAS
SKEW = 1e-4  # of a cosine between two axes, below which axes are at right angles
SLIGHT = math.sin(math.radians(1.0))
AGREE = 0.01  # of a voxel, by which qform and sform may differ without a word


def right_angled(grid: Grid, where: object) -> Grid:
    """The grid whose axes are at right angles and nearest to a grid's own, its middle kept.

    The nearest rotation (or reflection) to the axes, by their singular value decomposition. How far
    voxels move is told.

    Raises
    ------
    WarplineError
        If two axes miss a right angle by more than a degree.
    """
    axes = np.reshape(grid.direction, (3, 3))
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if not skew > SKEW:
        return grid
    degrees = math.degrees(math.asin(min(skew, 1.0)))
    if skew > SLIGHT:
        raise WarplineError(
            f"The image's axes miss a right angle by {degrees:.1f}°: its header shears it.",
            where=where,
            do="Resample it onto a grid with right angles (nibabel.processing.resample_to_output, "
            "or dcm2niix from the DICOM files, which undoes a gantry's tilt), or correct the "
            "header if it is wrong.",
        )
    left, _, right = np.linalg.svd(axes)
    straight = replace(grid, direction=tuple(map(float, (left @ right).ravel())))
    middle = (np.asarray(grid.shape) - 1) / 2
    shift = grid.index_to_physical(middle) - straight.index_to_physical(middle)
    straight = replace(straight, origin=tuple(map(float, np.asarray(grid.origin) + shift)))
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(grid.shape) - 1)
    moved = grid.index_to_physical(corners) - straight.index_to_physical(corners)
    log.warning(
        "%s: the header's axes miss a right angle by %.2g°; the nearest right ones are taken, "
        "which moves no voxel by more than %.2g mm",
        where,
        degrees,
        np.linalg.norm(moved, axis=1).max(),
    )
    return straight


def is_sheared(header: Any) -> bool:
    """Whether voxels are placed by an sform alone whose axes are not at right angles."""
    if header["qform_code"] > 0 or not header["sform_code"] > 0:
        return False
    return _skewed(sform(header)[:3, :3])


def _skewed(axes: np.ndarray) -> bool:
    """Whether the columns of a matrix, which have a length each, are not at right angles."""
    lengths = np.linalg.norm(axes, axis=0)
    if not (np.isfinite(axes).all() and (lengths > 0).all()):
        return False
    axes = axes / lengths
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SKEW)


def grid_of_header(header: Any, shape: tuple[int, int, int]) -> Grid:
    """The grid of a header as ITK has it: by the sform of code 1, else the qform, else the sform.

    Parameters
    ----------
    shape
        Along x, y, z.
    """
    scanner = header["sform_code"] == 1 and not _skewed(sform(header)[:3, :3])
    if header["qform_code"] > 0 and not scanner:
        matrix = qform(header)
    elif header["sform_code"] > 0:
        matrix = sform(header)
    else:
        matrix = np.diag([*np.abs(header["pixdim"][1:4].astype(float)), 1.0])
        matrix[:2] *= -1  # as ITK has it: x and y run as LPS
    columns = LPS[:, None] * matrix[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    return Grid(
        tuple(int(n) for n in shape[::-1]),
        tuple(map(float, spacing)),
        tuple(map(float, LPS * matrix[:3, 3])),
        tuple(map(float, (columns / spacing).ravel())),
    )


def sform(header: Any) -> np.ndarray:
    """(4, 4), (i, j, k) to mm, RAS."""
    matrix = np.eye(4)
    matrix[:3] = [header[f"srow_{axis}"] for axis in "xyz"]
    return matrix


def qform(header: Any) -> np.ndarray:
    """(4, 4), (i, j, k) to mm, RAS: NIfTI-1's method 2."""
    b, c, d = (float(header[f"quatern_{part}"]) for part in "bcd")
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    spacing = np.abs(header["pixdim"][1:4].astype(float))
    spacing[2] *= -1 if header["pixdim"][0] < 0 else 1
    matrix = np.eye(4)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = [header[f"qoffset_{axis}"] for axis in "xyz"]
    return matrix


def say_what_was_taken(header: Any, shape: tuple[int, ...], taken: Grid, where: object) -> None:
    """Tell of a header that places its voxels in two ways, or in none."""
    coded = {name: header[f"{name}_code"] > 0 for name in ("qform", "sform")}
    if not any(coded.values()):
        log.warning(
            "%s: neither qform nor sform says where the voxels lie; the first is taken to be at "
            "the origin, the axes to run to the patient's left, back and head",
            where,
        )
    if not all(coded.values()):
        return
    sizes = np.array((*shape, 1, 1)[:3])
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*(sizes - 1), 1]
    ways = {"qform": qform(header), "sform": sform(header)}
    apart = np.linalg.norm((corners @ (ways["qform"] - ways["sform"]).T)[:, :3], axis=1).max()
    spacing = np.abs(header["pixdim"][1:4].astype(float)).min()
    if not apart > AGREE * spacing:
        return
    places = corners[:, 2::-1]
    there = taken.index_to_physical(places)
    name = min(ways, key=lambda way: np.abs(there - (corners @ ways[way].T)[:, :3] * LPS).max())
    other = "sform" if name == "qform" else "qform"
    log.warning(
        "%s: qform and sform put voxels up to %.3g mm apart; the %s is taken, as ITK does. If the "
        "%s is right, copy it to the other one first",
        where,
        apart,
        name,
        other,
    )
