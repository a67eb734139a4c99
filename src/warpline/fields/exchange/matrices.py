"""Affine maps as files of text, and RAS beside LPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.affine import AFFINE, affine_residual, fit_affine
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path

# RAS to LPS and back.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


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
