"""Datasets made of others, and what is asked of those with noisy labels."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from warpline.errors import WarplineError
from warpline.plan import experiments, trainings
from warpline.plan.catalog import Catalog
from warpline.plan.experiments import Experiment

ROOT = Path(__file__).parents[2]
SEGMENTER = "estienne2020-task3-segmenter"


def catalog(**datasets) -> Catalog:
    return Catalog({"scale": "demo", "override": {"datasets": datasets}}, ROOT)


def refusal(call, *arguments) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments)
    return str(error.value)


def test_cases_are_those_of_the_members_under_their_names():
    data = catalog(
        abdomen={"cases": {"train": 2, "val": 1}},
        kits19={"cases": {"train": 2, "test": 3}},
        **{"abdomen-annotated": {"members": {
            "kits19": {"train": ["train"], "val": ["test"]},
            **dict.fromkeys(("tcia-pancreas", "msd-liver", "msd-pancreas", "msd-spleen")),
        }}},
    ).dataset("abdomen-annotated")  # fmt: skip
    assert data.split("train")[:2] == ["abdomen.0002", "abdomen.0003"]
    assert data.split("train")[2:] == [f"kits19.{case}" for case in ("00001", "00002")]
    assert [case.partition(".")[0] for case in data.split("val")] == ["abdomen", *["kits19"] * 3]
    assert {row["patient"].partition(".")[0] for row in data.cases} == {"abdomen", "kits19"}
    own = data.members_of(["kits19.00001", "abdomen.0002", "kits19.00002"])
    assert own == {
        "kits19": {"00001": "kits19.00001", "00002": "kits19.00002"},
        "abdomen": {"0002": "abdomen.0002"},
    }


def test_noisy_labels_are_of_no_case_that_the_table_registers():
    found = catalog()
    noisy, annotated = found.dataset("abdomen-noisy"), found.dataset("abdomen-annotated")
    assert noisy.splits == ["train"]
    assert set(annotated.split("train")) < set(noisy.ids)
    registered = {f"abdomen.{case}" for case in found.dataset("abdomen").split("val")}
    assert registered
    assert not registered & set(noisy.ids)
    assert trainings.labelled_by(found, "abdomen-noisy") == ("abdomen-annotated", SEGMENTER)
    assert trainings.labelled_by(found, "abdomen-public") is None


def test_published_numbers_of_cases():
    """Of the authors' lists less what they left out, by eye; of Pancreas-CT two copies more."""
    found = Catalog({"scale": "paper"}, ROOT)
    of_member = Counter(case.partition(".")[0] for case in found.dataset("abdomen-noisy").ids)
    assert of_member == {
        "msd-colon": 88 + 38 - 13,
        "msd-hepaticvessel": 212 + 91 - 7,
        "msd-liver": 90 + 39 - 21,
        "msd-pancreas": 196 + 85 - 14,
        "msd-spleen": 28 + 13 - 1,
        "kits19": 145 + 63 + 91 - 40,
        "tcia-pancreas": 30 + 13 + 39 - 1 - 2,
        "abdomen": 20,  # theirs: 19, and 9 that the table registers
    }
    annotated = found.dataset("abdomen-annotated")
    assert len(annotated.split("val")) == 23
    learned = Counter(case.partition(".")[0] for case in annotated.split("train"))
    assert learned["msd-liver"] == of_member["msd-liver"]
    assert learned["kits19"] == 145 - 25


def test_pretraining_pairs_cases_of_one_cohort():
    found = Catalog({"scale": "paper"}, ROOT)
    for dataset, method in (
        ("abdomen-public", "estienne2020-task3-unsupervised"),
        ("abdomen-noisy", "estienne2020-task3-noisy-labels"),
    ):
        assert trainings.recipe(found, dataset, method)["training"]["within"] == "member"
    # Of a dataset that is not made of others there is one cohort, whatever dots its ids have.
    plain = trainings.recipe(found, "luna16", "estienne2020-task3-unsupervised")
    assert plain["training"]["within"] is None
    assert found.method("estienne2020-task3-noisy")["training"]["within"] is None


