"""Which method is ahead, as challenges say it and as the data allow it to be said.

Scores are of one dataset: a value a pair and method, of which more is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from warpline.tables.intervals import Sample, paired_interval, paired_test
from warpline.tables.statistics import holm
from warpline.tables.structure import Structure, structure_of

ALPHA = 0.05
LEAST_SCORE = 0.1  # Learn2Reg's score of the last; the first has 1
PAIR = ("fixed", "moving")


@dataclass(frozen=True)
class Scores:
    """What each method reached on each pair of a dataset.

    Attributes
    ----------
    values
        Index (fixed, moving), a column a method; no gaps.
    """

    values: pd.DataFrame

    @property
    def methods(self) -> list[str]:
        """The methods, in their order."""
        return list(self.values.columns)

    @property
    def structure(self) -> Structure:
        """Of the pairs."""
        return structure_of(*(self.values.index.get_level_values(level) for level in PAIR))

    def sample(self, method: str) -> Sample:
        """A method's values with the cases that they are of."""
        pairs = (self.values.index.get_level_values(level) for level in PAIR)
        return Sample.of(self.values[method].to_numpy(float), *pairs)


def wins(scores: Scores) -> pd.DataFrame:
    """How many others each method beats, as Learn2Reg counts it (Hering et al. 2023).

    A win is a better mean and a p of Wilcoxon's signed ranks over pairs below 0.05. The score goes
    by the number of wins from 0.1 to 1, methods with as many wins share it. The test takes pairs
    for independent, as the challenge does: `told_apart` does not.

    Returns
    -------
    pandas.DataFrame
        By method: ``wins``, ``losses``, ``score``.
    """
    names, values = scores.methods, scores.values
    beaten = pd.DataFrame(False, index=names, columns=names)
    for one in names:
        for other in names:
            difference = (values[one] - values[other]).to_numpy(float)
            if difference.mean() > 0:
                beaten.loc[one, other] = stats.wilcoxon(difference).pvalue < ALPHA
    found = pd.DataFrame({"wins": beaten.sum(axis=1), "losses": beaten.sum(axis=0)})
    place = stats.rankdata(found["wins"]) - 1
    found["score"] = LEAST_SCORE + (1 - LEAST_SCORE) * place / max(len(names) - 1, 1)
    return found


def overall_score(each: Mapping[str, pd.DataFrame]) -> pd.Series:
    """The geometric mean of the score over datasets, of the methods that all of them have."""
    table = pd.concat({name: frame["score"] for name, frame in each.items()}, axis=1).dropna()
    return np.exp(np.log(table).mean(axis=1)).rename("score")


def told_apart(scores: Scores) -> pd.DataFrame:
    """Every two methods: the difference of their means, what cases allow to say of it, and p.

    Returns
    -------
    pandas.DataFrame
        ``first`` (of the larger mean), ``second``, ``difference``, ``low``, ``high`` (95 %, draws
        cases), ``p`` (Student's t with the same variance), ``p_holm`` over all rows.
    """
    order = list(scores.values.mean().sort_values(ascending=False, kind="stable").index)
    samples = {method: scores.sample(method) for method in order}
    rows = []
    for first, second in combinations(order, 2):
        both = samples[first], samples[second]
        rows.append([first, second, *paired_interval(*both), paired_test(*both)])
    found = pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high", "p"])
    return found.assign(p_holm=holm(found["p"]))


def mean_ranks(scores: Scores) -> pd.Series:
    """Each method's rank of every pair, 1 the best and ties shared, averaged over pairs."""
    ranks = stats.rankdata(-scores.values.to_numpy(float), axis=1)
    return pd.Series(ranks.mean(axis=0), index=scores.methods)


def rank_intervals(
    each: Mapping[str, Scores], *, resamples: int, seed: int = 0, confidence: float = 0.95
) -> pd.DataFrame:
    """Ranks of the methods by their mean score, and how sure they are.

    Every draw takes cases of each dataset with replacement, as intervals of tables do
    (`Structure.draws`), ranks the methods' means in each, and averages the ranks over datasets.

    Returns
    -------
    pandas.DataFrame
        ``dataset`` ("" for all together, of the methods that each has), ``method``, ``rank``,
        ``low``, ``high`` (percentiles of the draws), ``first`` (share of draws in which no other
        method has a better rank).
    """
    drawn = {name: _drawn_ranks(scores, resamples, seed) for name, scores in each.items()}
    frames = [_summary(name, *found, confidence) for name, found in drawn.items()]
    common = _common(each)
    if len(each) > 1 and len(common) > 1:
        again = {name: _of(scores, common) for name, scores in each.items()}
        parts = [_drawn_ranks(scores, resamples, seed) for scores in again.values()]
        least = min(len(ranks) for _, ranks in parts)
        own = sum(rank for rank, _ in parts) / len(parts)
        every = sum(ranks[:least] for _, ranks in parts) / len(parts)
        frames.insert(0, _summary("", own, every, confidence))
    return pd.concat(frames, ignore_index=True)


