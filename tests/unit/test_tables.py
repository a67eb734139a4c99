"""Tables: aggregates beside published values, missing experiments, the four formats."""

import html
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from schema_tools import table_of, table_spec
from scipy import stats

from warpline import tables
from warpline.errors import WarplineError
from warpline.evaluation.pooling import under_names
from warpline.evaluation.records import records as tidy
from warpline.evaluation.records import row
from warpline.tables import to_csv, to_html, to_latex, to_markdown, write_all
from warpline.tables.intervals import Sample, case_interval
from warpline.tables.paper import write_table

DICE = {
    "identity": [(0.5, 0.3), (0.6, 0.4), (0.2, math.nan)],
    "baseline": [(0.8, 0.6), (0.9, 0.7), (0.6, math.nan)],
}


def frame_of(records, spec):
    """The frame of a table as a paper file has it."""
    return tables.build(records, table_of(spec))


def table_by(frame, spec, values=None):
    """A built table with what its caption may quote."""
    return tables.Table(frame, table_of(spec), values or {})


@pytest.fixture
def records():
    frames = []
    for method, pairs in DICE.items():
        for number, (head, tail) in enumerate(pairs):
            rows = [
                row("dice", head, "", "head"),
                row("dice", tail, "", "tail"),
                row("hd95_voxels", 4.0 - number if method == "identity" else 2.0, "voxel", "head"),
            ]
            frames.append(tidy(rows, "hippocampus", method, "val", f"f{number}", f"m{number}"))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def spec():
    here = {"set": "val", "dataset": "hippocampus", "split": "val"}
    return {
        "title": "Table 1",
        "caption": "Hippocampus, {n} pairs at {scale} scale, seed {seed}, on {device}.",
        "reference": "baseline",
        "columns": {
            "dice": {"title": "Dice", "metric": "dice", "statistic": "mean", "better": "higher"},
            "dice30": {
                "title": "Dice30",
                "metric": "dice",
                "statistic": "quantile",
                "q": 0.3,
                "better": "higher",
                "decimals": 3,
            },
            "hd95": {
                "title": "HD95",
                "metric": "hd95_voxels",
                "statistic": "mean",
                "better": "lower",
                "decimals": 2,
                "unit": "voxel",
            },
        },
        "rows": [
            {
                "id": "unregistered",
                "title": "Unregistered",
                **here,
                "method": "identity",
                "published": {"dice": 0.55, "dice30": 0.36, "hd95": 3.91},
            },
            {"id": "baseline", "title": "Baseline & <more>", **here, "method": "baseline"},
            {"id": "theirs", "title": "Theirs_50%", "set": "val", "published": {"dice": 0.84}},
        ],
    }


def test_pair_means_then_the_statistic_over_pairs(records, spec):
    frame = frame_of(records, spec).set_index("row")
    per_pair = [0.4, 0.5, 0.2]
    assert frame.loc["unregistered", "dice"] == pytest.approx(np.mean(per_pair))
    assert frame.loc["unregistered", "dice30"] == pytest.approx(np.quantile(per_pair, 0.3))
    assert frame.loc["unregistered", "hd95"] == pytest.approx(3.0)
    assert (
        frame.loc["unregistered", "dice_ci_low"],
        frame.loc["unregistered", "dice_ci_high"],
    ) == case_interval(Sample.of(per_pair, ["f0", "f1", "f2"], ["m0", "m1", "m2"]))
    assert frame.loc["unregistered", "n"] == 3


def test_published_values_and_tests_stand_beside(records, spec):
    frame = frame_of(records, spec).set_index("row")
    assert frame.loc["unregistered", "dice_published"] == 0.55
    assert math.isnan(frame.loc["baseline", "dice_published"])
    assert frame.loc["unregistered", "dice_p"] == pytest.approx(
        stats.ttest_rel([0.4, 0.5, 0.2], [0.7, 0.8, 0.6]).pvalue
    )
    assert math.isnan(frame.loc["baseline", "dice_p"])


