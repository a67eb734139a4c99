"""Models of the house: their cards, and methods that use them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from warpline import networks
from warpline.cli.main import main
from warpline.errors import WarplineError
from warpline.evaluation.records import COLUMNS
from warpline.files import checksum
from warpline.networks.half import save_in_half
from warpline.networks.weights import load_weights, save_weights
from warpline.plan.config import merge, read_yaml
from warpline.plan.experiments import networks_of, trainings_of
from warpline.plan.inputs import figures, models, papers, register
from warpline.plan.models import Models
from warpline.plan.run import Run
from warpline.plan.trainings import model_of
from warpline.tables.card import scores

ROOT = Path(__file__).parents[2]
METHOD = "estienne2020-task4-sym"


@pytest.fixture
def project(tmp_path) -> Path:
    """The project's configuration with one model, 'small', of a smaller network."""
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, tmp_path / part)
    recipe = Run({"papers": []}, ROOT).catalog.method(METHOD)
    recipe["network"] = {"name": "estienne2020", "parameters": {"channels": [2, 4]}}
    recipe["training"] = {**recipe["training"], "splits": ["elsewhere"], "epochs": 77}
    card = {
        "name": "small",
        "about": "a test",
        "recipe": recipe,
        "parameters": 1234,
        "cases": 5,
        "epochs": 77,
        "steps": 770,
        "seed": 0,
        "training_seconds": 120.0,
        "machine": {"device": "cpu"},
        "code": "abc",
        "weights_sha256": "0" * 64,
        "dataset": {"name": "hippocampus", "title": "Hippocampus"},
        "scored": {"method": METHOD, "split": "val"},
        "scores": [
            {
                "metric": "dice",
                "unit": "",
                "mean": 0.8,
                "low": 0.7,
                "high": 0.9,
                "pairs": 6,
                "cases": 4,
            }
        ],
    }
    (tmp_path / "models").mkdir()
    (tmp_path / "models/small.json").write_text(json.dumps(card))
    (tmp_path / "models/small.csv").write_text("epoch\n")
    (tmp_path / "models/small.safetensors").write_bytes(b"x" * 2000)
    return tmp_path


def run_with(project: Path, weights: object, **config) -> Run:
    override = {"methods": {METHOD: {"weights": weights}}}
    return Run({"papers": ["estienne2020"], "override": override, **config}, project)


def test_a_method_takes_network_loss_and_training_of_its_model_but_its_own_splits(project):
    method = run_with(project, {"model": "small"}).catalog.method(METHOD)
    assert method["network"]["parameters"] == {"channels": [2, 4]}
    assert method["training"]["epochs"] == 77
    assert method["training"]["splits"] == ["train"]
    assert method["title"] == "Baseline + sym."


def test_what_warpline_sees_labels_by_is_a_network_that_segments():
    """The method names it as its 'method'; it is trained on the dataset, or a model."""
    run = Run({"papers": []}, ROOT)
    recipe = register.network_recipe(run, "warpline-labels")
    assert recipe["network"]["name"] == "label_segmenter"
    assert register.trained_weights(run, "hippocampus", "warpline-labels").endswith(
        "hippocampus/hippocampus-segmenter/weights.safetensors"
    )
    house = {"weights": {"model": "hippocampus-segmenter"}}
    given = Run({"papers": [], "override": {"methods": {"hippocampus-segmenter": house}}}, ROOT)
    weights = register.trained_weights(given, "hippocampus", "warpline-labels")
    assert weights.endswith("models/hippocampus-segmenter.safetensors")
    other = {"methods": {"warpline-labels": {"method": METHOD}}}
    wrong = Run({"papers": [], "override": other}, ROOT)
    with pytest.raises(WarplineError, match="not trained for 'segmentation'"):
        wrong.catalog.method("warpline-labels")


