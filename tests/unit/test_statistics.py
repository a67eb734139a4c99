"""Aggregates, effects and many tests at once: their values on easy samples, degenerate cases."""

import math

import numpy as np
import pytest
from scipy import stats

from warpline.tables.statistics import aggregate, effect_size, holm


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


def test_the_outermost_quantiles_are_the_extremes():
    values = np.array([[0.4, 0.1, 0.9], [7.0, 8.0, 6.0]])
    assert aggregate("quantile", 0)(values).tolist() == [0.1, 6.0]
    assert aggregate("quantile", 1)(values).tolist() == [0.9, 8.0]
    assert aggregate("quantile", 0.5)(values, axis=0).tolist() == pytest.approx([3.7, 4.05, 3.45])


@pytest.mark.parametrize(
    ("name", "q"),
    [("mode", None), ("quantile", None), ("quantile", 30), ("quantile", 1.01), ("quantile", -0.1)],
)
def test_unknown_statistics_are_refused(name, q):
    with pytest.raises(ValueError, match=r"none of|needs an order"):
        aggregate(name, q)


def test_effects_by_hand():
    assert effect_size([1, 2, 3]) == pytest.approx(2.0)  # mean 2, standard deviation 1
    assert effect_size([1, -1, math.nan]) == 0.0
    assert effect_size([0, 0, 0]) == 0.0


def test_the_effect_is_t_without_the_number_of_pairs():
    first, second = np.random.default_rng(0).normal(size=(2, 12))
    t = stats.ttest_rel(first, second).statistic
    assert effect_size(first - second) == pytest.approx(t / math.sqrt(12))


def test_a_small_spread_is_one_too():
    assert effect_size([1.0, 1.0 + 2e-9]) == pytest.approx(math.sqrt(0.5) * 1e9, rel=1e-6)
    assert effect_size([-3.0, -1.0]) == pytest.approx(-math.sqrt(2))


@pytest.mark.parametrize("differences", [[], [0.4], [0.4, math.nan], [0.1, 0.1, 0.1]])
def test_no_effect_without_a_spread(differences):
    assert math.isnan(effect_size(differences))


def test_holm_by_hand():
    """Times 4, 3, 2, 1 in order; .02 × 2 is less than .015 × 3, and does not overtake it."""
    adjusted = holm([0.02, 0.01, math.nan, 0.5, 0.015])
    np.testing.assert_allclose(adjusted, [0.045, 0.04, math.nan, 0.5, 0.045])


def test_holm_is_never_more_than_one_and_of_one_test_the_same():
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).size == 0
