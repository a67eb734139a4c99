"""The catalog: every file of the project loads, and what a run consists of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from warpline.errors import WarplineError
from warpline.plan import experiments, trainings
from warpline.plan.catalog import Catalog
from warpline.plan.experiments import Experiment
from warpline.plan.pairs import ATLAS

ROOT = Path(__file__).parents[2]
SCALES = ("demo", "cpu", "paper")
BASELINE = "estienne2020-task4-baseline"
SYNTHETIC_ROW = {
    "id": "regnet",
    "title": "RegNet",
    "dataset": "followup",
    "method": "sokooti2017-regnet",
    "split": "val-synthetic",
}


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "config" / kind).glob("*.yaml"))


@pytest.fixture
def root(tmp_path) -> Path:
    """A copy of the project's configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow" / "schemas", tmp_path / "workflow" / "schemas")
    return tmp_path


def write(root: Path, place: str, content: dict) -> None:
    path = root / "config" / f"{place}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def refusal(call, *arguments) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments)
    return str(error.value)


# The project's own files ------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_every_file_of_the_project_loads(scale):
    catalog = Catalog({"scale": scale}, ROOT)
    for name in names("datasets"):
        data = catalog.dataset(name)
        assert "scales" not in data.spec
        for split, rule in data.spec["pairs"].items():
            if scale == "demo" and split not in data.splits and "split" not in rule:
                continue  # a demo may do with fewer folds
            assert data.pairs(split)
    for name in names("methods"):
        method = catalog.method(name)
        assert not {"scales", "extends"} & set(method)
        for file in method["parameter_files"]:
            assert (ROOT / file).is_file()
    for name in names("papers"):
        tables = catalog.paper(name)["tables"].values()
        assert tables
        sets = {
            (row["dataset"], row["method"], row["split"]): row["set"]
            for table in tables
            for row in table["rows"]
            if "method" in row
        }
        for experiment in experiments.registrations(catalog, name):
            batches = experiments.registration_batches(catalog, experiment)
            pairs = catalog.dataset(experiment.dataset).pairs(experiment.split)
            assert [pair for batch in batches.values() for pair in batch] == pairs
            trained = not trainings.given(catalog, experiment.method)
            if catalog.method(experiment.method)["kind"] == "network" and trained:
                cases, _ = trainings.training_cases(catalog, experiment.dataset, experiment.method)
                measured = {case for pair in pairs for case in pair} - {ATLAS}
                place = (experiment.dataset, experiment.method, experiment.split)
                if sets.get(place) != "train":  # a row that says so may show the training set
                    assert not measured & set(cases), "training must not see what is measured"


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "examples").glob("*.yaml")))
def test_every_example_loads(path):
    catalog = Catalog(yaml.safe_load(path.read_text(encoding="utf-8")), ROOT)
    for paper in catalog.papers:
        for experiment in experiments.registrations(catalog, paper):
            assert experiments.registration_batches(catalog, experiment)


