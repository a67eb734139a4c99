"""Ranks, wins, curves and fronts: by hand, in closed form and against independent code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from warpline.tables import ranking
from warpline.tables.curves import area, frontier, pareto
from warpline.tables.ranking import Scores


def scores(columns: dict[str, list[float]]) -> Scores:
    """Of pairs of two cases that no other pair has."""
    number = len(next(iter(columns.values())))
    pairs = [(f"f{k}", f"m{k}") for k in range(number)]
    index = pd.MultiIndex.from_tuples(pairs, names=["fixed", "moving"])
    return Scores(pd.DataFrame(columns, index=index))


def random_scores(shifts: dict[str, float], number=20, seed=0) -> Scores:
    rng = np.random.default_rng(seed)
    cases = rng.normal(0, 1, number)
    return scores({n: list(cases + s + rng.normal(0, 0.3, number)) for n, s in shifts.items()})


# Curves -----------------------------------------------------------------------------------------


def test_a_frontier_is_the_best_so_far():
    steps = frontier([0, 0.3, 0.1, 0.2, 0.2], [0.5, 0.9, 0.7, 0.6, 0.8])
    np.testing.assert_allclose(steps, [[0, 0.5], [0.1, 0.7], [0.2, 0.8], [0.3, 0.9]])


def test_an_area_is_the_mean_of_the_steps():
    x, y = [0, 0.1, 0.3], [0.5, 0.7, 0.9]
    # 0.5 for a tenth, 0.7 for two tenths, of three; what lies at the end or beyond does not count.
    assert area(x, y, 0.3) == pytest.approx((0.05 + 0.14) / 0.3)
    assert area(x, y, 0.1) == pytest.approx(0.5)
    assert area(x, y, 0.4) == pytest.approx((0.05 + 0.14 + 0.09) / 0.4)
    fine = np.linspace(0, 0.4, 400_001)[:-1]
    steps = frontier(x, y)
    sampled = steps[np.searchsorted(steps[:, 0], fine, side="right") - 1, 1].mean()
    assert area(x, y, 0.4) == pytest.approx(sampled, abs=1e-5)
    # A strength that folds more and aligns less adds nothing.
    assert area([*x, 0.35], [*y, 0.2], 0.4) == pytest.approx(area(x, y, 0.4))
    with pytest.raises(ValueError, match="irregularity of 0"):
        area([0.1], [0.5], 0.4)


def test_the_pareto_front():
    cost, gain = [1, 2, 3, 4, 2, 1], [5, 6, 6, 8, 4, 5]
    assert list(pareto(cost, gain)) == [True, True, False, True, False, True]
    assert list(pareto([1, np.nan, 2], [5, 9, np.nan])) == [True, False, False]  # never finished
    rng = np.random.default_rng(0)
    cost, gain = rng.random((2, 40))
    points = list(zip(cost, gain, strict=True))
    slow = [not any(c <= x and g >= y and (c, g) != (x, y) for c, g in points) for x, y in points]
    assert list(pareto(cost, gain)) == slow


# Wins -------------------------------------------------------------------------------------------


def test_wins_are_those_of_wilcoxon():
    found = random_scores({"a": 1.0, "b": 0.0, "c": 0.02, "d": -1.0})
    table = ranking.wins(found)
    assert list(table["wins"]) == [3, 1, 1, 0]
    assert list(table["losses"]) == [0, 1, 1, 3]
    # Ranks 4, 2.5, 2.5, 1 of four on a scale from 0.1 to 1.
    np.testing.assert_allclose(table["score"], [1.0, 0.55, 0.55, 0.1])
    p = stats.wilcoxon(found.values["b"], found.values["c"]).pvalue
    assert p > 0.05


def test_the_overall_score_is_a_geometric_mean_of_common_methods():
    each = {
        "one": pd.DataFrame({"score": {"a": 1.0, "b": 0.1, "c": 0.5}}),
        "two": pd.DataFrame({"score": {"a": 0.25, "b": 0.4}}),
    }
    found = ranking.overall_score(each)
    assert found.to_dict() == pytest.approx({"a": 0.5, "b": 0.2})


def test_what_cases_tell_apart():
    found = ranking.told_apart(random_scores({"a": 0.0, "b": 0.05, "c": 1.0}, number=12))
    assert list(found["first"])[:2] == ["c", "c"]
    sure = found[found["first"] == "c"]
    assert (sure["low"] > 0).all()
    assert (sure["p_holm"] < 0.05).all()
    rest = found[found["first"] != "c"].iloc[0]
    assert rest["low"] < 0 < rest["high"]
    assert rest["p_holm"] >= rest["p"] > 0.05


def test_pairs_of_apart_cases_have_the_usual_paired_t_test():
    given = random_scores({"a": 0.2, "b": 0.0}, number=15)
    (row,) = ranking.told_apart(given).itertuples()
    p = stats.ttest_rel(given.values["a"], given.values["b"]).pvalue
    assert row.p == pytest.approx(p, rel=1e-9)


# Ranks ------------------------------------------------------------------------------------------


def test_critical_difference_is_demsar_s():
    """His example: four classifiers, fourteen data sets; CD 1.25, Friedman's χ² 9.28."""
    rng = np.random.default_rng(1)
    given = scores({name: list(rng.random(14)) for name in "abcd"})
    found = ranking.critical_difference(given)
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=2e-3)
    assert found.independent == 14
    assert found.p == pytest.approx(stats.friedmanchisquare(*given.values.to_numpy().T).pvalue)
    assert found.ranks.sum() == pytest.approx(10)


