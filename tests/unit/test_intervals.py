"""Intervals and tests that draw cases: coverage by simulation, values by hand and by SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from warpline.tables import intervals
from warpline.tables.intervals import (
    Sample,
    case_interval,
    paired_interval,
    paired_test,
    weighted,
)
from warpline.tables.statistics import aggregate
from warpline.tables.structure import structure_of


def reversed_pairs(cases: int) -> list[tuple[str, str]]:
    """The k-th with the k-th from the end: each pair in both directions."""
    return [(f"c{k}", f"c{cases - 1 - k}") for k in range(cases)]


def all_pairs(cases: int) -> list[tuple[str, str]]:
    return list(itertools.combinations([f"c{k}" for k in range(cases)], 2))


def both_directions(cases: int) -> list[tuple[str, str]]:
    return list(itertools.permutations([f"c{k}" for k in range(cases)], 2))


def to_an_atlas(cases: int) -> list[tuple[str, str]]:
    return [("atlas", f"c{k}") for k in range(cases)]


def apart(cases: int) -> list[tuple[str, str]]:
    return [(f"f{k}", f"m{k}") for k in range(cases)]


def effects(pairs: list[tuple[str, str]]) -> np.ndarray:
    """(pairs, cases): which cases, but for the atlas, a pair's value depends on."""
    names = sorted({case for pair in pairs for case in pair} - {"atlas"})
    return np.array([[float(name in pair) for name in names] for pair in pairs])


def sample(values, pairs, seed=None) -> Sample:
    return Sample.of(values, *zip(*pairs, strict=True), seed)


def coverage(pairs, noise: float, *, seeds=1, between=0.0, repeats=700, resamples=1000) -> float:
    """How often the interval of a mean holds the true one: effects of cases with variance 1."""
    rng = np.random.default_rng(len(pairs))
    design, hits = effects(pairs), 0
    names = [pair for pair in pairs for _ in range(seeds)]
    trainings = np.tile(np.arange(seeds), len(pairs))
    for _ in range(repeats):
        of_pairs = design @ rng.normal(size=design.shape[1]) + noise * rng.normal(size=len(pairs))
        own = between * rng.normal(size=seeds) + 0.1 * rng.normal(size=(len(pairs), seeds))
        values = of_pairs[:, None] + (own if seeds > 1 else 0)
        low, high = case_interval(sample(values.ravel(), names, trainings), resamples=resamples)
        hits += low <= 0 <= high
    return hits / repeats


@pytest.mark.parametrize("noise", [0.3, 2.0])
@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(reversed_pairs(10), id="10 cases reversed"),
        pytest.param(reversed_pairs(60), id="60 cases reversed"),
        pytest.param(all_pairs(10), id="all of 10 cases"),
        pytest.param(all_pairs(20), id="all of 20 cases"),
        pytest.param(both_directions(10), id="all of 10 cases in both directions"),
        pytest.param(to_an_atlas(10), id="10 cases to an atlas"),
        pytest.param(to_an_atlas(60), id="60 cases to an atlas"),
        pytest.param(apart(10), id="10 pairs apart"),
    ],
)
def test_95_percent_intervals_cover_as_often(pairs, noise):
    assert 0.93 <= coverage(pairs, noise) <= 0.97


def test_intervals_over_pairs_would_not():
    """What the draws of cases mend: pairs as if each were one of its own."""
    pairs = all_pairs(10)
    rng, design, hits = np.random.default_rng(0), effects(pairs), 0
    for _ in range(300):
        values = design @ rng.normal(size=10) + 0.3 * rng.normal(size=len(pairs))
        low, high = case_interval(sample(values, apart(len(pairs))), resamples=500)
        hits += low <= 0 <= high
    assert hits < 0.75 * 300


@pytest.mark.parametrize("between", [0.1, 1.0])
def test_intervals_draw_seeds_too(between):
    assert 0.92 <= coverage(apart(20), 0.3, seeds=3, between=between, repeats=500) <= 0.97


@pytest.mark.parametrize("pairs", [reversed_pairs(20), all_pairs(10), to_an_atlas(12)])
def test_one_test_in_twenty_finds_what_is_not_there(pairs):
    rng, design, found = np.random.default_rng(1), effects(pairs), 0
    for _ in range(1000):
        methods = [
            design @ rng.normal(size=design.shape[1]) + rng.normal(size=len(pairs)) for _ in "ab"
        ]
        found += paired_test(*(sample(values, pairs) for values in methods)) < 0.05
    assert 0.03 <= found / 1000 <= 0.07