def test_a_row_without_method_stands_as_published(records, spec):
    frame = frame_of(records, spec).set_index("row")
    theirs = frame.loc["theirs"]
    assert (theirs["n"], theirs["dice_published"]) == (0, 0.84)
    assert math.isnan(theirs["dice"])
    assert math.isnan(theirs["hd95_published"])


def test_columns_are_the_promised_ones(records, spec):
    columns = list(frame_of(records, spec).columns)
    for name in spec["columns"]:
        for suffix in ("", "_published", "_ci_low", "_ci_high", "_p"):
            assert name + suffix in columns
    assert "n" in columns


def test_the_reference_is_of_the_same_set(records, spec):
    spec["rows"].append({**spec["rows"][0], "id": "elsewhere", "set": "test"})
    frame = frame_of(records, spec).set_index("row")
    assert math.isnan(frame.loc["elsewhere", "dice_p"])


def test_landmarks_count_for_themselves_if_asked():
    frames = [
        tidy([row("tre", v, "mm", str(k)) for k, v in enumerate(values)], "l", "m", "t", "f", name)
        for name, values in {"a": [1.0, 2.0, 3.0], "b": [10.0]}.items()
    ]
    spec = {
        "title": "T",
        "columns": {
            "pairs": {"title": "TRE", "metric": "tre"},
            "all": {"title": "TRE", "metric": "tre", "over": "labels"},
            "sd": {"title": "sd", "metric": "tre", "over": "labels", "statistic": "std"},
            "first": {"title": "first", "metric": "tre", "label": "0"},
        },
        "rows": [{"id": "m", "title": "M", "dataset": "l", "method": "m", "split": "t"}],
    }
    found = frame_of(pd.concat(frames), spec).iloc[0]
    assert found["pairs"] == 6.0
    assert found["all"] == 4.0
    assert found["sd"] == pytest.approx(np.std([1, 2, 3, 10]))
    assert found["first"] == 5.5
    # Two pairs: draws are 2, 4 and 10 (as often twice as 4), whose variance is the unbiased one,
    # 9; Student's t with one degree of freedom reaches 12.7 / 1.96 as far as they do.
    assert found["all_ci_low"] == 0
    assert found["all_ci_high"] == pytest.approx(4 + 6 * 12.706 / 1.96, rel=0.05)


def test_a_spread_stands_in_the_cells_of_its_mean_and_is_not_tested(records, spec):
    spec["columns"] = {
        "dice": {
            "title": "Dice",
            "metric": "dice",
            "decimals": 2,
            "spread": "sd",
            "published_decimals": 3,
        },
        "sd": {"title": "SD", "metric": "dice", "statistic": "std"},
    }
    spec["rows"][0]["published"] = {"dice": 0.5, "sd": 0.27}
    spec["rows"][2]["published"] = {"dice": 0.84}
    frame = frame_of(records, spec)
    assert frame["dice_p"].notna().any()
    assert frame["sd_p"].isna().all()
    built = table_by(frame, spec | {"caption": ""})
    header, _, first, second, theirs = (
        [cell.strip() for cell in line.split("|")[4:-1]]
        for line in to_markdown(built).splitlines()
        if line.startswith("|")
    )
    assert header == ["Dice, ours [95 %]", "published"]
    assert first[0].startswith("0.37 ± 0.12 [")  # pairs .4, .5, .2
    assert [first[1], second[1], theirs[1]] == ["0.500 ± 0.270", "–", "0.840"]
    assert "0.500 ± 0.270" in to_html(built)
    assert to_csv(built).splitlines()[0].count("sd") == 9


