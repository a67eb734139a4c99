"""Intervals and tests: their values on easy samples, and the degenerate cases."""

import math

import numpy as np
import pytest
from scipy import stats

from warpline.tables.statistics import (
    aggregate,
    bootstrap_interval,
    clustered_interval,
    paired_test,
)


def test_aggregates_by_hand():
    values = np.array([0.1, 0.2, 0.3, 0.4, 1.0])
    assert aggregate("mean")(values) == pytest.approx(0.4)
    assert aggregate("median")(values) == pytest.approx(0.3)
    assert aggregate("quantile", 0.3)(values) == pytest.approx(0.22)
    assert aggregate("std")(values) == pytest.approx(math.sqrt(0.1))


def test_dice30_is_learn2regs():
    """The challenge's program prints .5615 for these three pairs' Dice."""
    dice = [0.5175696866634394, 0.5907635276396019, 0.663513174319923]
    assert aggregate("quantile", 0.3)(np.array(dice)) == pytest.approx(0.5614859912491369)


@pytest.mark.parametrize(("name", "q"), [("mode", None), ("quantile", None), ("quantile", 30)])
def test_unknown_statistics_are_refused(name, q):
    with pytest.raises(ValueError, match=r"none of|needs an order"):
        aggregate(name, q)


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(3).normal(5, 2, size=200)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / math.sqrt(200)
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


def test_coverage_is_near_95_percent():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(size=30), resamples=300)
        hits += low <= 0 <= high
    assert 178 <= hits <= 198


def test_interval_of_a_quantile_holds_it():
    values = np.random.default_rng(4).uniform(size=60)
    low, high = bootstrap_interval(values, aggregate("quantile", 0.3))
    assert low < np.quantile(values, 0.3) < high
    assert 0.05 < high - low < 0.4


def test_intervals_repeat():
    values = [0.3, 0.5, 0.9, 0.4]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


@pytest.mark.parametrize("values", [[], [0.4], [0.4, math.nan], [math.inf]])
def test_no_interval_from_fewer_than_two(values):
    assert all(math.isnan(bound) for bound in bootstrap_interval(values))


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_interval([0.7] * 5) == (0.7, 0.7)
    assert bootstrap_interval([0.7] * 5, np.std) == (0.0, 0.0)


def test_nearly_equal_values_have_an_interval():
    """Where BCa is undefined the percentile interval stands in."""
    low, high = bootstrap_interval([0.7] * 9 + [0.8], aggregate("quantile", 0.3))
    assert (low, high) == pytest.approx((0.7, 0.7))
    low, high = bootstrap_interval([0.2, 0.4])
    assert (low, high) == pytest.approx((0.2, 0.4))


def test_paired_test_by_hand():
    """Six differences of one sign: 2 · ½⁶."""
    assert paired_test([1, 2, 3, 4, 5, 6], [0] * 6) == pytest.approx(2 / 64)
    assert paired_test([1, 2], [0, 0]) == pytest.approx(0.5)


def test_paired_test_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(0.3, size=40)
    assert paired_test(a, b) == pytest.approx(stats.wilcoxon(a, b).pvalue)


def test_paired_test_leaves_out_pairs_with_gaps():
    assert paired_test([1, 2, 3, 4, 5, 6, math.nan], [0] * 7) == pytest.approx(2 / 64)


def test_degenerate_paired_tests():
    assert paired_test([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]) == 1.0
    assert math.isnan(paired_test([1.0], [0.0]))
    assert math.isnan(paired_test([], []))
    assert paired_test([1.0, 1.0, 1.0], [1.0, 1.0, 0.0]) == 1.0
    with pytest.raises(ValueError, match="paired"):
        paired_test([1, 2], [1])


def test_drawing_whole_pairs_is_wider_than_drawing_their_landmarks():
    rng = np.random.default_rng(0)
    groups = [centre + 0.1 * rng.normal(size=50) for centre in rng.normal(size=10)]
    low, high = clustered_interval(groups, resamples=500)
    alone = bootstrap_interval(np.concatenate(groups), resamples=500)
    assert high - low > 3 * (alone[1] - alone[0])
    assert low < np.mean(groups) < high


def test_one_value_a_pair_makes_clusters_plain():
    values = np.random.default_rng(2).normal(size=80)
    assert clustered_interval([[v] for v in values]) == pytest.approx(
        bootstrap_interval(values), abs=0.05
    )


def test_no_interval_from_one_pair():
    assert all(math.isnan(b) for b in clustered_interval([[1.0, 2.0], [], [math.nan]]))