def test_a_split_that_only_this_run_has_no_case_of_is_no_error():
    found = catalog(kits19={"cases": {"train": 2}}).dataset("abdomen-public")
    assert [case for case in found.ids if case.startswith("kits19")] == [
        "kits19.00001", "kits19.00002",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"members": {"kitts": {"train": ["train"]}}}, "There is no 'kitts' in config/datasets"),
        ({"members": {"kits19": {"train": ["trian"]}}}, "has no split 'trian'"),
        ({"members": {"abdomen-public": {"train": ["train"]}}}, "is itself made of others"),
        ({"noisy_labels": {"method": "syn"}}, "is not trained for 'segmentation'"),
        ({"noisy_labels": {"limits": {"volum": 3}}}, "did you mean 'volume'"),
        ({"format": "msd"}, "format"),
    ],
)
def test_what_cannot_be_made_is_refused(change, expected):
    assert expected in refusal(catalog(**{"abdomen-noisy": change}).dataset, "abdomen-noisy")


def paper(row: dict, **figures) -> Catalog:
    columns = {"dice": {"title": "Dice", "metric": "dice"}}
    table = {"title": "T", "columns": columns, "rows": [row], "reference": None}
    changes = {"tables": {"table1": table, "table1_abdomen": table, "segmenter": table}}
    changes["figures"] = figures
    changed = {"scale": "demo", "override": {"papers": {"estienne2020": changes}}}
    return Catalog(changed, ROOT)


def row(method: str, split: str) -> dict:
    return {
        "id": "a", "title": "A", "dataset": "abdomen-annotated", "method": method, "split": split
    }  # fmt: skip


def test_a_segmenter_is_measured_on_single_cases():
    found = Catalog({"scale": "demo"}, ROOT)
    expected = Experiment("abdomen-annotated", SEGMENTER, "val-segmented")
    assert experiments.segmentation_experiments(found, "estienne2020") == [expected]
    registered = {e.method for e in experiments.registrations(found, "estienne2020")}
    assert len(registered) > 3
    assert SEGMENTER not in registered


@pytest.mark.parametrize(
    ("method", "split", "expected"),
    [
        (SEGMENTER, "val", "registers nothing"),
        ("syn", "val-segmented", "is not trained for 'segmentation'"),
        (SEGMENTER, "vall-segmented", "has no split 'vall'"),
    ],
)
def test_rows_that_measure_what_is_not_there(method, split, expected):
    assert expected in refusal(paper(row(method, split)).paper, "estienne2020")


def test_a_sheet_of_labels_that_are_not_there():
    figure = {"kind": "noisy_labels", "title": "N", "dataset": "abdomen"}
    found = paper(row(SEGMENTER, "val-segmented"), noisy_labels=figure)
    assert "has no noisy labels" in refusal(found.paper, "estienne2020")


def test_a_run_s_seed_is_added_to_that_of_every_method():
    plain, other = (Catalog({"scale": "demo", "seed": seed}, ROOT) for seed in (0, 3))
    for name in ("syn", SEGMENTER, "estienne2020-task3-noisy"):
        assert other.method(name)["seed"] == plain.method(name)["seed"] + 3


def test_the_example_on_generated_abdomens_loads():
    path = ROOT / "config" / "examples" / "abdomen-generated.yaml"
    found = Catalog(yaml.safe_load(path.read_text(encoding="utf-8")), ROOT)
    assert len(found.dataset("abdomen-noisy").ids) == 160
    assert len(found.dataset("abdomen").pairs("val")) == 15
    assert set(found.paper("estienne2020")["tables"]) == {"table1_abdomen", "segmenter"}
    assert {e.dataset for e in experiments.registrations(found, "estienne2020")} == {"abdomen"}
