"""Intervals and tests that draw cases, and seeds where there are several.

Values are a matrix of lists: of each pair, by each seed, the values of its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import special  # the functions beneath those of scipy.stats, which loads for a second

from warpline.tables.statistics import aggregate
from warpline.tables.structure import Structure, structure_of


@dataclass(frozen=True)
class Sample:
    """Values of pairs, and which cases and which training each is of.

    Attributes
    ----------
    values
        (L,), finite.
    pair, seed
        (L,): the number of each value's pair, and of its seed.
    structure
        Of the pairs.
    """

    values: np.ndarray
    pair: np.ndarray
    seed: np.ndarray
    structure: Structure

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        fixed: Sequence[str],
        moving: Sequence[str],
        seed: Sequence[object] | None = None,
    ) -> Sample:
        """The finite ones of values of pairs (`fixed`, `moving`), a value each or several.

        Values of single things instead of pairs have the same name for both.
        """
        values = np.asarray(values, dtype=np.float64)
        kept = np.isfinite(values)
        pairs = [(str(f), str(m)) for f, m in zip(fixed, moving, strict=True)]
        pairs = [pair for pair, finite in zip(pairs, kept, strict=True) if finite]
        numbers = {pair: k for k, pair in enumerate(sorted(set(pairs)))}
        seeds = np.zeros(len(values)) if seed is None else np.asarray(seed)
        return cls(
            values=values[kept],
            pair=np.array([numbers[pair] for pair in pairs], int),
            seed=np.unique(seeds[kept], return_inverse=True)[1],
            structure=structure_of(*zip(*numbers, strict=True)) if numbers else None,
        )

    @cached_property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.seed.max()) + 1 if self.seed.size else 0

    @property
    def freedom(self) -> float:
        """Degrees of freedom of what cases tell of a spread; 0 if they tell nothing."""
        return self.structure.freedom if self.values.size else 0.0

    def means(self) -> np.ndarray:
        """(pairs, seeds): the mean of each; NaN where there is none."""
        sums, counts = np.zeros((2, len(self.structure.pairs), self.seeds))
        np.add.at(sums, (self.pair, self.seed), self.values)
        np.add.at(counts, (self.pair, self.seed), 1)
        return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)

    def variance(self, influence: np.ndarray) -> tuple[float, float]:
        """Variance of the mean of `influence` (L,) and its degrees of freedom (Satterthwaite)."""
        shape = (len(self.structure.pairs), self.seeds)
        sums = np.zeros(shape)
        np.add.at(sums, (self.pair, self.seed), influence - influence.mean())
        total = float(len(influence))
        cases = self.structure.variance(sums.sum(axis=1), total)
        trainings, beyond = _of_seeds(sums, total)
        return _joined([(cases, self.freedom)], [(trainings, beyond, self.seeds - 1)])


def case_interval(
    sample: Sample,
    statistic: str = "mean",
    q: float | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a statistic of all of a sample's values.

    Cases are drawn (whole groups of pairs, where no case links them), and seeds, if there are
    several. The spread of the draws is that of a sample of so many; it is set to the variance that
    `Structure` estimates without bias, and the percentiles to those of Student's t: the *expanded
    percentile* interval (Hesterberg 2015). Of a mean or a standard deviation the draws' distances
    are stretched, of a quantile the percentiles' levels, so that its bounds are values of the
    sample's range. Bounds of values that are never negative are not negative.

    Returns
    -------
    tuple
        (low, high). NaN, NaN if the cases tell nothing of a spread: one pair, or one in both
        directions. (v, v) if all values are v.
    """
    if sample.freedom < 0.5:
        return float("nan"), float("nan")
    values = sample.values
    found = float(aggregate(statistic, q)(values))
    if np.ptp(values) == 0:
        return found, found
    weights = _weights(sample.structure, sample.seeds, resamples, seed)
    weights = weights[:, sample.pair, sample.seed]
    weights = weights[weights.any(axis=1)]
    drawn = weighted(values, weights, statistic, q)
    influence = _influence(values, statistic, found)
    spread = float(np.var(weighted(influence, weights, "mean")))
    variance, freedom = sample.variance(influence)
    tail = (1 - confidence) / 2
    stretch = np.sqrt(variance / spread) if spread > 0 else 1.0
    reach = float(stretch * special.stdtrit(freedom, 1 - tail))
    if statistic in ("median", "quantile"):
        level = float(special.ndtr(-reach))
        low, high = np.quantile(drawn, [level, 1 - level])
    else:
        low, high = np.quantile(drawn, [tail, 1 - tail])
        reach /= float(special.ndtri(1 - tail))
        low, high = found + reach * (low - found), found + reach * (high - found)
        if values.min() >= 0:
            low = max(low, 0.0)
    return float(low), float(high)