def without_each(each: Mapping[str, Scores]) -> pd.DataFrame:
    """The mean ranks over datasets with all of them, and with each left out.

    Returns
    -------
    pandas.DataFrame
        By method, a column ``all`` and one a dataset that is left out; empty for a single dataset.
    """
    common = _common(each)
    if len(each) < 2:
        return pd.DataFrame(index=common)
    ranks = pd.DataFrame(
        {name: (-_of(scores, common).values.mean()).rank() for name, scores in each.items()}
    )
    found = {"all": ranks.mean(axis=1)}
    found |= {f"without {name}": ranks.drop(columns=name).mean(axis=1) for name in each}
    return pd.DataFrame(found).sort_values("all")


@dataclass(frozen=True)
class Difference:
    """What a diagram of critical differences shows (Demšar 2006).

    Attributes
    ----------
    ranks
        Mean rank of each method over the pairs, the best first.
    critical
        Mean ranks that are further apart differ, by Nemenyi's test at 0.05.
    p
        Friedman's, that all methods are alike.
    independent
        How many observations count: groups of pairs that share no case, else cases.
    groups
        Methods in a row that no critical difference parts, each as long as possible.
    """

    ranks: pd.Series
    critical: float
    p: float
    independent: int
    groups: list[list[str]]


def critical_difference(scores: Scores) -> Difference:
    """Mean ranks of one dataset and the difference that they must have to count.

    Pairs that share cases are not independent: as many count as `Structure.drawn` says.

    Raises
    ------
    ValueError
        For fewer than two methods.
    """
    ranks = mean_ranks(scores).sort_values(kind="stable")
    k, n = len(ranks), scores.structure.drawn
    if k < 2:
        raise ValueError("one method has no rank")
    q = float(stats.studentized_range.ppf(1 - ALPHA, k, np.inf)) / np.sqrt(2)
    critical = q * float(np.sqrt(k * (k + 1) / (6 * n)))
    chi = 12 * n / (k * (k + 1)) * float(np.square(ranks - (k + 1) / 2).sum())
    groups: list[list[str]] = []
    for start in range(k):
        end = start
        while end + 1 < k and ranks.iloc[end + 1] - ranks.iloc[start] <= critical:
            end += 1
        group = list(ranks.index[start : end + 1])
        if len(group) > 1 and not any(set(group) <= set(other) for other in groups):
            groups.append(group)
    return Difference(ranks, critical, float(stats.chi2.sf(chi, k - 1)), n, groups)


def _drawn_ranks(scores: Scores, resamples: int, seed: int) -> tuple[pd.Series, np.ndarray]:
    """(rank of each method's mean, ranks (B, methods) of the means of each draw)."""
    weights = scores.structure.draws(resamples, seed).astype(float)
    # A structure's pairs are in the order of the rows that it was made of.
    means = weights @ scores.values.to_numpy(float) / weights.sum(axis=1, keepdims=True)
    own = (-scores.values.mean()).rank()
    return own, stats.rankdata(-means, axis=1)


def _summary(name: str, own: pd.Series, ranks: np.ndarray, confidence: float) -> pd.DataFrame:
    tail = (1 - confidence) / 2
    best = ranks.min(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "dataset": name,
            "method": own.index,
            "rank": own.to_numpy(),
            "low": np.quantile(ranks, tail, axis=0),
            "high": np.quantile(ranks, 1 - tail, axis=0),
            "first": (ranks == best).mean(axis=0),
        }
    ).sort_values("rank", kind="stable")


def _common(each: Mapping[str, Scores]) -> list[str]:
    """The methods that every dataset has, in the first one's order."""
    sets = [set(scores.methods) for scores in each.values()]
    first = next(iter(each.values())).methods
    return [name for name in first if all(name in known for known in sets)]


def _of(scores: Scores, methods: list[str]) -> Scores:
    return Scores(scores.values[methods])
