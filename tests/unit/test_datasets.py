"""Case sheets, splits, pairs and batches."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog
from warpline.plan.dataset import Dataset
from warpline.plan.inputs import train
from warpline.plan.pairs import ATLAS, balanced_pairs, balanced_sample, pair_batches, pair_name
from warpline.plan.run import Run
from warpline.plan.sheets import read_case_sheet, refuse_shared_scans

ROOT = Path(__file__).parents[2]
SHEET = "# a comment\ncase\tpatient\tsplit\na1\ta\ttrain\na2\ta\ttrain\nb\t\tval\nc\t\tval\n"


def sheet(folder: Path, text: str) -> Path:
    path = folder / "cases.tsv"
    path.write_bytes(text.encode())
    return path


def refusal(call, *arguments) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments)
    return str(error.value)


def dataset(cases: str, pairs: dict | None = None, cases_per_job: int | None = 1) -> Dataset:
    rows = [{"case": case, "patient": case, "split": "val"} for case in cases]
    spec = {"case_sheet": "cases.tsv", "pairs": pairs or {}, "cases_per_job": cases_per_job}
    return Dataset("letters", spec, tuple(rows))


# Case sheets ------------------------------------------------------------------------------------


def test_rows_come_in_the_sheet_s_order_and_patients_default_to_cases(tmp_path):
    rows = read_case_sheet(sheet(tmp_path, SHEET))
    assert [(r["case"], r["patient"], r["split"]) for r in rows] == [
        ("a1", "a", "train"),
        ("a2", "a", "train"),
        ("b", "b", "val"),
        ("c", "c", "val"),
    ]
    assert rows[0]["image"] == ""


def test_a_sheet_from_a_spreadsheet_is_read(tmp_path):
    text = "\ufeff" + SHEET.replace("# a comment\n", "").replace("\n", "\r\n") + "\r\n"
    assert [row["case"] for row in read_case_sheet(sheet(tmp_path, text))] == ["a1", "a2", "b", "c"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("case\tsplt\na\ttrain\n", ["unknown column 'splt'", "Did you mean 'split'?"]),
        ("case|split\na|train\n", ["unknown column 'case|split'", "Separate columns by tabs"]),
        ("case\na\n", ["has no column 'split'"]),
        ("", ["has no column 'case'"]),
        ("split\ntrain\n", ["has no column 'case'"]),
        ("case\tsplit\na\ttrain\n#\nb\ttrain\na\ttrain\n", ["'a' stands twice", "line 5"]),
        (
            "case\tpatient\tsplit\na1\ta\ttrain\na2\ta\ttest\n",
            ["patient 'a' is in two splits, train and test", "line 3", "must not see test data"],
        ),
        ("case\tsplit\na\t\n", ["lacks its case or its split", "line 2"]),
        ("case\tsplit\n\ttrain\n", ["lacks its case or its split", "line 2"]),
        ("case\tsplit\na\n", ["lacks its case or its split", "line 2"]),
        ("case\tsplit\na\ttrain\tmore\n", ["more values than there are columns (2)", "line 2"]),
        ("case\tsplit\na b\ttrain\n", ["The case 'a b' has characters", "line 2"]),
        ("case\tsplit\n../a\ttrain\n", ["The case '../a' has characters", "line 2"]),
        ("case\tsplit\na\ttrain/1\n", ["The split 'train/1' has characters", "line 2"]),
    ],
)
def test_a_bad_sheet_is_refused(tmp_path, text, messages):
    path = sheet(tmp_path, text)
    error = refusal(read_case_sheet, path)
    for message in [*messages, str(path)]:
        assert message in error


def test_a_missing_sheet_is_refused(tmp_path):
    error = refusal(read_case_sheet, tmp_path / "none.tsv")
    assert "does not exist" in error
    assert "none.tsv" in error


def test_limits_keep_the_first_cases_of_the_named_splits_alone(tmp_path):
    path = sheet(tmp_path, SHEET + "d\t\ttest\n")
    assert [r["case"] for r in read_case_sheet(path, {"val": 1, "train": 5})] == ["a1", "a2", "b"]
    error = refusal(read_case_sheet, path, {"vla": 1})
    assert "'vla', which no case has" in error
    assert "Did you mean 'val'?" in error


def test_a_patient_in_two_splits_is_found_even_where_limits_hide_it(tmp_path):
    path = sheet(tmp_path, SHEET + "a3\ta\tval\n")
    assert "two splits" in refusal(read_case_sheet, path, {"train": 1})


# Splits -----------------------------------------------------------------------------------------


def test_splits_are_joined_in_the_sheet_s_order(tmp_path):
    data = Dataset("x", {"case_sheet": "s"}, read_case_sheet(sheet(tmp_path, SHEET)))
    assert data.split("val", "train") == ["a1", "a2", "b", "c"]
    assert data.split("val") == ["b", "c"]
    error = refusal(data.split, "test")
    assert "no case in the split test" in error
    assert "train, val" in error


def test_an_unknown_case_is_named_with_the_nearest():
    data = Dataset("x", {"case_sheet": "s"}, ({"case": "OASIS_0001", "split": "train"},))
    assert "Did you mean 'OASIS_0001'?" in refusal(data.row, "OASIS_001")
    assert data.row("OASIS_0001")["split"] == "train"


# Pairs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("all", "ab ac ad bc bd cd"),
        ("reversed", "ad bc cb da"),
        ("consecutive", "ab bc cd"),
        ("cycle", "ba cb dc ad"),
    ],
)
def test_pair_rules(rule, expected):
    data = dataset("abcd", {"val": {"from": rule}})
    assert ["".join(pair) for pair in data.pairs("val")] == expected.split()
    limited = dataset("abcd", {"val": {"from": rule, "limit": 2}}).pairs("val")
    assert len(set(limited)) == len(limited) == 2
    assert {frozenset(pair) for pair in limited} <= {frozenset(p) for p in data.pairs("val")}
    whole = dataset("abcd", {"val": {"from": rule, "limit": 100}})
    assert whole.pairs("val") == data.pairs("val")


@pytest.mark.parametrize(("number", "limit"), [(33, 100), (8, 6), (8, 27), (5, 7), (2, 1)])
def test_a_limited_sample_of_all_pairs_uses_every_case_equally_often(number, limit):
    """Of 100 of the first combinations of 33 cases four are fixed."""
    cases = [f"c{k:02d}" for k in range(number)]
    found = dataset(cases, {"val": {"from": "all", "limit": limit}}).pairs("val")
    assert len({frozenset(pair) for pair in found}) == len(found) == limit
    for role in (0, 1):
        uses = Counter(pair[role] for pair in found)
        counts = [uses[case] for case in cases]
        assert max(counts) - min(counts) <= (1 if limit <= number * ((number - 1) // 2) else 2)
    assert found == sorted(found)


def test_all_98_training_scans_are_pairs_with_an_atlas_of_the_others():
    data = Catalog({"scale": "paper"}, ROOT).dataset("luna16")
    for split, number in (("train", 98), ("test", 33)):
        assert [moving for _, moving in data.pairs(split)] == data.split(split)
        assert len(data.pairs(split)) == number
    assert set(data.atlas_candidates()) == set(data.split("rest"))
    # Any to any: of the first hundred combinations four scans would be fixed.
    pairs = data.pairs("anytest")
    assert len(pairs) == 100
    assert {fixed for fixed, _ in pairs} == set(data.split("test")) == {m for _, m in pairs}


def test_overlaps_of_the_challenge_s_datasets_have_background_outside():
    """Bouabid et al. warp by VoxelMorph's layer, which goes on with the border's value."""
    catalog = Catalog({"scale": "paper"}, ROOT)
    for name in ("hippocampus", "abdomen", "learn2reg-lung"):
        assert catalog.dataset(name).spec["labels_outside"] == "background"
    assert catalog.dataset("luna16").spec["labels_outside"] == "border"


def test_the_seed_decides_a_limited_sample():
    cases = [f"c{k:02d}" for k in range(20)]

    def pairs(rule):
        return dataset(cases, {"val": rule}).pairs("val")

    rule = {"from": "all", "limit": 30}
    assert pairs(rule) == pairs(rule | {"seed": 0}) == balanced_pairs(cases, 30)
    assert pairs(rule) != pairs(rule | {"seed": 1})
    # The very same on every machine: digests order them, no library's generator.
    assert balanced_pairs("abcde", 3, seed=7) == [("c", "a"), ("d", "e"), ("e", "b")]
    chained = {"from": "consecutive", "limit": 5}
    assert pairs(chained) != pairs(chained | {"seed": 1})


def test_a_limited_sample_of_given_pairs_takes_no_case_again_before_others():
    stars = [("a", x) for x in "bcdef"] + [("b", "c"), ("c", "d"), ("d", "e")]
    found = balanced_sample(stars, 4)
    assert sorted(pair[0] for pair in found) == ["a", "b", "c", "d"]
    assert max(Counter(pair[1] for pair in found).values()) == 1
    assert [pair for pair in stars if pair in found] == found
    assert balanced_sample(stars, 100) == stars
    atlas = [(ATLAS, x) for x in "abcd"]
    assert len(balanced_sample(atlas, 3)) == 3


def test_a_cycle_of_two_is_both_directions_and_of_one_is_none():
    assert dataset("ab", {"val": {"from": "cycle"}}).pairs("val") == [("b", "a"), ("a", "b")]
    assert "makes no pair" in refusal(dataset("a", {"val": {"from": "cycle"}}).pairs, "val")


def test_the_middle_case_of_an_odd_number_is_not_paired_with_itself():
    assert dataset("abc", {"val": {"from": "reversed"}}).pairs("val") == [("a", "c"), ("c", "a")]


def test_a_split_without_pairs_is_refused():
    assert "defines no pairs for the split 'test'" in refusal(dataset("ab").pairs, "test")
    error = refusal(dataset("a", {"val": {"from": "all"}}).pairs, "val")
    assert "makes no pair" in error
    assert "key 'pairs.val'" in error


@pytest.mark.parametrize("header", ["fixed,moving", "fixed, moving", "\ufefffixed, moving"])
def test_pairs_come_from_a_sheet(tmp_path, header):
    path = tmp_path / "pairs.csv"
    path.write_text(f"{header}\nb,a\nc, b\n", encoding="utf-8")
    data = dataset("abc", {"val": {"from": "sheet", "file": str(path)}})
    assert data.pairs("val") == [("b", "a"), ("c", "b")]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("fixed,movin\na,b\n", ["needs the columns fixed and moving"]),
        ("fixed,moving\na,b\na,case9\n", ["names the case 'case9'", "line 3", "'case8'?"]),
        ("fixed,moving\na\n", ["names the case ''", "line 2"]),
        ("fixed,moving\nb,b\n", ["the case 'b' with itself", "line 2"]),
    ],
)
def test_a_bad_pair_sheet_is_refused(tmp_path, text, messages):
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    rows = tuple({"case": case, "split": "val"} for case in ("a", "b", "case8"))
    spec = {"case_sheet": "s", "pairs": {"val": {"from": "sheet", "file": str(path)}}}
    error = refusal(Dataset("x", spec, rows).pairs, "val")
    for message in [*messages, str(path)]:
        assert message in error


def test_a_missing_pair_sheet_is_refused(tmp_path):
    data = dataset("ab", {"val": {"from": "sheet", "file": str(tmp_path / "no.csv")}})
    assert "The pair sheet does not exist" in refusal(data.pairs, "val")


# Batches ----------------------------------------------------------------------------------------


def test_batches_hold_every_case_once():
    assert dataset("abc").batches() == {"a": ["a"], "b": ["b"], "c": ["c"]}
    data = dataset("abcde", cases_per_job=2)
    assert data.batches() == {"b000": ["a", "b"], "b001": ["c", "d"], "b002": ["e"]}
    assert data.batches_of(["e", "b"]) == ["b000", "b002"]


def test_without_a_word_a_cohort_is_prepared_in_batches_and_few_cases_one_by_one():
    few = dataset([f"c{k}" for k in range(64)], cases_per_job=None).batches()
    assert few == {f"c{k}": [f"c{k}"] for k in range(64)}
    many = dataset([f"c{k}" for k in range(65)], cases_per_job=None).batches()
    assert [len(cases) for cases in many.values()] == [12] * 5 + [5]


def test_pair_batches_hold_every_pair_once():
    pairs = [("a", "b"), ("b", "a"), ("a", "c")]
    assert pair_batches(pairs, None) == {"all": pairs}
    assert pair_batches(pairs, 1) == {"a__b": pairs[:1], "b__a": pairs[1:2], "a__c": pairs[2:]}
    assert pair_batches(pairs, 2) == {"p000": pairs[:2], "p001": pairs[2:]}
    assert pair_name(("a", "b")) == "a__b"


# The hippocampus --------------------------------------------------------------------------------


def test_hippocampus_has_the_challenge_s_split():
    data = Catalog({"scale": "paper"}, ROOT).dataset("hippocampus")
    train, val = data.split("train"), data.split("val")
    assert len(train) == 200
    assert all(len(case) == 3 and int(case) <= 310 for case in train)
    assert len(val) == 60
    assert all(311 <= int(case) <= 394 for case in val)
    assert train == sorted(train)
    assert val == sorted(val)


def test_hippocampus_pairs_go_both_ways_and_never_to_the_case_itself():
    data = Catalog({"scale": "paper"}, ROOT).dataset("hippocampus")
    pairs = data.pairs("val")
    val = data.split("val")
    assert len(pairs) == len(set(pairs)) == 60
    assert all(fixed != moving for fixed, moving in pairs)
    assert {(moving, fixed) for fixed, moving in pairs} == set(pairs)
    assert pairs[0] == (val[0], val[59])
    assert pairs[29] == (val[29], val[30])


def test_the_subset_of_the_cpu_example_is_part_of_the_full_sheet():
    full = {
        r["case"]: r["split"] for r in read_case_sheet(ROOT / "config/datasets/hippocampus.tsv")
    }
    part = read_case_sheet(ROOT / "config/examples/hippocampus-subset.tsv")
    assert all(full[row["case"]] == row["split"] for row in part)
    assert [row["split"] for row in part].count("train") == 200
    assert [row["split"] for row in part].count("val") == 30


# Atlas -------------------------------------------------------------------------------------------


def with_atlas(atlas: dict | None, pairs: dict) -> Dataset:
    splits = {"a": "train", "b": "train", "c": "test", "d": "test"}
    rows = [{"case": case, "patient": case, "split": split} for case, split in splits.items()]
    spec = {"case_sheet": "cases.tsv", "pairs": pairs, "cases_per_job": 2, "atlas": atlas}
    return Dataset("letters", spec, tuple(rows))


def test_atlas_pairs_have_the_atlas_as_fixed_image():
    data = with_atlas({"case": None, "among": "train"}, {"test": {"from": "atlas"}})
    assert data.pairs("test") == [("atlas", "c"), ("atlas", "d")]
    assert data.atlas_candidates() == ["a", "b"]
    assert data.batches_of(["atlas", "d"]) == ["atlas", "b001"]


def test_a_rule_may_pair_another_split_s_cases():
    data = with_atlas(None, {"any": {"from": "all", "split": "test"}})
    assert data.pairs("any") == [("c", "d")]


def test_a_named_atlas_must_be_a_case():
    data = with_atlas({"case": "c", "among": "train"}, {})
    assert data.atlas_candidates() == ["c"]
    assert "no case 'e'" in refusal(
        with_atlas({"case": "e", "among": "train"}, {}).atlas_candidates
    )


def test_a_dataset_without_an_atlas_says_how_to_give_it_one():
    message = refusal(with_atlas(None, {}).atlas_candidates)
    assert "no atlas" in message
    assert "atlas: {among: train}" in message


def test_no_case_may_be_called_atlas(tmp_path):
    message = refusal(read_case_sheet, sheet(tmp_path, "case\tsplit\natlas\ttrain\n"))
    assert "atlas" in message
    assert "line 2" in message


# Two scans of each patient ----------------------------------------------------------------------


def patients(*names: tuple[str, str]) -> Dataset:
    rows = [{"case": case, "patient": patient, "split": "val"} for case, patient in names]
    spec = {"case_sheet": "cases.tsv", "pairs": {"val": {"from": "patient"}}, "cases_per_job": 1}
    return Dataset("followup", spec, tuple(rows))


def test_the_first_scan_of_each_patient_is_fixed():
    found = patients(("a0", "a"), ("b0", "b"), ("b1", "b"), ("a1", "a"))
    assert found.pairs("val") == [("a0", "a1"), ("b0", "b1")]
    assert [row["case"] for row in found.patients_of(["a1"])] == ["a0", "a1"]


def test_a_patient_without_two_scans():
    text = refusal(patients(("a0", "a"), ("b0", "b"), ("b1", "b")).pairs, "val")
    assert "The patient 'a' has 1 cases in its split" in text
    assert "cases.tsv" in text
    three = patients(("a0", "a"), ("a1", "a"), ("a2", "a"))
    assert "'a' has 3 cases" in refusal(three.pairs, "val")


# What would make results wrong without a word ----------------------------------------------------


def test_a_pair_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("fixed,moving\na,b\nb,a\na,b\n", encoding="utf-8")
    data = dataset("ab", {"val": {"from": "sheet", "file": str(path)}})
    error = refusal(data.pairs, "val")
    assert "The pair of 'a' and 'b' stands twice, first in line 2" in error
    assert f"{path}, line 4" in error
    path.write_text("fixed,moving\na,b\nb,a\n", encoding="utf-8")
    assert data.pairs("val") == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize("image", ["one.nii", "sub/../one.nii", "link.nii"])
def test_one_scan_in_two_splits_is_refused(tmp_path, image):
    (tmp_path / "one.nii").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.nii").symlink_to("one.nii")
    text = f"case\tpatient\tsplit\timage\na\tp\ttrain\tone.nii\nb\tq\ttest\t{image}\n"
    rows = read_case_sheet(sheet(tmp_path, text))
    with pytest.raises(WarplineError, match="The cases 'a' and 'b' are the same scan") as error:
        refuse_shared_scans(rows, tmp_path, "cases.tsv")
    assert error.value.where == "cases.tsv"
    # In one split it may be labelled twice; other scans, and cases without a path, are their own.
    text = "case\tpatient\tsplit\timage\na\tp\ttrain\tone.nii\nb\tp\ttrain\tone.nii\n"
    text += "c\tr\ttest\ttwo.nii\nd\ts\tval\t\ne\tt\ttest\t\n"
    refuse_shared_scans(read_case_sheet(sheet(tmp_path, text)), tmp_path, "cases.tsv")


def test_a_dataset_of_own_data_is_checked_for_shared_scans_though_limits_hide_one(tmp_path):
    text = "case\tpatient\tsplit\timage\na\tp\ttrain\tone.nii\nb\tq\ttest\tone.nii\n"
    override = {
        "folder": str(tmp_path),
        "case_sheet": str(sheet(tmp_path, text)),
        "cases": {"train": 1},
        "phantom": None,
        "pairs": {},
    }
    catalog = Catalog({"scale": "paper", "override": {"datasets": {"followup": override}}}, ROOT)
    assert "are the same scan" in refusal(catalog.dataset, "followup")


def test_a_training_s_state_is_found_again_where_the_project_was_moved_to(tmp_path, monkeypatch):
    keys = set()
    for name in ("here", "there"):
        for part in ("config", "workflow/schemas", "scripts"):
            shutil.copytree(ROOT / part, tmp_path / name / part)
        monkeypatch.chdir(tmp_path / name)
        run = Run({"papers": []}, tmp_path / name)
        keys.add(train.state_folder(run, "abdomen", "estienne2020-task3-baseline"))
    assert len(keys) == 1