def test_the_snakefile_s_imports_stay_light():
    code = (
        "import sys, warpline.plan.catalog, warpline.plan.fingerprint\n"
        "heavy = {'torch', 'numpy', 'pandas', 'SimpleITK', 'scipy', 'matplotlib', 'snakemake'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Methods ----------------------------------------------------------------------------------------


def test_extends_takes_over_what_it_does_not_change():
    catalog = Catalog({"scale": "paper"}, ROOT)
    base, sym = catalog.method(BASELINE), catalog.method("estienne2020-task4-sym")
    assert (base["training"]["symmetric"], sym["training"]["symmetric"]) == (False, True)
    assert {**sym["training"], "symmetric": False} == base["training"]
    assert (sym["network"], sym["loss"]) == (base["network"], base["loss"])
    unsupervised = catalog.method("estienne2020-task4-unsupervised")
    assert unsupervised["training"]["symmetric"]
    assert unsupervised["training"]["epochs"] == 300
    assert unsupervised["loss"]["dice"]["weight"] == 0


def test_extends_reaches_into_scales(root):
    demo = {"training": {"epochs": 3}}
    child = {"extends": BASELINE, "training": {"epochs": 77}, "scales": {"demo": demo}}
    write(root, "methods/child", child)
    for scale, epochs in (("demo", 3), ("paper", 77)):
        catalog = Catalog({"scale": scale}, root)
        base, changed = catalog.method(BASELINE), catalog.method("child")
        assert changed["training"] == {**base["training"], "epochs": epochs}
        assert changed["network"] == base["network"]


def test_extends_in_a_circle_is_refused(root):
    write(root, "methods/one", {"extends": "two"})
    write(root, "methods/two", {"extends": "one"})
    message = refusal(Catalog({}, root).method, "one")
    assert "one → two → one" in message


def test_an_unknown_parent_is_named_with_the_nearest_and_the_child(root):
    write(root, "methods/child", {"extends": "identiti"})
    message = refusal(Catalog({}, root).method, "child")
    assert "There is no 'identiti' in config/methods" in message
    assert "Did you mean 'identity'?" in message
    assert "child.yaml" in message


def test_a_network_needs_its_parts(root):
    write(root, "methods/bare", {"title": "Bare", "kind": "network"})
    assert "needs the key 'network'" in refusal(Catalog({}, root).method, "bare")


def test_pretraining_is_on_the_own_dataset_unless_one_is_named(root):
    catalog = Catalog({}, root)
    name = "estienne2020-task4-pretrain"
    before = "estienne2020-task4-unsupervised"
    assert trainings.pretraining(catalog, "hippocampus", name) == ("oasis", before)
    assert trainings.pretraining(Catalog({"scale": "cpu"}, root), "hippocampus", name) == (
        "hippocampus",
        before,
    )
    own = {"extends": "estienne2020-task4-sym", "pretrain": {"method": before}}
    write(root, "methods/own", own)
    assert trainings.pretraining(catalog, "hippocampus", "own") == ("hippocampus", before)
    assert trainings.pretraining(catalog, "hippocampus", BASELINE) is None
    pretrain = {"dataset": "brains", "method": BASELINE}
    write(root, "methods/other", {"extends": name, "pretrain": pretrain})
    assert trainings.pretraining(catalog, "hippocampus", "other") == ("brains", BASELINE)


def test_training_uses_the_training_split_and_watches_validation_pairs():
    catalog = Catalog({"scale": "cpu"}, ROOT)
    cases, pairs = trainings.training_cases(catalog, "hippocampus", BASELINE)
    assert cases == catalog.dataset("hippocampus").split("train")
    assert pairs == catalog.dataset("hippocampus").pairs("val")
    override = {"methods": {BASELINE: {"training": {"validation": {"pairs": 4}}}}}
    limited = Catalog({"scale": "cpu", "override": override}, ROOT)
    assert trainings.training_cases(limited, "hippocampus", BASELINE)[1] == pairs[:4]
    override = {"methods": {BASELINE: {"training": {"validation": {"split": None}}}}}
    without = Catalog({"scale": "cpu", "override": override}, ROOT)
    assert trainings.training_cases(without, "hippocampus", BASELINE) == (cases, [])


# Overrides, datasets ----------------------------------------------------------------------------


def test_an_override_wins_over_the_file_and_reaches_children():
    override = {"methods": {BASELINE: {"loss": {"regularisation": {"weight": 7}}}}}
    catalog = Catalog({"override": override}, ROOT)
    for name in (BASELINE, "estienne2020-task4-pretrain"):
        loss = catalog.method(name)["loss"]
        assert loss["regularisation"] == {"name": "identity_gradients", "weight": 7}
        assert loss["similarity"]["window"] == 9


def test_an_override_may_leave_an_archive_out():
    archive = "Task04_Hippocampus.tar"

    def catalog(**archives) -> Catalog:
        return Catalog({"override": {"datasets": {"hippocampus": {"archives": archives}}}}, ROOT)

    assert list(catalog().dataset("hippocampus").spec["archives"]) == [archive]
    left = catalog(**{archive: None, "other.tar": {}}).dataset("hippocampus").spec["archives"]
    assert list(left) == ["other.tar"]
    text = refusal(catalog(**{"Task4_Hippocampus.tar": None}).dataset, "hippocampus")
    assert "no archive 'Task4_Hippocampus.tar'" in text
    assert f"Did you mean '{archive}'?" in text


def test_an_override_may_change_one_scale_alone():
    override = {"datasets": {"hippocampus": {"scales": {"demo": {"cases": {"train": 3}}}}}}
    at = {s: Catalog({"scale": s, "override": override}, ROOT) for s in ("demo", "cpu")}
    assert len(at["demo"].dataset("hippocampus").split("train")) == 3
    assert len(at["cpu"].dataset("hippocampus").split("train")) == 200


def test_sheets_lie_in_the_project_not_in_the_working_folder(root, tmp_path, monkeypatch):
    (root / "config" / "pairs.csv").write_text("fixed,moving\n311,316\n", encoding="utf-8")
    rule = {"val": {"from": "sheet", "file": "config/pairs.csv"}}
    monkeypatch.chdir("/")
    config = {"scale": "paper", "override": {"datasets": {"hippocampus": {"pairs": rule}}}}
    data = Catalog(config, root).dataset("hippocampus")
    first = data.split("val")[:2]
    (root / "config" / "pairs.csv").write_text(f"fixed,moving\n{first[1]},{first[0]}\n")
    assert data.pairs("val") == [(first[1], first[0])]


def test_the_reference_of_a_prealignment_is_a_case():
    config = {"override": {"datasets": {"hippocampus": {"prealign": {"reference": "0001"}}}}}
    message = refusal(Catalog(config, ROOT).dataset, "hippocampus")
    assert "no case '0001'" in message
    assert "Did you mean '001'?" in message


@pytest.mark.parametrize(
    ("kind", "typo", "known"),
    [
        ("dataset", "hippocampsu", "hippocampus"),
        ("method", "identitty", "identity"),
        ("paper", "estiene2020", "estienne2020"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(kind, typo, known):
    message = refusal(getattr(Catalog({}, ROOT), kind), typo)
    assert f"There is no '{typo}' in config/{kind}s" in message
    assert f"Did you mean '{known}'?" in message


# Papers, studies, experiments -------------------------------------------------------------------


def test_experiments_stand_once_each():
    catalog = Catalog({}, ROOT)
    found = experiments.registrations(catalog, "estienne2020")
    assert len(found) == len(set(found))
    assert Experiment("hippocampus", "identity", "val") in found
    assert {e.method for e in found if e.method.startswith("estienne")} == {
        BASELINE,
        "estienne2020-task4-sym",
        "estienne2020-task4-pretrain",
        "estienne2020-task3-baseline",
        "estienne2020-task3-sym",
        "estienne2020-task3-pretrain",
        "estienne2020-task3-noisy",
    }


def test_extra_methods_are_rows_of_every_table_once():
    extra = ["estienne2020-task4-unsupervised", "identity"]
    plain = Catalog({}, ROOT).paper("estienne2020")["tables"]["table1"]["rows"]
    catalog = Catalog({"extra_methods": extra}, ROOT)
    rows = catalog.paper("estienne2020")["tables"]["table1"]["rows"]
    (row,) = [row for row in rows if row not in plain]  # identity is a row of the table already
    assert [other for other in rows if other in plain] == plain
    last = [other["set"] for other in plain].index("test")
    assert rows.index(row) == last  # after the last of its set
    assert (row["method"], row["dataset"], row["split"]) == (extra[0], "hippocampus", "val")
    title = "Unsupervised (not in the paper)"
    assert (row["title"], row["set"], row["published"]) == (title, "val", {})
    assert Experiment("hippocampus", extra[0], "val") in experiments.registrations(
        catalog, "estienne2020"
    )


def test_the_projects_own_method_is_told_from_those_of_a_paper():
    catalog = Catalog({"extra_methods": ["warpline"]}, ROOT)
    for paper in catalog.known("papers"):
        tables = catalog.paper(paper)["tables"]
        own = [row for t in tables.values() for row in t["rows"] if row.get("method") == "warpline"]
        assert own, paper
        assert {row["title"] for row in own} == {"warpline (ours, not in the paper)"}
        assert not any(row["published"] or "published_pairs" in row for row in own)


def test_a_folded_table_has_no_extra_rows():
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    catalog = Catalog(demo, ROOT)
    tables = [t for p in catalog.known("papers") for t in catalog.paper(p)["tables"].values()]
    folded = [table for table in tables if table["folded"]]
    assert len(folded) == 5
    assert not any(row["method"] == "warpline" for table in folded for row in table["rows"])


def test_a_study_is_a_paper_of_any_methods_on_any_datasets(root):
    spec = yaml.safe_load((root / "config/datasets/hippocampus.yaml").read_text(encoding="utf-8"))
    write(root, "datasets/twin", {**spec, "title": "Twin"})
    study = {
        "datasets": ["hippocampus", "twin"],
        "methods": ["identity", BASELINE],
        "split": "val",
        "reference": "identity",
    }
    catalog = Catalog({"papers": [], "studies": {"own": study}}, root)
    assert catalog.papers == ["own"]
    paper = catalog.paper("own")
    assert list(paper["tables"]) == ["table_hippocampus", "table_twin"]
    table = paper["tables"]["table_twin"]
    assert table["title"] == "Twin"
    assert table["reference"] == "identity"
    assert [row["id"] for row in table["rows"]] == ["identity", BASELINE]
    assert all(column["optional"] for column in table["columns"].values())
    assert table["caption"].format(n=3, scale="demo", device="cpu") == (
        "Split val, n = 3 pairs, scale demo, device cpu."
    )
    assert set(experiments.registrations(catalog, "own")) == {
        Experiment(d, m, "val") for d in study["datasets"] for m in study["methods"]
    }


def test_a_study_of_one_dataset_has_plain_names():
    study = {"datasets": ["hippocampus"], "methods": ["identity"], "split": "val"}
    paper = Catalog({"studies": {"own": study}}, ROOT).paper("own")
    assert list(paper["tables"]) == ["table"]
    assert paper["tables"]["table"]["reference"] is None
    assert paper["title"] == "own"


def test_a_study_may_not_hide_a_paper():
    study = {"estienne2020": {"datasets": ["hippocampus"], "methods": ["identity"]}}
    assert "has the name of a paper" in refusal(Catalog, {"studies": study}, ROOT)


def test_a_study_with_an_unknown_method_is_refused():
    study = {"datasets": ["hippocampus"], "methods": ["identtity"]}
    message = refusal(Catalog({"studies": {"own": study}}, ROOT).paper, "own")
    assert "Did you mean 'identity'?" in message


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            {"tables": {"table1": {"reference": "baselin"}}},
            ["The reference 'baselin' is no row", "'baseline'?", "tables.table1.reference"],
        ),
        (
            {"figures": {"dice": {"table": "table11"}}},
            ["names the table 'table11'", "'table1'?", "figures.dice.table"],
        ),
        (
            {"tables": {"table1": {"reference": None, "rows": [{"id": "a", "title": "A"}] * 2}}},
            ["The row id 'a' stands twice", "tables.table1.rows"],
        ),
    ],
)
def test_a_paper_that_names_what_is_not_there_is_refused_before_anything_runs(change, messages):
    catalog = Catalog({"override": {"papers": {"estienne2020": change}}}, ROOT)
    error = refusal(catalog.paper, "estienne2020")
    for message in messages:
        assert message in error
    assert refusal(catalog.paper, "estienne2020") == error


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            {"figures": {"figure2_3": {"before": "sokooti2017-afine"}}},
            [
                "none of the figure's experiments",
                "'sokooti2017-affine'?",
                "figures.figure2_3.before",
            ],
        ),
        ({"figures": {"figure2_4": {"capture_range": 0}}}, ["figures.figure2_4.capture_range"]),
        ({"figures": {"figure2_5": {"pairs": ["wurst"]}}}, ["figures.figure2_5.pairs", "wurst"]),
        ({"figures": {"figure2_5": {"before": "sokooti2017-affine"}}}, ["figures.figure2_5"]),
        (
            {"tables": {"table2_1_mae": {"rows": [SYNTHETIC_ROW | {"split": "vall-synthetic"}]}}},
            ["has no split 'vall'", "'val'?", "tables.table2_1_mae.rows', row 'regnet'"],
        ),
        (
            {"tables": {"table2_1_mae": {"rows": [SYNTHETIC_ROW | {"method": "affine"}]}}},
            ["'affine' is not trained for 'synthetic'", "row 'regnet'"],
        ),
    ],
)
def test_figures_of_landmarks_and_synthetic_rows_are_checked(change, messages):
    catalog = Catalog({"override": {"papers": {"sokooti2017": change}}}, ROOT)
    error = refusal(catalog.paper, "sokooti2017")
    for message in messages:
        assert message in error