@pytest.mark.parametrize(
    ("pairs", "drawn", "freedom"),
    [
        (apart(7), 7, 6),
        (reversed_pairs(60), 30, 29),
        (to_an_atlas(9), 9, 8),
        (all_pairs(10), 10, 9),
        (both_directions(10), 10, 9),
        (to_an_atlas(2), 2, 1),
        ([("a", "b"), ("b", "a")], 1, 0),
        ([("a", "b")], 1, 0),
    ],
)
def test_what_is_drawn(pairs, drawn, freedom):
    structure = structure_of(*zip(*pairs, strict=True))
    assert structure.drawn == drawn
    assert structure.freedom == pytest.approx(freedom)


def test_the_variance_of_independent_pairs_is_the_usual_one():
    values = np.random.default_rng(0).normal(size=9)
    variance, freedom = sample(values, apart(9)).variance(values)
    assert variance == pytest.approx(values.var(ddof=1) / 9)
    assert freedom == pytest.approx(8)


def test_the_variance_of_reversed_pairs_is_that_of_their_means():
    values = np.random.default_rng(0).normal(size=10)
    means = (values[:5] + values[:4:-1]) / 2
    variance, freedom = sample(values, reversed_pairs(10)).variance(values)
    assert variance == pytest.approx(means.var(ddof=1) / 5)
    assert freedom == pytest.approx(4)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_variance_of_all_pairs_is_right_on_average(noise):
    """Effects of cases with variance 1: of the mean of all pairs, 4/10; of the noise, its own."""
    pairs = all_pairs(10)
    rng, design = np.random.default_rng(0), effects(pairs)
    found = []
    for _ in range(2000):
        values = design @ rng.normal(size=10) + noise * rng.normal(size=45)
        found.append(sample(values, pairs).variance(values)[0])
    assert np.mean(found) == pytest.approx(4 / 10 + noise**2 / 45, rel=0.03)


def test_draws_keep_pairs_and_their_reverse_together():
    draws = structure_of(*zip(*reversed_pairs(8), strict=True)).draws(200, 0)
    np.testing.assert_array_equal(draws, draws[:, ::-1])
    assert (draws.sum(axis=1) == 8).all()


def test_a_pair_comes_as_often_as_both_of_its_cases():
    """Three cases, counts a, b, c: pairs come ab, ac and bc times, never if one came thrice."""
    draws = structure_of(*zip(*all_pairs(3), strict=True)).draws(500, 0)
    assert {tuple(sorted(draw)) for draw in draws} == {(1, 1, 1), (0, 0, 2)}


@pytest.mark.parametrize(
    ("statistic", "q"),
    [("mean", None), ("median", None), ("std", None), ("quantile", 0.3), ("quantile", 0.97)],
)
def test_a_weighted_statistic_is_that_of_repeated_values(statistic, q):
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=12), rng.integers(0, 4, size=(20, 12))
    expected = [aggregate(statistic, q)(np.repeat(values, row)) for row in weights]
    np.testing.assert_allclose(weighted(values, weights, statistic, q), expected)


def test_the_interval_of_a_mean_is_near_students():
    values = np.random.default_rng(3).normal(5, 2, size=40)
    low, high = case_interval(sample(values, apart(40)))
    expected = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.06)


def test_a_quantile_has_a_percentile_interval_of_values_that_are_there():
    values = np.random.default_rng(4).uniform(size=60)
    low, high = case_interval(sample(values, apart(60)), "quantile", 0.3)
    assert low < np.quantile(values, 0.3) < high
    assert 0.05 < high - low < 0.4
    low, high = case_interval(sample([0.1, 0.5, 0.6], apart(3)), "quantile", 0.3)
    assert (low, high) == (0.1, 0.6)
    # Independent pairs: the ranks of the interval's ends by the binomial distribution.
    ranks = stats.binom.ppf([0.025, 0.975], 60, 0.3)
    low, high = case_interval(sample(np.arange(60.0), apart(60)), "quantile", 0.3)
    assert (low, high) == pytest.approx(tuple(ranks), abs=2.0)


def test_landmarks_of_a_pair_rise_and_fall_together():
    rng = np.random.default_rng(0)
    values = np.concatenate([centre + 0.1 * rng.normal(size=50) for centre in rng.normal(size=10)])
    pairs = [pair for pair in apart(10) for _ in range(50)]
    low, high = case_interval(sample(values, pairs))
    means = values.reshape(10, 50).mean(axis=1)
    expected = stats.t.interval(0.95, 9, means.mean(), stats.sem(means))
    assert (low, high) == pytest.approx(expected, abs=0.12)


def test_values_that_are_never_negative_have_no_negative_bound():
    assert case_interval(sample([0, 0, 0, 0.3], apart(4)))[0] == 0
    assert case_interval(sample([0, 0, -0.01, 0.3], apart(4)))[0] < 0


