"""Several trainings of every network: what is planned, and what their tables and figures read."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from warpline.errors import WarplineError
from warpline.evaluation.pooling import pool_records
from warpline.evaluation.records import read_records, records, row, write_records
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import records_of_figure
from warpline.plan import experiments, trainings
from warpline.plan.catalog import Catalog
from warpline.plan.experiments import Experiment
from warpline.plan.inputs import evaluate, figures, papers, register, train
from warpline.plan.marks import marked, unmarked
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]
BASELINE = "estienne2020-task4-baseline"
PRETRAINED = "estienne2020-task4-pretrain"


def study(seeds: int, *methods: str, dataset: str = "hippocampus", split: str = "val") -> dict:
    own = {"datasets": [dataset], "methods": list(methods), "split": split, "seeds": seeds}
    return {"papers": [], "studies": {"own": own}}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a-b", ("a-b", "", 0)),
        ("a-b@fold1", ("a-b", "fold1", 0)),
        ("a-b~2", ("a-b", "", 2)),
        ("a-b@fold1~12", ("a-b", "fold1", 12)),
    ],
)
def test_marks_are_read_as_they_are_written(name, parts):
    assert unmarked(name) == parts
    assert marked(*parts) == name
    pattern = re.search(r'method=r"(.+)",', (ROOT / "workflow/rules/common.smk").read_text())
    assert re.fullmatch(pattern[1], name)


def test_what_learns_runs_for_every_seed_and_all_else_once():
    catalog = Catalog(study(3, "identity", "syn", BASELINE), ROOT)
    assert experiments.registrations(catalog, "own") == [
        Experiment("hippocampus", method, "val")
        for method in ("identity", "syn", BASELINE, f"{BASELINE}~1", f"{BASELINE}~2")
    ]
    assert experiments.trainings_of(catalog, "own") == [
        ("hippocampus", name) for name in (BASELINE, f"{BASELINE}~1", f"{BASELINE}~2")
    ]


def test_a_seed_is_added_to_that_of_the_recipe_and_of_the_run():
    plain, run = (Catalog({"seed": seed}, ROOT) for seed in (0, 10))
    first = plain.method(BASELINE)["seed"]
    assert plain.method(f"{BASELINE}~2")["seed"] == first + 2
    assert run.method(f"{BASELINE}@fold0~2")["seed"] == first + 12
    assert plain.method(BASELINE)["seed"] == first  # the recipe itself stays as it is
    recipes = [trainings.recipe(plain, "hippocampus", BASELINE + mark) for mark in ("", "~2")]
    assert recipes[0] | {"seed": first + 2} == recipes[1]


def test_one_seed_changes_nothing():
    one, none = study(1, "identity", BASELINE), study(1, "identity", BASELINE)
    del none["studies"]["own"]["seeds"]
    runs = [Run({**config, "scale": "demo"}, ROOT) for config in (one, none)]
    for ask in (evaluate.names_of_records, figures.histories, figures.figure_pieces):
        assert ask(runs[0], "own") == ask(runs[1], "own")
    assert evaluate.names_of_records(runs[0], "own")[0] == [None, [("identity", "val")]]


def test_pretraining_has_the_same_seed_everywhere_and_states_lie_apart():
    run = Run({**study(2, PRETRAINED), "scale": "demo"}, ROOT)
    before = trainings.pretraining(run.catalog, "hippocampus", PRETRAINED)
    again = trainings.pretraining(run.catalog, "hippocampus", f"{PRETRAINED}~1")
    assert again == (before[0], f"{before[1]}~1")
    assert before[0] != "hippocampus"
    found = experiments.trainings_of(run.catalog, "own")
    assert {before, again} < set(found)
    assert len(found) == 4
    states = {train.state_folder(run, *training) for training in found}
    weights = {run.layout.weights(*training) for training in found}
    assert len(states) == len(weights) == 4
    assert register.trained_weights(run, "hippocampus", f"{PRETRAINED}~1") in weights


def test_weights_from_elsewhere_are_the_same_for_every_seed_and_run_once():
    authors = "estienne2020-task4-authors-baseline"
    started = {"override": {"methods": {BASELINE: {"pretrain": {"method": authors}}}}}
    catalog = Catalog({**study(3, authors), **started, "scale": "paper"}, ROOT)
    assert [e.method for e in experiments.registrations(catalog, "own")] == [authors]
    for name in (BASELINE, f"{BASELINE}~1", f"{BASELINE}@fold0"):
        assert trainings.pretraining(catalog, "hippocampus", name) == ("hippocampus", authors)


def test_folds_and_seeds_go_together_and_an_embedding_has_its_network_s():
    config = study(2, "hansen2020-256", dataset="dirlab-4dct", split="all")
    catalog = Catalog({**config, "scale": "paper"}, ROOT)
    found = [e.method for e in experiments.registrations(catalog, "own")]
    assert found[:2] == ["hansen2020-256@fold0", "hansen2020-256@fold1"]
    assert found[5:] == [f"{name}~1" for name in found[:5]]
    name = "hansen2020-256@fold1~1"
    assert trainings.network_method(catalog, name) == "hansen2020-features@fold1~1"
    assert trainings.embedding_method(catalog, name) == "hansen2020-512@fold1~1"
    recipe = trainings.recipe(catalog, "dirlab-4dct", "hansen2020-features@fold1~1")
    assert "fold1" not in recipe["training"]["splits"]


def test_a_row_names_no_seed():
    catalog = Catalog({}, ROOT)
    entry = {"dataset": "hippocampus", "method": f"{BASELINE}~1", "split": "val"}
    with pytest.raises(WarplineError, match=f"Write '{BASELINE}'.*'seeds'"):
        experiments.experiments_of(catalog, entry)


def test_a_paper_has_seeds_at_a_scale_or_laid_over_it():
    config = {"papers": ["estienne2020"], "override": {"papers": {"estienne2020": {"seeds": 2}}}}
    catalog = Catalog(config, ROOT)
    names = {e.method for e in experiments.measured(catalog, "estienne2020")}
    assert f"{BASELINE}~1" in names
    assert "estienne2020-task3-segmenter~1" in names  # what is measured on single cases too
    assert "identity~1" not in names
    run = Run(config, ROOT)
    assert papers.run_values(run, "estienne2020")["seed"] == "0, 1"
    # The noisy labels are data: one segmenter's, whatever the seed.
    labels = [m for d, m in experiments.trainings_of(catalog, "estienne2020") if "segmenter" in m]
    assert sorted(labels) == ["estienne2020-task3-segmenter", "estienne2020-task3-segmenter~1"]


def frame(method: str, value: float) -> pd.DataFrame:
    return records([row("dice", value)], "hippocampus", method, "val", "a", "b")


def test_records_are_pooled_under_the_row_s_name_with_their_seed(tmp_path):
    run = Run({**study(2, "identity", BASELINE), "scale": "demo"}, ROOT)
    served = evaluate.names_of_records(run, "own")
    assert [seed for seed, _ in served] == [0, 0, 1]
    frames = [frame("identity", 0.5), frame(BASELINE, 0.7), frame(f"{BASELINE}~1", 0.8)]
    write_records(pool_records(frames, served), tmp_path / "r.parquet")
    pooled = read_records(tmp_path / "r.parquet")
    assert pooled[["method", "seed", "value"]].to_numpy().tolist() == [
        ["identity", 0, 0.5],
        [BASELINE, 0, 0.7],
        [BASELINE, 1, 0.8],
    ]
    experiment = {"dataset": "hippocampus", "method": BASELINE, "split": "val", "title": "B"}
    shown = records_of_figure(FigureEntry.of({"experiments": [experiment]}), tmp_path / "r.parquet")
    assert shown["value"].tolist() == [0.5, 0.7]
    assert "seed" not in shown


def test_records_without_seeds_have_no_such_column_and_odd_ones_are_refused(tmp_path):
    pooled = pool_records([frame("identity", 0.5)], [(None, [("identity", "val")])])
    assert "seed" not in pooled
    with pytest.raises(WarplineError, match="no whole numbers"):
        write_records(pooled.assign(seed=0.5), tmp_path / "r.parquet")


def test_figures_of_fields_show_the_first_training():
    run = Run({**study(3, BASELINE), "scale": "demo"}, ROOT)
    entry = {"dataset": "hippocampus", "method": BASELINE, "split": "val"}
    folders = set(register.fields_of_row(run, entry).values())
    assert len(folders) == 1
    assert "~" not in folders.pop()
    curves = figures.trainings_shown(run, "own")
    assert [len(each["logs"]) for each in curves] == [3]  # one title, one colour