def test_synthetic_rows_are_no_registrations_and_take_no_extra_methods():
    catalog = Catalog({"extra_methods": ["syn"]}, ROOT)
    paper = catalog.paper("sokooti2017")
    assert "test" in {e.split for e in experiments.registrations(catalog, "sokooti2017")}
    for experiment in experiments.registrations(catalog, "sokooti2017"):
        assert not experiment.split.endswith("-synthetic")
    assert experiments.synthetic_experiments(catalog, "sokooti2017") == [
        Experiment("followup", f"sokooti2017-{design}", f"{split}-synthetic")
        for design, split in (
            ("1scale", "val"),
            ("early", "val"),
            ("regnet", "val"),
            ("regnet", "test"),
        )
    ]
    assert catalog.method("sokooti2017-regnet")["initial"] == "sokooti2017-affine"
    extra = {
        key: [r for r in t["rows"] if r["method"] == "syn"] for key, t in paper["tables"].items()
    }
    assert [row["split"] for row in extra["table2_1"]] == ["test"]
    assert extra["table2_1_mae"] == []


def test_the_device_is_a_gpu_at_paper_scale_alone_unless_said():
    chosen = {scale: Catalog({"scale": scale}, ROOT).device for scale in SCALES}
    assert chosen == {"demo": "cpu", "cpu": "cpu", "paper": "cuda"}
    assert Catalog({"scale": "paper", "device": "cpu"}, ROOT).device == "cpu"
    assert Catalog({"scale": "demo", "device": "cuda"}, ROOT).device == "cuda"