def test_intervals_repeat():
    values = sample([0.3, 0.5, 0.9, 0.4], apart(4))
    assert case_interval(values) == case_interval(values)
    assert case_interval(values, seed=1) != case_interval(values, seed=2)


@pytest.mark.parametrize("values", [[], [0.4], [0.4, math.nan], [math.inf]])
def test_no_interval_from_fewer_than_two(values):
    pairs = apart(max(len(values), 1))[: len(values)]
    fixed, moving = ([pair[k] for pair in pairs] for k in (0, 1))
    assert all(math.isnan(bound) for bound in case_interval(Sample.of(values, fixed, moving)))


def test_of_two_pairs_an_interval_is_wide():
    """One degree of freedom: t is 12.7, of draws that are at either value or between."""
    low, high = case_interval(sample([0.4, 0.6], apart(2)))
    assert 0.0 <= low < 0.1
    assert 0.9 < high < 3.0
    mean, low, high = paired_interval(sample([0.4, 0.6], apart(2)), sample([0.1, 0.2], apart(2)))
    assert (mean, low, high) == pytest.approx((0.35, 0.35 - 0.05 * 12.7062, 0.35 + 0.05 * 12.7062))


def test_no_interval_from_one_pair_in_both_directions():
    values = sample([0.4, 0.6], [("a", "b"), ("b", "a")])
    assert all(math.isnan(bound) for bound in case_interval(values))
    assert math.isnan(paired_test(values, sample([0.1, 0.2], [("a", "b"), ("b", "a")])))


def test_equal_values_have_an_interval_of_no_width():
    equal = sample([0.7] * 5, apart(5))
    assert case_interval(equal) == (0.7, 0.7)
    assert case_interval(equal, "std") == (0.0, 0.0)
    low, high = case_interval(sample([0.0, 1.0, 0.5, 0.25], apart(4)))  # those differ by just one
    assert low < 0.3 < 0.6 < high


def test_nearly_equal_values_have_an_interval():
    low, high = case_interval(sample([0.7] * 9 + [0.8], apart(10)), "quantile", 0.3)
    assert 0.7 <= low <= high <= 0.8


def test_of_independent_pairs_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(0.3, size=40)
    found = paired_test(sample(a, apart(40)), sample(b, apart(40)))
    assert found == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_of_reversed_pairs_it_is_the_t_test_of_their_means():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(0.3, size=20)
    difference = (a - b)[:10] + (a - b)[:9:-1]
    found = paired_test(sample(a, reversed_pairs(20)), sample(b, reversed_pairs(20)))
    assert found == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)


def test_a_difference_of_one_training_is_none_of_the_method():
    """Ten pairs agree to the last digit by how much the one is better, three seeds do not."""
    base = np.linspace(0, 1, 10)
    pairs = apart(10)
    names = [pair for pair in pairs for _ in range(3)]
    trainings = np.tile([0, 1, 2], 10)
    other = sample(base, pairs)
    values = (base[:, None] + np.array([0.3, 0.1, -0.1])).ravel()
    p = paired_test(sample(values, names, trainings), other)
    assert p == pytest.approx(stats.ttest_1samp([0.3, 0.1, -0.1], 0).pvalue, rel=0.05)


def test_degenerate_paired_tests():
    pairs = apart(3)
    values = sample([0.5, 0.6, 0.7], pairs)
    assert paired_test(values, values) == 1.0
    assert paired_test(values, sample([0.4, 0.5, 0.6], pairs)) == 0.25  # signs: 2 · ½³
    assert math.isnan(paired_test(sample([1.0], pairs[:1]), sample([0.0], pairs[:1])))
    with pytest.raises(ValueError, match="same pairs"):
        paired_test(values, sample([0.5, 0.6], pairs[:2]))


def test_the_interval_of_a_difference_is_students_and_the_test_s():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), rng.normal(0.3, size=12)
    first, second = sample(a, apart(12)), sample(b, apart(12))
    for confidence in (0.95, 0.8):
        mean, low, high = paired_interval(first, second, confidence)
        expected = stats.ttest_rel(a, b).confidence_interval(confidence)
        assert mean == pytest.approx((a - b).mean())
        assert (low, high) == pytest.approx(tuple(expected))
    # Its end is the difference that the test just does not refuse.
    p = paired_test(sample(a - paired_interval(first, second)[2], apart(12)), second)
    assert p == pytest.approx(0.05)