def test_landmarks_within_the_capture_range():
    frames = [
        tidy([row("tre", v, "mm", str(k)) for k, v in enumerate(v)], "l", method, "t", "f", "g")
        for method, v in {"affine": [3.0, 8.0, 20.0], "net": [1.0, 2.0, 19.0]}.items()
    ]
    within = {"method": "affine", "metric": "tre", "at_most": 8}
    spec = {
        "title": "T",
        "columns": {"tre": {"title": "TRE′", "metric": "tre", "within": within}},
        "rows": [{"id": "net", "title": "Net", "dataset": "l", "method": "net", "split": "t"}],
    }
    assert frame_of(pd.concat(frames), spec).iloc[0]["tre"] == 1.5
    within["above"] = 3
    assert frame_of(pd.concat(frames), spec).iloc[0]["tre"] == 2.0
    del within["method"]  # the row's own
    within |= {"above": 1.5, "at_most": 19}
    assert frame_of(pd.concat(frames), spec).iloc[0]["tre"] == 10.5


def test_missing_experiments_name_the_row(records, spec):
    spec["rows"][1]["method"] = "unheard-of"
    with pytest.raises(WarplineError, match="'baseline'") as caught:
        frame_of(records, spec)
    assert "method unheard-of" in str(caught.value)


def test_a_metric_that_nobody_measured_is_an_error(records, spec):
    spec["columns"]["hd95"]["metric"] = "hd59"
    with pytest.raises(WarplineError, match="'hd95'"):
        frame_of(records, spec)


def test_an_optional_column_that_nobody_measured_is_left_out(records, spec):
    """What is published stays: seconds on a GPU beside a run without one."""
    spec["columns"]["hd95"].update(metric="tre", optional=True)
    frame = frame_of(records, spec)
    assert frame["hd95"].isna().all()
    assert frame["hd95_published"][0] == 3.91
    del spec["rows"][0]["published"]["hd95"]
    frame = frame_of(records, spec)
    assert not [column for column in frame if column.startswith("hd95")]
    assert "HD95" not in to_markdown(table_by(frame, {**spec, "caption": ""}))


def test_misspelt_published_columns_and_references_are_errors(records, spec):
    spec["rows"][0]["published"]["dice3"] = 0.1
    with pytest.raises(WarplineError, match="Did you mean 'dice30'"):
        frame_of(records, spec)
    del spec["rows"][0]["published"]["dice3"]
    spec["reference"] = "base"
    with pytest.raises(WarplineError, match="reference row 'base'"):
        frame_of(records, spec)


@pytest.fixture
def table(records, spec):
    return table_by(frame_of(records, spec), spec, {"scale": "demo", "seed": 7, "device": "cpu"})


def test_captions_quote_the_run(table):
    assert table.caption == "Hippocampus, 3 pairs at demo scale, seed 7, on cpu."


def test_captions_that_ask_for_too_much_are_errors(table, spec):
    spec["caption"] = "{colour}"
    with pytest.raises(WarplineError, match="colour"):
        table_by(table.frame, spec).caption  # noqa: B018


def test_csv_keeps_every_digit(table):
    frame = pd.read_csv(io.StringIO(to_csv(table)))
    assert frame["dice"].tolist() == pytest.approx(table.frame["dice"].tolist(), nan_ok=True)
    assert list(frame.columns) == list(table.frame.columns)


def test_markdown_has_as_many_cells_in_every_row(table):
    text = to_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.55 |" in text
    assert "Theirs_50% (as published)" in text
    assert "demo scale" in text


def test_a_column_that_the_paper_does_not_print_has_no_place_for_it(records, spec):
    for entry in spec["rows"]:
        entry.get("published", {}).pop("hd95", None)
    table = table_by(frame_of(records, spec), {**spec, "caption": ""})
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert lines[0].count("published") == len(spec["columns"]) - 1
    assert len({line.count("|") for line in lines}) == 1
    page = to_html(table)
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">.*?</tr>", page)
    assert {row.count("<td") for row in rows} == {1 + len(spec["columns"])}
    assert max(row.count('class="sub published"') for row in rows) == len(spec["columns"]) - 1
    body = [line for line in to_latex(table).splitlines() if line.endswith(r"\\")][1:]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {2 + 2 * 3 - 1}
    assert "hd95_published" in table.frame  # the CSV always has it