def test_a_study_of_synthetic_pairs_has_a_table_of_errors_and_no_registrations():
    study = {"datasets": ["luna16"], "methods": ["sokooti2017-regnet"], "split": "test-synthetic"}
    catalog = Catalog({"studies": {"known-fields": study}}, ROOT)
    table = catalog.paper("known-fields")["tables"]["table"]
    columns = ["mae", "identity", "mae_x", "mae_y", "mae_z", "small", "medium", "large"]
    assert list(table["columns"]) == columns
    assert not catalog.paper("known-fields")["figures"]
    assert not experiments.registrations(catalog, "known-fields")
    (experiment,) = experiments.synthetic_experiments(catalog, "known-fields")
    assert experiment == Experiment("luna16", "sokooti2017-regnet", "test-synthetic")


def test_synthetic_training_validates_on_the_cases_of_a_split_whether_or_not_they_are_paired():
    catalog = Catalog({}, ROOT)
    cases = catalog.dataset("followup").split("val")
    pairs = trainings.training_cases(catalog, "followup", "sokooti2017-regnet")[1]
    assert pairs == [(case, case) for case in cases]
    assert trainings.training_cases(catalog, "luna16", "sokooti2017-regnet")[1] == []


# Cross-validation -------------------------------------------------------------------------------