def test_methods_within_the_critical_difference_stand_together():
    given = random_scores({"a": 3.0, "b": 0.01, "c": 0.0, "d": -3.0}, number=40)
    found = ranking.critical_difference(given)
    assert [set(group) for group in found.groups] == [{"b", "c"}]
    assert next(iter(found.ranks.index)) == "a"
    with pytest.raises(ValueError, match="no rank"):
        ranking.critical_difference(scores({"a": [1.0, 2.0]}))


def test_pairs_that_share_cases_count_less():
    """All pairs of five cases are ten pairs, and five observations."""
    cases = [f"c{k}" for k in range(5)]
    pairs = [(a, b) for i, a in enumerate(cases) for b in cases[i + 1 :]]
    index = pd.MultiIndex.from_tuples(pairs, names=["fixed", "moving"])
    rng = np.random.default_rng(0)
    given = Scores(pd.DataFrame({n: rng.random(10) for n in "ab"}, index=index))
    assert ranking.critical_difference(given).independent == 5


def test_ranks_have_intervals_that_draw_cases():
    each = {
        "one": random_scores({"a": 2.0, "b": 0.0, "c": 0.02}),
        "two": random_scores({"a": 2.0, "b": 0.02, "c": 0.0, "d": 5.0}, seed=1),
    }
    found = ranking.rank_intervals(each, resamples=400)
    first = found[found["dataset"] == "one"].set_index("method")
    assert tuple(first.loc["a", ["rank", "low", "high", "first"]]) == (1, 1, 1, 1)
    assert tuple(first.loc["b", ["low", "high"]]) == (2, 3)
    # Over both: the methods that both have, and ranks among these alone.
    every = found[found["dataset"] == ""].set_index("method")
    assert set(every.index) == {"a", "b", "c"}
    assert every.loc["a", "rank"] == 1
    again = ranking.rank_intervals(each, resamples=400)
    pd.testing.assert_frame_equal(found, again)


def test_a_dataset_that_decides_alone_shows_when_it_is_left_out():
    each = {
        "one": scores({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2]}),
        "two": scores({"a": [3.0, 3.1, 3.2], "b": [2.0, 2.1, 2.2]}),
        "three": scores({"a": [3.0, 3.1, 3.2], "b": [2.0, 2.1, 2.2]}),
    }
    found = ranking.without_each(each)
    assert found.loc["a"].to_dict() == pytest.approx(
        {"all": 4 / 3, "without one": 1.0, "without two": 1.5, "without three": 1.5}
    )
    assert ranking.without_each({"one": each["one"]}).empty