def test_latex_is_escaped_and_whole(table):
    text = to_latex(table)
    assert r"Baseline \& \textless{}more\textgreater{}" in text
    assert r"Theirs\_50\% (as published)" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in text
    rows = [
        line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {2 + 2 * 3}
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_a_text_stands_for_itself_in_every_format(records, spec):
    """Titles with the marks of HTML and LaTeX, and with an @, in text and in attributes."""
    spec["title"] = """A "b" 'c' <i> & @ {x}_y~^\\$#%"""
    spec["rows"][1]["title"] = spec["title"]
    table = table_by(frame_of(records, spec), spec, {"scale": "demo", "seed": 7, "device": "cpu"})
    page = to_html(table)
    parser = Cells()
    parser.feed(page)
    assert parser.open == []
    assert parser.labels == [spec["title"], spec["title"]]
    assert html.unescape(page).count(spec["title"]) == 5  # two labels, caption, row, note
    tex = to_latex(table)
    escaped = (
        """A "b" 'c' \\textless{}i\\textgreater{} \\& @ \\{x\\}\\_y"""
        """\\textasciitilde{}\\textasciicircum{}\\textbackslash{}\\$\\#\\%"""
    )
    assert tex.count(escaped) == 3  # caption, row, note


def test_the_line_breaks_of_a_caption_are_its_own(table, spec):
    spec["caption"] = "One,\n  two."
    assert "One,\n  two.</figcaption>" in to_html(table_by(table.frame, spec))


class Cells(HTMLParser):
    """Counts a table's cells, and notices tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows, self.labels = [], [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if "aria-label" in dict(attributes):
            self.labels.append(dict(attributes)["aria-label"])
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(dict(attributes).get("colspan", 1))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_sound(table):
    text = to_html(table)
    parser = Cells()
    parser.feed(text)
    assert parser.open == []
    assert parser.rows == [5, 5, 5, 5, 5]  # the head, a set, three rows
    assert "Baseline &amp; &lt;more&gt;" in text
    assert 'class="published-only"' in text
    assert '<span class="sub published">published 0.55</span>' in text
    assert "<figcaption><strong>Table 1.</strong> Hippocampus, 3 pairs" in text


def test_the_identity_is_never_the_best(table, spec):
    assert "<strong>" not in to_html(table).split("<tbody>")[1]  # the only other row has no rival
    frame = table.frame.assign(method=["elastix", "baseline", ""])
    text = to_html(table_by(frame, spec, table.values))
    assert "<strong>0.700</strong>" in text
    assert "<strong>2.00</strong>" in text
    spec["columns"]["hd95"]["better"] = "none"
    assert "<strong>2.00</strong>" not in to_html(table_by(frame, spec, table.values))


def test_doing_nothing_at_all_is_no_best_and_a_split_has_a_word(table, spec):
    """Both rows fold nowhere: a 0 in bold would say that one of them is better than another."""
    frame = table.frame.assign(method=["elastix", "baseline", ""], hd95=[0.001, 0.002, math.nan])
    text = to_html(table_by(frame, spec, table.values))
    assert "0.00" in text
    assert "<strong>0.00</strong>" not in text
    assert "<span>validation</span>" in text
    assert ",val," in to_csv(table)


def test_published_values_keep_the_zeros_that_the_paper_prints(table):
    frame = table.frame.assign(dice_published=[0.5, 0.83, 0.9])
    text = (
        to_csv(tables.Table(frame, table.entry, {})),
        to_html(replace(table, frame=frame)),
    )
    assert '<span class="sub published">published 0.50</span>' in text[1]
    assert ",0.5," in text[0]
    frame["set"] = ["val", "val", "test"]
    assert '<span class="sub published">0.9</span>' in to_html(
        tables.Table(frame, table.entry, table.values)
    )


def test_stars_are_for_columns_that_the_paper_judges_by(records, spec):
    """Dice and Dice30 have one test, HD95 another: Holm of two."""
    frame = frame_of(records, spec).set_index("row")
    p = stats.ttest_rel([0.4, 0.5, 0.2], [0.7, 0.8, 0.6]).pvalue
    found = frame.loc["unregistered", ["dice_p_holm", "dice30_p_holm"]].astype(float)
    np.testing.assert_allclose(found, 2 * p)
    assert frame.loc["unregistered", "hd95_p_holm"] == frame.loc["unregistered", "hd95_p"]
    assert "Holm’s correction over the tests of Dice, Dice30, HD95" in to_markdown(
        table_by(frame.reset_index(), spec, {"scale": "", "seed": 0, "device": ""})
    )
    del spec["rows"][0]["published"]["hd95"]  # nobody publishes it
    spec["columns"]["dice30"]["judged"] = False
    frame = frame_of(records, spec).set_index("row")
    assert frame.loc["unregistered", "dice_p_holm"] == pytest.approx(p)
    assert frame[["dice30_p_holm", "hd95_p_holm"]].isna().all(axis=None)
    assert frame.loc["unregistered", "hd95_p"] < 1
    markdown = to_markdown(
        table_by(frame.reset_index(), spec, {"scale": "", "seed": 0, "device": ""})
    )
    row = next(line for line in markdown.splitlines() if "Unregistered" in line)
    assert [cell.strip()[:7] for cell in row.split("|")[4:9:2]] == [
        "0.367\\*",
        "0.320 [",
        "3.00 [0",
    ]


def test_the_effect_stands_beside_p(records, spec):
    found = frame_of(records, spec).set_index("row").loc["unregistered", "dice_effect"]
    difference = np.array([0.4, 0.5, 0.2]) - [0.7, 0.8, 0.6]
    assert found == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_both_directions_of_a_pair_are_one_observation(records, spec):
    """Every pair a second time, reversed: the same mean and interval, from as many draws."""
    once = frame_of(records, spec).set_index("row").loc["unregistered"]
    turned = records.rename(columns={"fixed": "moving", "moving": "fixed"})
    twice = frame_of(pd.concat([records, turned]), spec).set_index("row").loc["unregistered"]
    assert (once["n"], once["cases"], once["independent"]) == (3, 6, 3)
    assert (twice["n"], twice["cases"], twice["independent"]) == (6, 6, 3)
    for name in ("dice", "dice_p"):
        assert twice[name] == pytest.approx(once[name])
    # Drawn alike, but in another order.
    assert twice["dice_ci_high"] == pytest.approx(once["dice_ci_high"], abs=0.02)


def test_several_trainings_are_pooled_and_counted(records, spec):
    frames = [records.assign(seed=seed, value=records["value"] + 0.05 * seed) for seed in (0, 1, 2)]
    pooled = pd.concat([records[records["method"] == "identity"].assign(seed=0), *(
        frame[frame["method"] == "baseline"] for frame in frames
    )])  # fmt: skip
    frame = frame_of(pooled, spec).set_index("row")
    assert frame["seeds"].tolist() == [1, 3, 0]
    assert frame.loc["baseline", "n"] == 3
    assert frame.loc["baseline", "dice"] == pytest.approx(0.7 + 0.05)
    text = to_markdown(table_by(frame.reset_index(), {**spec, "caption": ""}))
    assert "| 3 (6, 3) |" in text
    assert "n: pairs (cases, seeds)." in text


def test_few_cases_are_told(records, spec):
    note = "Fewer than ten independent cases: intervals tend to be too short."
    built = table_by(frame_of(records, spec), {**spec, "caption": ""})
    assert note in to_markdown(built)
    assert note not in to_markdown(replace(built, frame=built.frame.assign(independent=10)))


def test_labels_that_warping_lost_and_labels_that_a_case_lacks_are_told(records, spec):
    lost = [
        tidy([row("vanished", n, "", "head")], "hippocampus", "baseline", "val", f"f{k}", f"m{k}")
        for k, n in enumerate((0.0, 1.0, 1.0))
    ]
    frame = frame_of(pd.concat([records, *lost]), spec).set_index("row")
    assert frame.loc["baseline", "vanished"] == 2
    assert math.isnan(frame.loc["unregistered", "vanished"])
    assert frame["dice_left_out"].tolist() == [1, 1, 0]
    assert frame["hd95_left_out"].tolist() == [0, 0, 0]
    text = to_markdown(table_by(frame.reset_index(), {**spec, "caption": ""}))
    assert "as distance; their number: Baseline & <more> 2." in text
    assert "lacks are left out; pairs that this concerns: Dice 1, Dice30 1." in text


def test_leaving_out_a_label_wins_nothing(records, spec):
    """The rival without its worst label has the better mean, and is not the best."""
    records["method"] = records["method"].replace({"identity": "rival"})
    spec["rows"][0]["method"] = "rival"
    spec["reference"] = None
    own = (records["method"] == "rival") & (records["metric"] == "dice")
    records.loc[own, "value"] = records.loc[own, "value"] + 0.5
    whole = to_html(table_by(frame_of(records, spec), {**spec, "caption": ""}))
    assert "<strong>0.867</strong>" in whole
    records.loc[own & (records["fixed"] == "f0") & (records["label"] == "tail"), "value"] = math.nan
    built = table_by(frame_of(records, spec), {**spec, "caption": ""})
    assert built.frame["dice_left_out"].tolist() == [2, 1, 0]
    assert built.frame["dice"][0] > built.frame["dice"][1]
    assert "<strong>0." not in to_html(built)  # the other has no rival


def test_fewer_values_than_pairs_are_told(records, spec):
    gone = (records["method"] == "identity") & (records["fixed"] == "f0")
    records = records[~(gone & (records["metric"] == "hd95_voxels"))]
    table = table_by(frame_of(records, spec), spec, {"scale": "demo", "seed": 7, "device": "cpu"})
    assert "(n = 2)" in to_markdown(table)


def test_all_four_are_written(table, tmp_path):
    paths = write_all(table, tmp_path / "tables", "table1")
    assert [p.name for p in paths] == ["table1.csv", "table1.md", "table1.tex", "table1.html"]
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == sorted(p.name for p in paths)


def test_numbers_are_kept_while_only_words_or_other_metrics_change(
    records, spec, tmp_path, monkeypatch
):
    kept, values = tmp_path / "kept.parquet", {"scale": "demo", "device": "cpu", "seed": "0"}
    whole, built = table_spec(spec), []

    def build(*arguments):
        built.append(arguments)
        return tables.build(*arguments)

    monkeypatch.setattr("warpline.tables.paper.build", build)

    def files(name, own, entry, origin="numbers", where=kept):
        write_table(own, entry, values, tmp_path / name / "t.csv", where, [origin])
        return [(tmp_path / name / f"t.{kind}").read_bytes() for kind in ("csv", "md", "tex")]

    first = files("a", records, whole)
    other = {**whole, "caption": "Anew.", "title": "Other"}
    more = tidy([row("sum", 3.0)], "hippocampus", "baseline", "val", "f0", "m0")
    more = pd.concat([records, more], ignore_index=True)
    found = files("b", more, other)
    assert len(built) == 1
    assert found == files("c", records, other, where=None)
    assert (found[0], found[1] != first[1]) == (first[0], True)
    # A value, a pair without any of the metrics, the code, a file that is cut off.
    changed = records.assign(value=records["value"] + 1)
    pair = tidy([row("sum", 3.0)], "hippocampus", "baseline", "val", "f8", "m8")
    pair = pd.concat([records, pair], ignore_index=True)
    for number, (own, origin) in enumerate(
        ((changed, "numbers"), (pair, "numbers"), (pair, "code"))
    ):
        files("d", own, other, origin)
        assert len(built) == 3 + number
    kept.write_bytes(b"cut off")
    files("d", pair, other, "code")
    assert len(built) == 6


def test_folds_pool_into_one_method_whose_row_has_all_pairs(records, spec):
    """The same numbers, first as one experiment, then as two folds under their common name."""
    whole = records[records["method"] == "baseline"]
    folds = [whole[whole["fixed"] == "f0"], whole[whole["fixed"] != "f0"]]
    folds = [
        fold.assign(method=f"baseline@fold{k}", split=f"fold{k}") for k, fold in enumerate(folds)
    ]
    pooled = [under_names(fold, [("baseline", "val")]) for fold in folds]
    others = records[records["method"] != "baseline"]
    pd.testing.assert_frame_equal(
        frame_of(pd.concat([others, *pooled]), spec), frame_of(pd.concat([others, whole]), spec)
    )


def test_an_experiment_stands_under_each_of_its_names(records):
    own = records[records["method"] == "identity"]
    both = under_names(own, [("identity", "val"), ("identity", "all")])
    assert len(both) == 2 * len(own)
    for split in ("val", "all"):
        part = both[both["split"] == split].drop(columns="split").reset_index(drop=True)
        pd.testing.assert_frame_equal(
            part, own.drop(columns="split").reset_index(drop=True), check_dtype=False
        )


def test_the_row_of_a_pair_counts_its_landmarks():
    """By hand: of pair 1 the landmarks 1, 2, 6 mm, of pair 2 the landmarks 4, 8 mm."""
    landmarks = {("f1", "m1"): [1.0, 2.0, 6.0], ("f2", "m2"): [4.0, 8.0]}
    frames = [
        tidy([row("tre", scale * v, "mm", str(i)) for i, v in enumerate(values)],
             "chest", method, "test", *pair)
        for pair, values in landmarks.items()
        for method, scale in (("syn", 1.0), ("net", 0.5))
    ]  # fmt: skip
    here = {"dataset": "chest", "split": "test"}
    rows = [
        {"id": name, "title": name, "set": title, **here, "method": name, **pair}
        for title, pair in (
            ("Pair 1", {"fixed": "f1", "moving": "m1"}),
            ("Pair 2", {"fixed": "f2", "moving": "m2"}),
            ("All", {}),
        )
        for name in ("syn", "net")
    ]
    spec = {
        "title": "Table I",
        "caption": "n = {n}",
        "reference": "net",
        "columns": {
            "tre": {"title": "TRE", "metric": "tre", "over": "labels", "statistic": "mean"},
            "sd": {"title": "SD", "metric": "tre", "over": "labels", "statistic": "std"},
        },
        "rows": rows,
    }
    frame = frame_of(pd.concat(frames, ignore_index=True), spec)
    np.testing.assert_allclose(frame["tre"], [3, 1.5, 6, 3, 21 / 5, 21 / 10])
    np.testing.assert_allclose(frame["n"], [1, 1, 1, 1, 2, 2])
    np.testing.assert_allclose(frame["sd"][0], np.std([1, 2, 6]))
    first = frame.iloc[0]
    own, others = [1.0, 2.0, 6.0], [0.5, 1.0, 3.0]
    names = list("012")
    interval = (first["tre_ci_low"], first["tre_ci_high"])
    assert interval == case_interval(Sample.of(own, names, names))
    assert first["tre_p"] == pytest.approx(stats.ttest_rel(own, others).pvalue)
    assert table_by(frame, spec).caption == "n = 2"
