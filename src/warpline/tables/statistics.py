"""Aggregates over pairs, how sure they are, and whether two methods differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

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


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a statistic of `values`, one value a pair.

    Bias-corrected and accelerated (Efron 1987); the plain percentile interval where the
    acceleration is undefined, as for quantiles of samples with ties.

    Returns
    -------
    tuple
        (low, high). NaN, NaN for fewer than two finite values: one pair says nothing of the
        spread. (v, v) if all values are v.
    """
    values = _finite(values)
    if values.size < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        value = float(statistic(values))
        return value, value
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                (values,),
                statistic,
                confidence_level=confidence,
                n_resamples=resamples,
                vectorized=True,
                axis=-1,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(interval.low) and np.isfinite(interval.high):
            break
    return float(interval.low), float(interval.high)


def clustered_interval(
    groups: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of all groups' values together.

    Whole groups are drawn: the landmarks of one pair rise and fall together, so treating them as
    independent would make the interval too narrow.

    Parameters
    ----------
    groups
        One vector a pair, of any length.

    Returns
    -------
    tuple
        (low, high); NaN, NaN for fewer than two groups with finite values.
    """
    groups = [finite for finite in map(_finite, groups) if finite.size]
    if len(groups) < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(len(groups), size=(resamples, len(groups)))
    values = [statistic(np.concatenate([groups[k] for k in draw])) for draw in draws]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_test(first: Sequence[float], second: Sequence[float]) -> float:
    """p of the two-sided Wilcoxon signed-rank test (1945) of values paired by position.

    Differences of zero are left out, as Wilcoxon did.

    Returns
    -------
    float
        1 if all differences are zero: no sign of one. NaN for fewer than two pairs in which both
        values are finite.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} and {second.size} values cannot be paired")
    difference = _finite(first - second)
    if difference.size < 2:
        return float("nan")
    if not difference.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties: SciPy falls back on the normal approximation
        return float(stats.wilcoxon(difference, zero_method="wilcox").pvalue)


def _finite(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64).ravel()
    return values[np.isfinite(values)]
