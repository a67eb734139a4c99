"""Claims of papers, held against records whose order is known."""

import numpy as np
import pandas as pd
import pytest
from schema_tools import table_of

from warpline.errors import WarplineError
from warpline.evaluation.records import COLUMNS
from warpline.plan.catalog import Catalog
from warpline.tables.claims import FAILS, HOLDS, NOT_SURE, UNMEASURED, Claim, check_claim

CASES = 12
NOISE = np.random.default_rng(0).normal(scale=0.02, size=(3, CASES))


def records(**means: float) -> pd.DataFrame:
    """Dice and TRE of pairs of cases of their own: about `means`, which are of methods."""
    rows = []
    for position, (method, mean) in enumerate(means.items()):
        for case in range(CASES):
            pair = ("data", method, "val", f"f{case}", f"m{case}")
            value = mean + NOISE[position % 3, case]
            rows.append((*pair, "dice", "", value, ""))
            rows.append((*pair, "tre", "", 10 * (1 - value), "mm"))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def claim(*order: str, column: str = "dice", alike: float | None = None, text: str = "It is so."):
    return Claim(text, "table", column, "", order, alike)


def table(*methods: str, **published: dict):
    rows = [
        {"id": name, "title": name.upper(), "dataset": "data", "method": name, "split": "val"}
        for name in methods
    ]
    rows += [{"id": name, "title": name, "published": value} for name, value in published.items()]
    columns = {
        "dice": {"title": "Dice", "metric": "dice", "better": "higher", "decimals": 2},
        "tre": {"title": "TRE", "metric": "tre", "better": "lower", "decimals": 1, "unit": "mm"},
    }
    return table_of({"title": "t", "rows": rows, "columns": columns})


def test_an_order_with_gaps_beyond_chance_holds_whichever_way_is_better():
    found = records(a=0.8, b=0.7, c=0.6)
    for column, gap in (("dice", 0.1), ("tre", 1.0)):
        told = check_claim(claim("a", "b", "c", column=column), table("a", "b", "c"), found)
        assert told.verdict == HOLDS
        assert [step.difference for step in told.steps] == pytest.approx([gap, gap], abs=gap / 5)
        assert all(step.low < step.difference < step.high for step in told.steps)
        assert all(step.pairs == CASES for step in told.steps)


def test_the_sentence_has_the_means_and_every_difference_with_its_interval():
    told = check_claim(claim("a", "b"), table("a", "b"), records(a=0.8, b=0.7))
    own = records(a=0.8, b=0.7).query("metric == 'dice'").groupby("method")["value"].mean()
    assert told.sentence().startswith(
        f"Dice: A {own['a']:.2f}, B {own['b']:.2f}. A ahead of B by +0.1"
    )
    assert told.sentence().endswith("(n = 12).")
    assert told.as_data()["sentence"] == told.sentence()


def test_a_difference_within_the_noise_is_not_beyond_chance_and_a_wrong_one_fails():
    same = records(a=0.7 - NOISE[0].mean() + 0.002, b=0.7 - NOISE[1].mean())
    assert check_claim(claim("a", "b"), table("a", "b"), same).verdict == NOT_SURE
    assert check_claim(claim("b", "a"), table("a", "b"), same).verdict == FAILS


def test_what_is_to_be_alike_may_differ_by_the_limit_either_way():
    found = records(a=0.70, b=0.71, c=0.9)
    rows = table("a", "b", "c")
    assert check_claim(claim("a", "b", alike=0.05), rows, found).verdict == HOLDS
    assert check_claim(claim("b", "a", alike=0.05), rows, found).verdict == HOLDS
    assert check_claim(claim("a", "c", alike=0.05), rows, found).verdict == FAILS


def test_a_row_that_was_not_run_cannot_be_told():
    told = check_claim(claim("a", "p"), table("a", p={"dice": 0.9}), records(a=0.8))
    assert told.verdict == UNMEASURED
    assert told.sentence() == "This run has no values for it."


def test_only_common_pairs_are_compared():
    found = records(a=0.8, b=0.7)
    missing = (found["method"] == "b") & (found["fixed"] == "f0")
    found.loc[missing & (found["metric"] == "dice"), "value"] = np.nan
    (step,) = check_claim(claim("a", "b"), table("a", "b"), found).steps
    dice = found[found["metric"] == "dice"].pivot_table(
        index="fixed", columns="method", values="value"
    )
    assert step.pairs == CASES - 1
    assert step.difference == pytest.approx((dice["a"] - dice["b"]).mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "tabel1"}, "table 'tabel1'(?s:.*)table1"),
        ({"column": "dise"}, "column 'dise'(?s:.*)Did you mean 'dice'"),
        ({"order": ["sym", "basline"]}, "row 'basline'(?s:.*)Did you mean 'baseline'"),
        ({"set": "vall"}, "in the set 'vall'"),
    ],
)
def test_a_claim_of_what_is_not_there_is_refused(change, message):
    entry = {"text": "", "table": "table1", "column": "dice", "set": "val"}
    claims = [{**entry, "order": ["sym", "baseline"], **change}]
    config = {
        "papers": ["estienne2020"],
        "override": {"papers": {"estienne2020": {"claims": claims}}},
    }
    with pytest.raises(WarplineError, match=message):
        Catalog(config).paper("estienne2020")


@pytest.mark.parametrize(
    "paper", ["estienne2020", "bouabid2019", "sokooti2017", "hansen2020", "hu2020"]
)
def test_every_paper_claims_something_that_its_tables_measure(paper):
    spec = Catalog({"papers": [paper]}).paper(paper)
    assert spec["claims"]
    for entry in spec["claims"]:
        rows = {
            r["id"]: r for r in spec["tables"][entry["table"]]["rows"] if r["set"] == entry["set"]
        }
        assert all("method" in rows[name] for name in entry["order"])


def test_claims_of_a_table_that_is_left_out_are_left_out():
    change = {
        "tables": {"table1": None},
        "figures": dict.fromkeys(("figure2_methods", "dice", "figure2")),
    }
    spec = Catalog({"override": {"papers": {"estienne2020": change}}}).paper("estienne2020")
    assert {entry["table"] for entry in spec["claims"]} == {"table1_abdomen"}
