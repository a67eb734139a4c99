"""Likeness of intensities."""

from __future__ import annotations

import numpy as np

PIECE = 1 << 16  # voxels at a time, which stay in the cache


def mean_squared_error(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Mean of (fixed − warped)² over all voxels, in squared intensity units."""
    a, b = np.ravel(fixed), np.ravel(warped)
    total = 0.0
    for start in range(0, a.size, PIECE):
        piece = slice(start, start + PIECE)
        difference = np.subtract(a[piece], b[piece], dtype=np.float64)
        total += difference @ difference
    return float(total / a.size)


def correlation(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Global normalised cross-correlation (Pearson's), in [−1, 1]; NaN if an image is constant."""
    a, b = np.ravel(fixed), np.ravel(warped)
    means = a.mean(dtype=np.float64), b.mean(dtype=np.float64)
    products = np.zeros(3)
    for start in range(0, a.size, PIECE):
        x, y = (
            part[start : start + PIECE] - mean for part, mean in zip((a, b), means, strict=True)
        )
        products += x @ x, x @ y, y @ y
    scale = np.sqrt(products[0] * products[2])
    return float(products[1] / scale) if scale > 0 else float("nan")