WHOLE = {"scale": "cpu"}  # a demo may have fewer folds
FOLDS = ["fold0", "fold1", "fold2", "fold3", "fold4"]


def folded_row(method: str, **more) -> dict:
    return {"dataset": "dirlab-4dct", "method": method, "split": "all", **more}


def test_a_trained_method_is_an_experiment_a_fold_and_one_that_learns_nothing_a_single_one():
    catalog = Catalog(WHOLE, ROOT)
    found = experiments.experiments_of(catalog, folded_row(BASELINE))
    assert found == [Experiment("dirlab-4dct", f"{BASELINE}@{fold}", fold) for fold in FOLDS]
    assert experiments.experiments_of(catalog, folded_row("identity")) == [
        Experiment("dirlab-4dct", "identity", "all")
    ]
    one = folded_row(BASELINE, split="fold2")
    assert experiments.experiments_of(catalog, one) == [
        Experiment("dirlab-4dct", BASELINE, "fold2")
    ]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dataset", ["dirlab-4dct", "dirlab-copd"])
def test_every_patient_is_held_out_once_and_is_then_in_no_part_of_the_training(dataset, scale):
    catalog = Catalog({"scale": scale}, ROOT)
    data = catalog.dataset(dataset)

    def patients(cases):
        return {data.row(case)["patient"] for case in cases}

    held_out = []
    # Of the demo's two folds none is left for a validation.
    method = "hansen2020-voxelmorph" if scale == "demo" else BASELINE
    for experiment in experiments.experiments_of(
        catalog, folded_row(method) | {"dataset": dataset}
    ):
        cases, watched = trainings.training_cases(catalog, dataset, experiment.method)
        (batch,) = experiments.registration_batches(catalog, experiment).values()
        measured = patients(case for pair in batch for case in pair)
        trained, watched = patients(cases), patients(case for pair in watched for case in pair)
        assert not measured & trained
        assert not measured & watched
        assert not trained & watched
        assert measured | trained | watched == patients(data.ids)
        held_out += batch
    assert sorted(held_out) == sorted(data.pairs("all"))


def test_the_fold_after_the_one_held_out_validates_unless_the_recipe_has_no_validation(root):
    write(root, "methods/quiet", {"extends": BASELINE, "training": {"validation": {"split": None}}})
    catalog = Catalog(WHOLE, root)
    plain = trainings.recipe(catalog, "dirlab-4dct", BASELINE)
    assert plain == catalog.method(BASELINE)
    assert plain["training"]["splits"] == ["train"]
    last = trainings.recipe(catalog, "dirlab-4dct", f"{BASELINE}@fold4")
    assert last["training"]["splits"] == ["fold1", "fold2", "fold3"]
    assert last["training"]["validation"]["split"] == "fold0"
    quiet = trainings.recipe(catalog, "dirlab-4dct", "quiet@fold4")
    assert quiet["training"]["splits"] == ["fold0", "fold1", "fold2", "fold3"]
    assert quiet["training"]["validation"]["split"] is None
    for recipe in (last, quiet):  # nothing else changes, and the plain recipe not at all
        assert recipe["network"] == plain["network"]
        assert recipe["loss"] == plain["loss"]
    assert catalog.method(BASELINE)["training"]["splits"] == ["train"]