def test_degenerate_intervals_of_a_difference():
    one = sample([1.0], apart(1)), sample([0.25], apart(1))
    mean, low, high = paired_interval(*one)
    assert mean == 0.75
    assert math.isnan(low)
    assert math.isnan(high)
    assert all(map(math.isnan, paired_interval(Sample.of([], [], []), one[0])))
    same = sample([0.1, 0.4, 0.2], apart(3))
    assert paired_interval(same, same) == (0.0, 0.0, 0.0)


def test_less_confidence_is_a_shorter_interval():
    values = np.random.default_rng(3).normal(5, 2, size=40)
    low, high = case_interval(sample(values, apart(40)), confidence=0.5)
    expected = stats.t.interval(0.5, 39, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_the_variance_of_seeds_by_hand():
    """Two pairs by two seeds: the seeds differ and pairs do not; the other way round; mixed."""
    seeds = np.array([[1.0, -1.0], [1.0, -1.0]])
    assert intervals._of_seeds(seeds, 4.0) == (2 / 1 * (4 + 4) / 16, 0.0)
    assert intervals._of_seeds(seeds.T, 4.0) == (0.0, 0.0)
    crossed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert intervals._of_seeds(crossed, 4.0) == (0.0, 4 * 2 * 2 / (1 * 1) / 16)
    # Three pairs by two seeds, rest ±1 in two pairs: 4 · 3 · 2 / (2 · 1).
    more = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])
    assert intervals._of_seeds(more, 6.0) == (0.0, pytest.approx(12 / 36))
    assert intervals._of_seeds(np.array([[3.0], [1.0]]), 2.0) == (0.0, 0.0)


def test_variances_are_joined_by_hand():
    """Satterthwaite: (2 + 2)² / (2²/4 + 2²/2); noise that is larger than its variance is all."""
    assert intervals._joined([(2.0, 4.0)], [(3.0, 1.0, 2)]) == (4.0, pytest.approx(16 / 3))
    assert intervals._joined([(2.0, 4.0)], [(1.0, 3.0, 2)]) == (2.0, 4.0)
    assert intervals._joined([(2.0, 4.0)], [(0.0, 0.0, 0)]) == (2.0, 4.0)
    assert intervals._joined([(0.0, 4.0)], [(0.0, 0.0, 0)]) == (0.0, math.inf)


def test_the_variance_of_linked_pairs_by_hand():
    """All pairs of three cases: every two share one, so that residuals meet as 1 + I / 4.

    They sum to nothing, so (1, -1, 0) give 2 / 4. The form's trace over effects of cases, I + 1, is
    2 / 4 too, their sum 12, hence the factor 24; as its eigenvalues are alike, two of freedom.
    """
    structure = structure_of(*zip(*all_pairs(3), strict=True))
    assert structure._together.tolist() == [[1.25, 1, 1], [1, 1.25, 1], [1, 1, 1.25]]
    assert structure.variance(np.array([1.0, -1.0, 0.0]), 3.0) == pytest.approx(24 * 0.5 / 9)
    assert structure.freedom == pytest.approx(2)


def test_linked_pairs_have_at_least_the_variance_of_pairs_alone():
    """Pairs of four cases that share none rise together: the form of cases falls below zero."""
    structure = structure_of(*zip(*all_pairs(4), strict=True))  # ab ac ad bc bd cd
    residuals = np.array([1.0, -1.0, 0.0, 0.0, -1.0, 1.0])
    assert residuals @ structure._together @ residuals == pytest.approx(-4 + 4 / 4)
    assert structure.variance(residuals, 6.0) == pytest.approx(6 / 5 * 4 / 36)


def test_what_is_drawn_comes_as_often_as_its_pair_and_its_seed():
    structure = structure_of(*zip(*apart(4), strict=True))
    weights = intervals._weights(structure, 3, 200, 0)
    assert weights.shape == (200, 4, 3)
    assert (weights.sum(axis=(1, 2)) == 4 * 3).all()
    pairs, trainings = weights.sum(axis=2) / 3, weights.sum(axis=1) / 4
    np.testing.assert_array_equal(weights, pairs[:, :, None] * trainings[:, None, :])
    assert trainings.max() > 1


def test_the_variance_of_a_mean_over_trainings_is_that_of_their_means():
    """Pairs do not differ, three seeds do: two degrees of freedom, all of them the seeds'."""
    trainings = np.tile([0, 1, 2], 4)
    values = np.array([0.3, 0.1, -0.1])[trainings]
    names = [pair for pair in apart(4) for _ in range(3)]
    variance, freedom = sample(values, names, trainings).variance(values)
    assert variance == pytest.approx(np.var([0.3, 0.1, -0.1], ddof=1) / 3)
    assert freedom == pytest.approx(2)
