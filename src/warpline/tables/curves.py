"""Alignment against regularity: a curve a method instead of a point (arXiv 2503.07185).

A method with more regularisation aligns less and folds less; two methods at one strength each say
nothing of which is better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def frontier(irregularity: Sequence[float], alignment: Sequence[float]) -> np.ndarray:
    """The best alignment that is reached with at most so much irregularity.

    Parameters
    ----------
    irregularity, alignment
        Of a method's strengths, and of no registration at all, whose irregularity is 0; of the
        alignment more is better.

    Returns
    -------
    numpy.ndarray
        (steps, 2): irregularities in ascending order, and the alignment from there on.
    """
    found: list[tuple[float, float]] = []
    for x, y in sorted(zip(irregularity, alignment, strict=True), key=lambda p: (p[0], -p[1])):
        if not found or y > found[-1][1]:
            found.append((float(x), float(y)))
    return np.array(found)


def area(irregularity: Sequence[float], alignment: Sequence[float], most: float) -> float:
    """The mean of the `frontier` over irregularities from 0 to `most`, in units of the alignment.

    Nothing is made up between two strengths: the frontier is a step. A method that reaches its
    alignment with less irregularity has more area; what it reaches beyond `most` does not count.

    Raises
    ------
    ValueError
        If no point has an irregularity of 0: where the curve begins is then not known.
    """
    steps = frontier(irregularity, alignment)
    if steps[0, 0] > 0:
        raise ValueError("the curve has to begin at an irregularity of 0")
    inside = steps[steps[:, 0] < most]
    ends = np.append(inside[1:, 0], most)
    return float(np.sum((ends - inside[:, 0]) * inside[:, 1]) / most)


def pareto(cost: Sequence[float], gain: Sequence[float]) -> np.ndarray:
    """(n,) bool: the points that no other one beats in cost or gain, and equals in the other.

    What has no cost, or no gain, is none of them.
    """
    cost, gain = np.asarray(cost, float), np.asarray(gain, float)
    at_least = (cost[None] <= cost[:, None]) & (gain[None] >= gain[:, None])
    better = (cost[None] < cost[:, None]) | (gain[None] > gain[:, None])
    return ~(at_least & better).any(axis=1) & np.isfinite(cost) & np.isfinite(gain)