def test_pretraining_leaves_out_the_same_fold_where_it_has_the_same_patients(root):
    write(root, "methods/own", {"extends": BASELINE, "pretrain": {"method": BASELINE}})
    elsewhere = {"method": BASELINE, "dataset": "hippocampus"}
    write(root, "methods/other", {"extends": BASELINE, "pretrain": elsewhere})
    catalog = Catalog(WHOLE, root)
    assert trainings.pretraining(catalog, "dirlab-4dct", "own@fold3") == (
        "dirlab-4dct",
        f"{BASELINE}@fold3",
    )
    assert trainings.pretraining(catalog, "dirlab-4dct", "own") == ("dirlab-4dct", BASELINE)
    assert trainings.pretraining(catalog, "dirlab-4dct", "other@fold3") == ("hippocampus", BASELINE)


def test_a_study_of_folds_names_the_rows_that_each_experiment_serves():
    study = {"datasets": ["dirlab-4dct"], "methods": ["identity", BASELINE], "split": "all"}
    more = {"datasets": ["dirlab-4dct"], "methods": ["identity"], "split": "fold1"}
    catalog = Catalog(WHOLE | {"studies": {"folds": study, "one": more}}, ROOT)
    names = experiments.rows_served(catalog, "folds")
    assert names.pop(Experiment("dirlab-4dct", "identity", "all")) == [("identity", "all")]
    assert names == {
        Experiment("dirlab-4dct", f"{BASELINE}@{fold}", fold): [(BASELINE, "all")] for fold in FOLDS
    }
    assert experiments.registrations(catalog, "one") == [
        Experiment("dirlab-4dct", "identity", "fold1")
    ]


def test_an_unknown_fold_is_told_with_the_nearest():
    catalog = Catalog(WHOLE, ROOT)
    text = refusal(trainings.recipe, catalog, "dirlab-4dct", f"{BASELINE}@fold9")
    assert "no fold 'fold9'" in text
    assert "Did you mean 'fold" in text


@pytest.mark.parametrize(
    ("pairs", "messages"),
    [
        (
            {"all": {"split": ["fold0", "fold11"]}},
            ["The fold 'fold11' is no split", "Did you mean 'fold1'", "pairs.all"],
        ),
        ({"all": {"from": "all"}}, ["not those of its folds together"]),
        ({"all": {"limit": 2}}, ["not those of its folds together"]),
        ({"all": {"cross_validation": False}}, ["has 0 splits of a cross-validation"]),
    ],
)
def test_folds_that_cannot_be_pooled_are_refused(pairs, messages):
    catalog = Catalog(WHOLE | {"override": {"datasets": {"dirlab-4dct": {"pairs": pairs}}}}, ROOT)
    text = refusal(trainings.recipe, catalog, "dirlab-4dct", f"{BASELINE}@fold0")
    assert all(message in text for message in messages)


def test_a_cross_validation_lists_at_least_two_splits(root):
    for split in ("fold0", ["fold0"]):
        rule = {"from": "patient", "split": split, "cross_validation": True}
        override = {"datasets": {"dirlab-4dct": {"pairs": {"all": rule}}}}
        catalog = Catalog(WHOLE | {"override": override}, ROOT)
        assert "pairs.all.split" in refusal(catalog.dataset, "dirlab-4dct")


def test_two_folds_leave_none_to_train_on_beside_one_for_validation():
    rule = {"from": "patient", "split": ["fold0", "fold1"]}
    override = {"datasets": {"dirlab-4dct": {"pairs": {"all": rule}}}}
    catalog = Catalog(WHOLE | {"override": override}, ROOT)
    assert "none is left" in refusal(trainings.recipe, catalog, "dirlab-4dct", f"{BASELINE}@fold0")


def test_errors_that_other_groups_measured_do_not_stand_beside_snapped_ones():
    rows = Catalog({"scale": "paper"}, ROOT).paper("hansen2020")["tables"]["table1"]["rows"]
    published = {(row["set"], row["id"]): row["published"] for row in rows}
    assert published["4D-CT", "dlir"] == {"levels": 3, "tre": 2.64, "tre_sd": 4.32}
    snapped = {row for (_, row), values in published.items() if "snapped" in values}
    assert snapped == {"initial", "voxelmorph", "hansen2019", "ours-256", "ours-512"}
    levels = {row: values.get("levels") for (_, row), values in published.items()}
    assert levels == {
        "initial": None, "affine": None, "eppenhof": 1, "dlir": 3, "voxelmorph": 2,
        "mlvirnet": 3, "hansen2019": 1, "ours-256": 1, "ours-512": 1,
    }  # fmt: skip


