"""Target registration error at landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def registration_errors(
    mapped: np.ndarray, target: np.ndarray, matrix: np.ndarray | Sequence[Sequence[float]]
) -> dict[str, np.ndarray]:
    """Exact and snapped target registration error of each landmark, and its parts.

    Snapped: the error in voxels of the moving image is rounded before it is scaled to mm. With
    landmarks at voxel centres this is the error after moving the mapped point to the nearest
    voxel centre, as DIR-Lab and public code near Hansen & Heinrich 2020 report it.

    Parameters
    ----------
    mapped, target
        (n, 3), (x, y, z) mm: fixed landmarks mapped to the moving space, and the moving landmarks.
    matrix
        The moving grid's 3×3 matrix from (x, y, z) index steps to mm (`Grid.matrix`).

    Returns
    -------
    dict
        `tre`, `tre_snapped` and the absolute parts `tre_x`, `tre_y`, `tre_z`; each (n,), mm.
    """
    error = np.asarray(mapped, dtype=np.float64) - np.asarray(target, dtype=np.float64)
    matrix = np.asarray(matrix, dtype=np.float64)
    snapped = np.round(error @ np.linalg.inv(matrix).T) @ matrix.T
    return {
        "tre": np.linalg.norm(error, axis=-1),
        "tre_snapped": np.linalg.norm(snapped, axis=-1),
        **{f"tre_{axis}": np.abs(error[..., k]) for k, axis in enumerate("xyz")},
    }


def landmark_displacements(
    fixed: np.ndarray, mapped: np.ndarray, target: np.ndarray
) -> dict[str, np.ndarray]:
    """How far a registration moves each landmark, and how far it should.

    Parameters
    ----------
    fixed, mapped, target
        (n, 3), (x, y, z) mm: fixed landmarks, where the registration maps them to, and the moving
        landmarks.

    Returns
    -------
    dict
        `displacement_x`, `displacement_y`, `displacement_z` (mapped − fixed) and `target_x`,
        `target_y`, `target_z` (moving − fixed), with their signs; each (n,), mm.
    """
    fixed = np.asarray(fixed, dtype=np.float64)
    parts = {"displacement": np.asarray(mapped) - fixed, "target": np.asarray(target) - fixed}
    return {
        f"{name}_{axis}": values[..., k]
        for name, values in parts.items()
        for k, axis in enumerate("xyz")
    }
