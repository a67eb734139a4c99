"""Aggregates over pairs, the size of a paired difference, and many tests at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STATISTICS = ("mean", "median", "quantile", "std")


def aggregate(name: str, q: float | None = None) -> Callable[..., np.ndarray]:
    """The function `f(values, axis=-1)` of a statistic.

    Parameters
    ----------
    name
        ``mean``; ``median``; ``quantile`` (of order `q`, interpolated linearly; Learn2Reg's "30"
        metrics are the 0.3 quantile over pairs); or ``std`` (n in the
        denominator).
    q
        Order of the quantile, in [0, 1].
    """
    if name == "mean":
        return np.mean
    if name == "median":
        return np.median
    if name == "std":
        return np.std
    if name == "quantile":
        if q is None or not 0 <= q <= 1:
            raise ValueError(f"a quantile needs an order q in [0, 1], not {q}")
        return lambda values, axis=-1: np.quantile(values, q, axis=axis)
    raise ValueError(f"{name!r} is none of {', '.join(STATISTICS)}")


def effect_size(differences: Sequence[float]) -> float:
    """Cohen's d_z of paired differences: their mean in their standard deviations (n - 1).

    By convention 0.2 is small, 0.5 medium and 0.8 large (Cohen 1988). Unlike p it does not grow
    with the number of pairs.

    Returns
    -------
    float
        0 if all differences are zero; NaN for fewer than two finite ones, or if all are the same.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if values.size < 2:
        return float("nan")
    if not values.any():
        return 0.0
    spread = float(values.std(ddof=1))
    mean = float(values.mean())
    return mean / spread if spread > 1e-12 * abs(mean) else float("nan")


def holm(p: Sequence[float]) -> np.ndarray:
    """p of several tests, adjusted so that one in twenty tables has a false star (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, …; none gets smaller than the one
    before it, or larger than 1. NaN are no tests and stay.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tests = np.flatnonzero(np.isfinite(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