def test_bouabid_s_dice_of_all_voxels_stands_beside_agreement():
    tables = Catalog({"scale": "paper"}, ROOT).paper("bouabid2019")["tables"].values()
    published = [row["published"] for table in tables for row in table["rows"]]
    assert not any("dice" in values for values in published)
    assert {0.829, 0.958, 0.816} < {values.get("agreement") for values in published}


def test_a_method_with_an_atlas_is_not_cross_validated_and_a_row_names_no_fold():
    catalog = Catalog(WHOLE, ROOT)
    for method in ("bouabid2019-alpha-1e-5", "bouabid2019-any-alpha-1e-5"):
        assert "atlas" in refusal(experiments.experiments_of, catalog, folded_row(method))
    text = refusal(
        experiments.experiments_of, catalog, folded_row(f"{BASELINE}@fold0", split="fold1")
    )
    assert f"Write '{BASELINE}'" in text


def test_a_recipe_of_given_pairs_trains_on_those_of_its_splits_whole_or_without_a_fold():
    catalog = Catalog(WHOLE, ROOT)
    data = catalog.dataset("dirlab-4dct")
    pairs = trainings.training_pairs(catalog, "dirlab-4dct", "hansen2020-voxelmorph@fold1")
    expected = [pair for fold in ("fold0", "fold2", "fold3", "fold4") for pair in data.pairs(fold)]
    assert pairs == expected
    assert trainings.training_pairs(catalog, "hippocampus", BASELINE) is None


def test_given_pairs_are_registered_initially_once_for_all_folds(root):
    write(
        root,
        "methods/whole",
        {"extends": "hansen2020-voxelmorph", "training": {"splits": ["fold2"]}},
    )
    write(root, "methods/random", {"extends": "whole", "training": {"pairing": "random"}})
    write(root, "methods/plain", {"extends": "whole", "initial": None})
    catalog = Catalog(WHOLE, root)

    def first(method):
        return [
            (e.method, e.split)
            for e in experiments.initial_experiments(catalog, "dirlab-4dct", method)
        ]

    assert first("whole@fold0") == first("whole@fold3") == [("sokooti2017-affine", "all")]
    assert first("whole") == [("sokooti2017-affine", "fold2")]
    assert first("random@fold0") == first("plain@fold0") == []


def test_only_a_network_that_registers_has_a_preparation_of_its_own(root):
    steps = {"prepare": [{"resize": {"shape": [8, 8, 8]}}]}
    write(root, "methods/rigid", {"title": "Rigid", "kind": "affine", **steps})
    write(root, "methods/patches", {"extends": "sokooti2017-regnet", **steps})
    catalog = Catalog(WHOLE, root)
    assert "kind: 'network' was expected" in refusal(catalog.method, "rigid")
    assert "objective" in refusal(catalog.method, "patches")


def test_an_embedding_is_learned_without_the_fold_that_it_registers():
    catalog = Catalog({"scale": "paper"}, ROOT)
    method = "hansen2020-256@fold1"
    assert trainings.network_method(catalog, method) == "hansen2020-features@fold1"
    pairs = trainings.embedding_pairs(catalog, "dirlab-copd", method)
    data = catalog.dataset("dirlab-copd")
    assert len(pairs) == 8
    assert set(pairs) == set(data.pairs("all")) - set(data.pairs("fold1"))
    cases, validation = trainings.training_cases(
        catalog, "dirlab-copd", "hansen2020-features@fold1"
    )
    assert sorted(cases) == sorted(case for pair in pairs for case in pair)
    assert validation == []
    assert catalog.method("hansen2020-256")["embedding"]["components"] == 256
    assert catalog.method("hansen2020-512")["embedding"]["components"] == 512
    error = refusal(trainings.embedding_pairs, catalog, "followup", "hansen2020-256@fold1")
    assert "0 splits of a cross-validation" in error


def test_an_embedding_needs_pairs_of_the_training_splits():
    change = {"hansen2020-features": {"training": {"splits": ["rest"]}}}
    catalog = Catalog({"override": {"methods": change}}, ROOT)
    error = refusal(trainings.embedding_pairs, catalog, "luna16", "hansen2020-512")
    assert "no pairs to learn the embedding 'hansen2020-512' on" in error
    assert "rest" in error


