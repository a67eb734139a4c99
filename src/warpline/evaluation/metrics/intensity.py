"""Likeness of intensities."""

from __future__ import annotations

import numpy as np


def mean_squared_error(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Mean of (fixed − warped)² over all voxels, in squared intensity units."""
    difference = np.asarray(fixed, dtype=np.float64) - np.asarray(warped, dtype=np.float64)
    return float(np.mean(np.square(difference)))


def correlation(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Global normalised cross-correlation (Pearson's), in [−1, 1]; NaN if an image is constant."""
    a = np.asarray(fixed, dtype=np.float64)
    b = np.asarray(warped, dtype=np.float64)
    a, b = (a - a.mean()).ravel(), (b - b.mean()).ravel()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")
