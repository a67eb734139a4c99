"""Likeness of intensities."""

from __future__ import annotations

import numpy as np

PIECE = 1 << 16  # voxels at a time, which stay in the cache


def mean_squared_error(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Mean of (fixed − warped)² over all voxels, in squared intensity units."""
    difference = np.asarray(fixed, dtype=np.float64) - np.asarray(warped, dtype=np.float64)
    return float(np.mean(np.square(difference)))


def correlation(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Global normalised cross-correlation (Pearson's), in [−1, 1]; NaN if an image is constant."""
    a, b = np.ravel(fixed), np.ravel(warped)
    means = a.mean(dtype=np.float64), b.mean(dtype=np.float64)
    products = np.zeros((2, 2))
    for start in range(0, a.size, PIECE):
        pair = [
            part[start : start + PIECE] - mean for part, mean in zip((a, b), means, strict=True)
        ]
        products += np.inner(pair, pair)
    scale = np.sqrt(products[0, 0] * products[1, 1])
    return float(products[0, 1] / scale) if scale > 0 else float("nan")