def test_an_embedding_may_be_the_beginning_of_anothers(root):
    catalog = Catalog(WHOLE, root)
    assert trainings.embedding_method(catalog, "hansen2020-256@fold1") == "hansen2020-512@fold1"
    assert trainings.embedding_method(catalog, "hansen2020-512") == "hansen2020-512"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learned_by": BASELINE}, "learns no embedding"),
        ({"learned_by": "hansen2020-256"}, "learns no embedding"),
        ({"embedding": {"radius": 4, "components": 256}}, "is another one: radius"),
        ({"embedding": {"components": 513}}, "has 512 components, not 513"),
    ],
)
def test_an_embedding_of_another_search_is_refused(root, change, message):
    write(root, "methods/mine", {"extends": "hansen2020-256", **change})
    with pytest.raises(WarplineError, match=message):
        Catalog(WHOLE, root).method("mine")


def test_every_pair_has_rows_and_published_pairs_that_are_not_run_stand(root):
    here = {"dataset": "dirlab-4dct", "split": "fold0"}
    rows = [
        {"id": "initial", "title": "Initial", **here, "method": "identity",
         "published_pairs": {"tre": [3.89, 10.89, 5.0]}},
        {"id": "theirs", "title": "Theirs", "published_pairs": {"tre": [1.0]}},
    ]  # fmt: skip
    table = {
        "title": "Table I",
        "each_pair": True,
        "columns": {"tre": {"title": "TRE", "metric": "tre"}},
        "rows": rows,
    }
    write(root, "papers/mine", {"title": "Mine", "citation": "", "tables": {"table1": table}})
    catalog = Catalog(WHOLE | {"papers": ["mine"]}, root)
    built = catalog.paper("mine")["tables"]["table1"]["rows"]
    assert [(row["set"], row["id"]) for row in built] == [
        ("Pair 1", "initial"),
        ("Pair 1", "theirs"),
        ("Pair 2", "initial"),
        ("Pair 3", "initial"),
        ("", "initial"),
        ("", "theirs"),
    ]
    second = built[2]
    assert (second["fixed"], second["moving"]) == ("case6-T00", "case6-T50")
    assert second["published"] == {"tre": 10.89}
    assert "method" not in built[3]
    assert experiments.registrations(catalog, "mine") == [
        Experiment("dirlab-4dct", "identity", "fold0")
    ]


# Validation ---------------------------------------------------------------------------------------


def validated(dataset: str, method: str, **training: object) -> Catalog:
    override = {"methods": {method: {"training": training}}}
    return Catalog({"scale": "paper", "override": override}, ROOT), dataset, method


def test_a_typo_in_the_validation_s_split_is_no_training_without_one():
    error = refusal(
        trainings.training_cases, *validated("hippocampus", BASELINE, validation={"split": "vla"})
    )
    assert "The dataset 'hippocampus' has no pairs of the split 'vla' to validate on" in error
    assert "key 'training.validation.split'" in error
    assert "'val'?" in error
    segmenter = "estienne2020-task3-segmenter"
    error = refusal(
        trainings.training_cases,
        *validated("abdomen-annotated", segmenter, validation={"split": "tset"}),
    )
    assert "has no cases of the split 'tset'" in error


def test_a_batch_is_shared_by_devices_in_equal_parts():
    error = refusal(trainings.training_cases, *validated("hippocampus", BASELINE, devices=4))
    assert "A batch of 6 cannot be shared by 4 devices" in error
    assert "keys 'training.batch_size' and 'training.devices'" in error
    assert trainings.training_cases(*validated("hippocampus", BASELINE, devices=3))[0]


def test_the_best_weights_are_not_selected_without_a_validation():
    given = {"validation": {"split": None}, "selection": "best"}
    error = refusal(trainings.training_cases, *validated("hippocampus", BASELINE, **given))
    assert "key 'training.selection'" in error
    given = {"validation": {"split": "val"}, "selection": "best"}
    assert trainings.training_cases(*validated("hippocampus", BASELINE, **given))[1]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("paper", ["Unregistered", "α = 10⁻⁴", "α = 10⁻⁵", "α = 10⁻⁶"]),
        ("demo", ["Unregistered", "α = 0.1", "α = 0.01", "α = 10⁻³"]),
    ],
)
def test_rows_are_named_by_the_weights_that_run(scale, expected):
    paper = Catalog({"papers": ["bouabid2019"], "scale": scale}, ROOT).paper("bouabid2019")
    rows = paper["tables"]["table1"]["rows"]
    assert [row["title"] for row in rows if row["set"] == "test"] == expected