def test_a_model_is_not_trained_and_its_row_stays_without_given_weights(project):
    run = run_with(project, {"model": "small"}, given_weights=False)
    place = ("hippocampus", METHOD)
    assert place not in trainings_of(run.catalog, "estienne2020")
    assert place in networks_of(run.catalog, "estienne2020")
    weights = register.trained_weights(run, *place)
    assert Path(weights).resolve() == project / "models/small.safetensors"
    assert any(path.endswith("models/small.csv") for path in figures.histories(run, "estienne2020"))
    assert any(path.endswith("models/small.json") for path in papers.everything(run)["sidecars"])
    rows = run.catalog.paper("estienne2020")["tables"]["table1"]["rows"]
    assert any(row.get("method") == METHOD for row in rows)


def test_an_embedding_of_a_models_features_still_leaves_out_the_fold_that_it_registers(project):
    card = json.loads((project / "models/small.json").read_text())
    card["recipe"] = Run({"papers": []}, ROOT).catalog.method("hansen2020-features")
    (project / "models/small.json").write_text(json.dumps(card))
    override = {"methods": {"hansen2020-features": {"weights": {"model": "small"}}}}
    run = Run({"papers": ["hansen2020"], "override": override}, project)
    from warpline.plan.experiments import registrations

    learned = {e.method for e in registrations(run.catalog, "hansen2020") if "512" in e.method}
    assert learned == {"hansen2020-512@fold0", "hansen2020-512@fold1"}


def test_an_unknown_model_is_refused_with_the_known_ones(project):
    with pytest.raises(WarplineError, match=r"no model 'smal'(?s:.*)Did you mean 'small'"):
        run_with(project, {"model": "smal"})


def test_a_model_beside_a_file_or_neither_is_refused(project):
    for weights in ({"model": "small", "file": "x.pth"}, {"sources": []}):
        with pytest.raises(WarplineError, match="weights"):
            run_with(project, weights)


def test_a_damaged_card_names_its_file(project):
    (project / "models/small.json").write_text("{")
    with pytest.raises(WarplineError, match=r"small\.json"):
        Models(project).card("small")


def test_what_is_given_is_no_training_to_make_a_model_of(project):
    entry = {"dataset": "hippocampus", "method": METHOD, "about": "", "split": "val"}
    run = run_with(project, {"model": "small"}, models={"new": entry})
    with pytest.raises(WarplineError, match="not trained in this run"):
        models.trained(run, "new")
    run = run_with(project, None, models={"new": entry})
    assert models.trained(run, "new").endswith(f"models/hippocampus/{METHOD}/weights.safetensors")
    assert models.held_out_records(run, "new") == [
        f"results/records/hippocampus/{METHOD}/val/whole.parquet"
    ]


def test_the_command_lists_and_tells(project):
    listed = CliRunner().invoke(main, ["models", "--project", str(project)])
    assert "small" in listed.output
    assert "dice 0.8 [0.7, 0.9], n = 6 (4 cases)" in listed.output
    told = CliRunner().invoke(main, ["models", "small", "--project", str(project)])
    assert "77 epochs" in told.output
    assert "2 min on cpu" in told.output
    wrong = CliRunner().invoke(main, ["models", "smal", "--project", str(project)])
    assert wrong.exit_code == 2
    assert "Did you mean 'small'" in wrong.output


def test_half_precision_loses_a_thousandth_and_loads_as_single(tmp_path):
    torch.manual_seed(0)
    network = networks.build("voxelmorph", {"encoder": [4, 4], "decoder": [4, 4, 4, 4, 4]})
    save_weights(tmp_path / "whole.safetensors", network)
    save_in_half(tmp_path / "whole.safetensors", tmp_path / "half.safetensors")
    assert {w.dtype for w in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    other = networks.build("voxelmorph", {"encoder": [4, 4], "decoder": [4, 4, 4, 4, 4]})
    load_weights(tmp_path / "half.safetensors", other)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert theirs.dtype == torch.float32
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-6)


def test_a_weight_beyond_half_precision_is_refused(tmp_path):
    save_file({"w": torch.tensor([7e4])}, tmp_path / "w.safetensors")
    with pytest.raises(WarplineError, match="'w' has no place"):
        save_in_half(tmp_path / "w.safetensors", tmp_path / "h.safetensors")


