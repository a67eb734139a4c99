"""What the plan makes of methods whose weights were trained elsewhere."""

from pathlib import Path

import pytest

from warpline.errors import WarplineError
from warpline.plan.experiments import experiments_of, trainings_of
from warpline.plan.inputs import evaluate, register, train, weights
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]
AUTHORS = "estienne2020-task4-authors-sym"


def run(**config) -> Run:
    return Run({"papers": [], **config}, ROOT)


def table_rows(scale: str, table: str, **config) -> list[dict]:
    made = run(scale=scale, papers=["estienne2020"], **config)
    return made.catalog.paper("estienne2020")["tables"][table]["rows"]


@pytest.mark.parametrize("scale", ["cpu", "paper"])
@pytest.mark.parametrize(("table", "task"), [("table1", 4), ("table1_abdomen", 3)])
def test_the_authors_weights_are_rows_of_both_halves(scale, table, task):
    rows = [r for r in table_rows(scale, table) if "(authors' weights)" in r["title"]]
    val = {r["method"]: r["published"] for r in rows if r["set"] == "val"}
    own = {
        r["method"]: r["published"]
        for r in table_rows(scale, table)
        if r["set"] == "val" and r["published"] and "authors" not in r["method"]
    }
    ladder = ["baseline", "sym", "pretrain"] + (["noisy"] if task == 3 else [])
    for step in ladder:
        published = val[f"estienne2020-task{task}-authors-{step}"]
        assert published == own[f"estienne2020-task{task}-{step}"]
    # The submitted one was trained on the validation cases: in a set of its own, and in that of
    # the test images.
    submitted = {r["set"] for r in rows if r["method"].endswith("submitted")}
    assert submitted == {"val, trained on"} | ({"test"} if scale == "paper" else set())


def test_no_row_is_downloaded_for_at_the_scale_demo_or_where_it_is_not_wanted():
    for rows in (table_rows("demo", "table1"), table_rows("cpu", "table1", given_weights=False)):
        assert not any("authors" in row.get("method", "") for row in rows)
        assert len(rows) == 8


def test_both_test_sets_have_rows_of_the_recipe_that_trains_on_all_cases():
    for table, task in (("table1", 4), ("table1_abdomen", 3)):
        rows = {r["id"]: r for r in table_rows("paper", table) if r["set"] == "test"}
        assert "method" not in rows["test"]
        assert rows["trained"]["method"] == f"estienne2020-task{task}-test"
    recipe = run(scale="paper").catalog.method("estienne2020-task4-test")
    assert recipe["training"]["splits"] == ["train", "val"]
    assert recipe["training"]["validation"]["split"] is None
    assert recipe["pretrain"]["dataset"] == "oasis"
    pairs = run(scale="paper").catalog.dataset("hippocampus").pairs("test")
    assert (len(pairs), pairs[0], pairs[-1]) == (130, ("002", "392"), ("392", "002"))
    pairs = run(scale="paper").catalog.dataset("abdomen").pairs("test")
    assert (len(pairs), pairs[0], pairs[-1]) == (55, ("0031", "0032"), ("0049", "0050"))


def test_given_weights_are_of_no_dataset_and_no_training():
    made = run(scale="paper", papers=["estienne2020"])
    assert register.trained_weights(made, "hippocampus", AUTHORS) == (
        f"results/weights/{AUTHORS}/weights.safetensors"
    )
    assert evaluate.training_sidecar(made, "hippocampus", AUTHORS).endswith("model.json")
    assert evaluate.own_weights(made, "hippocampus", AUTHORS).startswith("results/weights/")
    assert not any("authors" in method for _, method in trainings_of(made.catalog, "estienne2020"))
    assert weights.given_folder(made, AUTHORS) == f"resources/weights/{AUTHORS}"
    sources = weights.given_recipe(made, AUTHORS)["weights"]["sources"]
    assert sources[1] == "zenodo:5762347"
    mirrored = weights.given_recipe(run(mirror="file:/disk/"), AUTHORS)["weights"]["sources"]
    assert mirrored == [f"file:/disk/weights/{AUTHORS}/Baseline+symmetric.pth.tar", *sources]


def test_a_training_may_start_from_given_weights():
    before = {"pretrain": {"method": "estienne2020-task4-authors-oasis", "dataset": "hippocampus"}}
    made = run(override={"methods": {"estienne2020-task4-pretrain": before}})
    found = train.pretrained_weights(made, "hippocampus", "estienne2020-task4-pretrain")
    assert found == {
        "pretrained": "results/weights/estienne2020-task4-authors-oasis/weights.safetensors"
    }
    # A further seed starts from the same file.
    assert train.pretrained_weights(made, "hippocampus", "estienne2020-task4-pretrain~2") == found
    assert train.state_folder(made, "hippocampus", "estienne2020-task4-pretrain")


def test_given_weights_register_all_folds_at_once():
    rule = {"from": "all", "split": ["train", "val"], "cross_validation": True}
    made = run(override={"datasets": {"hippocampus": {"pairs": {"both": rule}}}})
    row = {"dataset": "hippocampus", "method": AUTHORS, "split": "both"}
    assert [e.method for e in experiments_of(made.catalog, row)] == [AUTHORS]


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("syn", {"weights": {"file": "a.pt"}}, "has no weights of its own"),
        (AUTHORS, {"weights": {"file": "../a.pt"}}, "weights.file"),
        (AUTHORS, {"weights": {"checksum": "sha256:0"}}, "checksums"),
        (AUTHORS, {"weights": {"of": "author"}}, "authors"),
        (AUTHORS, {"weights": None}, "needs the key 'loss'"),
        ("hansen2020-512", {"method": AUTHORS}, "On which splits an embedding is learned"),
    ],
)
def test_what_cannot_be_is_refused(method, change, message):
    made = run(override={"methods": {method: change}})
    with pytest.raises(WarplineError, match=message):
        made.catalog.method(method)