def paired_test(first: Sample, second: Sample) -> float:
    """p of no difference between the means of two samples of the same pairs, in the same order.

    Student's t of the mean difference of pairs, with a variance that draws cases, and each
    sample's own seeds.

    Returns
    -------
    float
        1 if all differences are zero. NaN if the cases tell nothing of a spread. If all
        differences are the same, and not zero, that of the sign test of what is drawn.

    Raises
    ------
    ValueError
        If the samples are of different pairs.
    """
    mean, variance, freedom = _paired_difference(first, second)
    if not np.isfinite(variance):
        return float("nan")
    if mean == 0 and variance == 0:
        return 1.0
    if variance <= (1e-12 * mean) ** 2:
        return float(2.0 ** (1 - first.structure.drawn))
    return float(2 * special.stdtr(freedom, -abs(mean) / np.sqrt(variance)))


def paired_interval(
    first: Sample, second: Sample, confidence: float = 0.95
) -> tuple[float, float, float]:
    """(mean, low, high) of the difference of pairs' means, `first` less `second`.

    The interval is that of the values which `paired_test` does not refuse; NaN where the cases
    tell nothing of a spread.

    Raises
    ------
    ValueError
        If the samples are of different pairs.
    """
    mean, variance, freedom = _paired_difference(first, second)
    reach = (
        float(special.stdtrit(freedom, (1 + confidence) / 2)) if np.isfinite(variance) else np.nan
    )
    reach *= float(np.sqrt(variance))
    return mean, mean - reach, mean + reach


def _paired_difference(first: Sample, second: Sample) -> tuple[float, float, float]:
    """(mean difference of pairs, its variance, degrees of freedom); NaN for what is not told."""
    if first.values.size and second.values.size and first.structure.pairs != second.structure.pairs:
        raise ValueError("only samples of the same pairs can be compared")
    if not first.values.size or not second.values.size:
        return float("nan"), float("nan"), float("nan")
    means = first.means(), second.means()
    difference = np.nanmean(means[0], axis=1) - np.nanmean(means[1], axis=1)
    mean, n = float(difference.mean()), float(len(difference))
    if first.freedom < 0.5:
        return mean, float("nan"), float("nan")
    if not difference.any():
        return 0.0, 0.0, first.freedom
    cases = first.structure.variance(difference - mean, n)
    seeds = []
    for part in means:
        residuals = np.nan_to_num(part - np.nanmean(part))
        seeds.append((*_of_seeds(residuals, float(part.size)), part.shape[1] - 1))
    variance, freedom = _joined([(cases, first.freedom)], seeds)
    return mean, variance, freedom


def weighted(
    values: np.ndarray, weights: np.ndarray, statistic: str, q: float | None = None
) -> np.ndarray:
    """The statistic (B,) of `values` (L,), each as often as `weights` (B, L) say.

    The same as `aggregate` gives of the values repeated.
    """
    total = weights.sum(axis=1)
    if statistic in ("mean", "std"):
        centre = values.mean()
        mean = weights @ (values - centre) / total
        if statistic == "mean":
            return centre + mean
        return np.sqrt(np.maximum(weights @ np.square(values - centre) / total - mean**2, 0))
    order = np.argsort(values, kind="stable")
    last = np.cumsum(weights[:, order], axis=1)
    place = (total - 1) * (0.5 if statistic == "median" else q)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, total - 1)
    low, high = (
        values[order][(last <= position[:, None]).sum(axis=1)] for position in (below, above)
    )
    return low + (place - below) * (high - low)


def _influence(values: np.ndarray, statistic: str, found: float) -> np.ndarray:
    """Values whose mean varies as the statistic does, to a factor."""
    if statistic in ("median", "quantile"):
        return (values <= found).astype(float)
    return np.square(values - values.mean()) if statistic == "std" else values


def _of_seeds(sums: np.ndarray, total: float) -> tuple[float, float]:
    """(variance of a mean over seeds, its part that is noise of single pairs); (pairs, seeds)."""
    pairs, seeds = sums.shape
    if seeds < 2:
        return 0.0, 0.0
    own = seeds / (seeds - 1) * float(np.square(sums.sum(axis=0)).sum()) / total**2
    rest = sums - sums.mean(axis=0) - sums.mean(axis=1, keepdims=True) + sums.mean()
    noise = float(np.square(rest).sum()) * pairs * seeds / ((pairs - 1) * (seeds - 1))
    return own, noise / total**2


def _joined(
    cases: list[tuple[float, float]], seeds: list[tuple[float, float, int]]
) -> tuple[float, float]:
    """A variance of (variance, freedom) of cases and (variance, noise, freedom) of seeds.

    The noise of a pair with a seed is in both, and taken off once.
    """
    own = [max(variance - noise, 0.0) for variance, noise, _ in seeds]
    variance = sum(part for part, _ in cases) + sum(own)
    square = sum(part**2 / freedom for part, freedom in cases)
    square += sum(
        part**2 / freedom for part, (*_, freedom) in zip(own, seeds, strict=True) if freedom
    )
    return variance, variance**2 / square if square else float("inf")


@lru_cache(maxsize=8)
def _weights(structure: Structure, seeds: int, resamples: int, seed: int) -> np.ndarray:
    """(B, pairs, seeds): how often each value comes."""
    pairs = structure.draws(resamples, seed)
    trainings = np.random.default_rng([seed, 1]).multinomial(
        seeds, np.full(seeds, 1 / seeds), size=len(pairs)
    )
    return pairs[:, :, None] * trainings[:, None, :]