def test_scores_are_means_of_pairs_with_their_numbers_of_cases():
    values = {("a", "b"): (0.4, 0.6), ("b", "c"): (0.9, 0.7), ("c", "d"): (0.6, float("nan"))}
    rows = [
        ("d", "m", "val", fixed, moving, "dice", label, value, "")
        for (fixed, moving), pair in values.items()
        for label, value in zip(("x", "y"), pair, strict=True)
    ]
    rows.append(("d", "m", "val", "a", "b", "seconds", "", 3.0, "s"))
    (score,) = scores(pd.DataFrame(rows, columns=list(COLUMNS)))
    assert score["mean"] == pytest.approx((0.5 + 0.8 + 0.6) / 3, abs=1e-5)
    assert (score["metric"], score["pairs"], score["cases"]) == ("dice", 3, 4)
    assert score["low"] < score["mean"] < score["high"]


# The models that are there ----------------------------------------------------------------------

SHIPPED = Models(ROOT).known()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_of_the_house_is_what_its_card_says(name):
    house = Models(ROOT)
    card, weights = house.card(name), house.file(name, "safetensors")
    assert checksum(weights) == card["weights_sha256"]
    assert weights.stat().st_size <= 5_000_000
    network = networks.build(**card["recipe"]["network"])
    load_weights(weights, network)
    assert networks.parameter_count(network) == card["parameters"]
    assert pd.read_csv(house.file(name, "csv"))["epoch"].max() == card["epochs"]
    assert all(s["low"] is None or s["low"] <= s["mean"] <= s["high"] for s in card["scores"])


def test_the_page_of_models_names_each_with_its_score():
    page = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert SHIPPED
    for name in SHIPPED:
        line = next(row for row in page.splitlines() if row.startswith(f"| {name} |"))
        scores = {score["metric"]: score for score in Models(ROOT).card(name)["scores"]}
        if not scores:  # what registers nothing and segments nothing
            assert line.endswith("| – |")
            continue
        dice = scores["dice"]
        assert f"{dice['mean']:.3f} [{dice['low']:.3f}, {dice['high']:.3f}]" in line


def test_the_demo_runs_every_model_on_cases_that_it_did_not_see_on_the_models_grid():
    config = merge(*(read_yaml(ROOT / f"config/{name}.yaml") for name in ("config", "demo")))
    run = Run(config, ROOT)
    used = set()
    for paper in run.catalog.papers:
        for dataset, method in networks_of(run.catalog, paper):
            model = model_of(run.catalog, method)
            if model is not None:
                used.add(model)
                own, spec = Models(ROOT).card(model)["dataset"], run.catalog.dataset(dataset).spec
                assert spec["prepare"] == own.get("prepare", [])
                members = spec.get("members", {dataset: None})
                seeds = {run.catalog.dataset(m).spec["phantom"]["seed"] for m in members}
                learned_from = own.get("phantom", {}).get("seed", 2020)
                # Networks that know one atlas, or the frame of one subject, are given the demo's;
                # its test scans are in none of their splits that are learned from.
                assert (learned_from in seeds) == (dataset in ("luna16", "chest"))
    made = merge(config, read_yaml(ROOT / "config/examples/demo-models.yaml"))
    for dataset in ("luna16", "chest"):
        learned, shown = Run(made, ROOT).catalog.dataset(dataset), run.catalog.dataset(dataset)
        assert learned.spec["phantom"] == shown.spec["phantom"]
        assert learned.spec["prealign"] == shown.spec["prealign"]
        assert set(shown.split("train")) < set(learned.split("train"))
        assert not set(shown.split("test")) & set(learned.split("train"))
    # Those of real images are for these: the demo has generated ones.
    assert used == {name for name in SHIPPED if "generated" in name}
    trained = {method for _, method in trainings_of(run.catalog, "estienne2020")}
    assert {"estienne2020-task3-road", "estienne2020-task3-noisy-labels"} <= trained
