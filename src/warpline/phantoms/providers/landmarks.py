"""Which landmarks of a phantom a stored scan keeps."""

from __future__ import annotations

import numpy as np


def far_apart(points: np.ndarray, number: int) -> list[int]:
    """Which of the points (n, 3) to take: each next one is the farthest from those taken."""
    chosen = [0]
    distance = np.full(len(points), np.inf)
    while len(chosen) < min(number, len(points)):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return chosen
