"""Affine maps: of a field, and as files of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path

# Points by which an affine map is fitted to a field.
FITTED = 20_000
# A field that is farther than this from its nearest affine map, in mm, is not affine.
AFFINE = 1e-3
# RAS to LPS and back.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def fit_affine(field: DisplacementField) -> np.ndarray:
    """The affine map (4, 4), mm, LPS, that is nearest to a field in the sense of least squares.

    Along an axis of one voxel nothing is known, and nothing is stretched.
    """
    grid = field.grid
    step = max(1, int(np.prod(grid.shape)) // FITTED)
    flat = np.unique(np.r_[np.arange(0, np.prod(grid.shape), step), _corners(grid.shape)])
    index = np.stack(np.unravel_index(flat, grid.shape), axis=-1)
    points = grid.index_to_physical(index)
    moves = field.vectors.reshape(-1, 3)[flat].astype(np.float64)
    centre = points.mean(axis=0)
    design = np.c_[points - centre, np.ones(len(points))]
    change = np.linalg.lstsq(design, moves, rcond=1e-9)[0].T
    matrix = np.eye(4)
    matrix[:3, :3] += change[:, :3]
    matrix[:3, 3] = change[:, 3] - change[:, :3] @ centre
    return matrix


def affine_residual(field: DisplacementField, matrix: np.ndarray) -> float:
    """The largest distance, in mm, between where a field and an affine map take a voxel."""
    other = DisplacementField.from_matrix(matrix, field.grid)
    return float(np.linalg.norm(field.vectors - other.vectors, axis=-1).max())


def affine_of(field: DisplacementField) -> np.ndarray | None:
    """The affine map that a field is, or None."""
    matrix = fit_affine(field)
    return matrix if affine_residual(field, matrix) <= AFFINE else None


def needed_affine(field: DisplacementField, path: Path) -> np.ndarray:
    """The affine map that a field is.

    Raises
    ------
    WarplineError
        If it is none, for a file that holds nothing else.
    """
    matrix = fit_affine(field)
    residual = affine_residual(field, matrix)
    if residual > AFFINE:
        raise WarplineError(
            f"Such a file holds an affine map; this field is up to {residual:.3g} mm from one.",
            where=path,
            do="Write it as a field: give the output the name of an image, such as .nii.gz.",
        )
    return matrix


def read_matrix(path: Path) -> np.ndarray:
    """(4, 4) from a text of 4 × 4, 3 × 4 or 12 numbers; lines that begin with # say nothing."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        values = [float(v) for line in lines if line.strip()[:1] != "#" for v in line.split()]
    except (UnicodeDecodeError, ValueError) as error:
        raise WarplineError(
            f"The file is not a matrix of numbers ({error}).", where=path
        ) from error
    if len(values) not in (12, 16) or not np.isfinite(values).all():
        raise WarplineError(
            f"The file has {len(values)} numbers; an affine map has 12 or 16, all finite.",
            where=path,
        )
    matrix = np.eye(4)
    matrix[: len(values) // 4] = np.reshape(values, (-1, 4))
    if not np.allclose(matrix[3], (0, 0, 0, 1)) or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise WarplineError("The matrix of the file is no invertible affine map.", where=path)
    return matrix


def write_matrix(path: Path, matrix: np.ndarray, rows: int = 4) -> None:
    """Write the first `rows` rows of a matrix, a line each."""
    with atomic_path(path) as temporary:
        np.savetxt(temporary, matrix[:rows], fmt="%.12g")


def _corners(shape: tuple[int, int, int]) -> np.ndarray:
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    return np.ravel_multi_index(ends, shape)
