"""The arena: who takes part, what becomes of failures, and what is made of the records."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fieldtools import smooth_image

from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.evaluation.attempts import CRASHED, TIMED_OUT, attempt_all
from warpline.evaluation.contest import Contest
from warpline.evaluation.records import read_records, records, row, write_records
from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.figures import arena as figures
from warpline.images.grid import Grid
from warpline.plan import arena, kinds
from warpline.plan.catalog import Catalog
from warpline.plan.inputs import arena as inputs
from warpline.plan.run import Run
from warpline.registration.registrar import Registrar, Registration
from warpline.report.arena import Comparison
from warpline.report.dictionary import citations

ROOT = Path(__file__).parents[2]
GRID = Grid((12, 14, 10), (2.0, 1.0, 1.5), (3.0, -2.0, 1.0), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))


# Who takes part ---------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    """A copy of the project's configuration, to add files to."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow" / "schemas", tmp_path / "workflow" / "schemas")
    return tmp_path


def test_a_method_and_a_dataset_appear_by_their_files_alone(root):
    before = set(arena.cells(Catalog({"scale": "demo"}, root)))
    spec = {"title": "Mine", "kind": "affine", "arena": {}}
    (root / "config/methods/mine.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    other = {
        "extends": "hippocampus",
        "title": "Another",
        "arena": {"split": "val", "metric": "dice"},
    }
    (root / "config/datasets/another.yaml").write_text(yaml.safe_dump(other), encoding="utf-8")
    catalog = Catalog({"scale": "demo"}, root)
    found = set(arena.cells(catalog)) - before
    assert {cell.dataset for cell in found if cell.method == "mine"} == set(arena.datasets(catalog))
    assert {cell.method for cell in found if cell.dataset == "another"} >= {
        "identity",
        "syn",
        "mine",
    }
    assert arena.datasets(catalog).keys() >= {
        "hippocampus",
        "abdomen",
        "luna16",
        "followup",
        "another",
    }


def test_what_a_file_only_inherits_takes_no_part(root):
    (root / "config/methods/variant.yaml").write_text(
        "extends: syn\ntitle: Variant\n", encoding="utf-8"
    )
    catalog = Catalog({"scale": "demo"}, root)
    assert catalog.arena("methods", "variant") is None
    assert "variant" not in {cell.method for cell in arena.cells(catalog)}
    with pytest.raises(WarplineError, match="'variant' takes no part"):
        arena.cells(Catalog({"scale": "demo", "arena": {"methods": ["variant"]}}, root))


def test_the_arena_changes_nothing_of_a_method_or_dataset(root):
    before = Catalog({"scale": "demo"}, root)
    method, dataset = before.method("demons"), before.dataset("hippocampus").spec
    for path in (root / "config/methods/demons.yaml", root / "config/datasets/hippocampus.yaml"):
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        value.pop("arena")
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
    after = Catalog({"scale": "demo"}, root)
    assert after.method("demons") == method
    assert after.dataset("hippocampus").spec == dataset


def test_strengths_are_methods_with_one_value_changed():
    catalog = Catalog({"scale": "cpu"}, ROOT)
    for name in ("demons", "warpline", "elastix-bspline", "convexadam", "greedy", "syn"):
        part = catalog.arena("methods", name)
        marked = {
            c.method for c in arena.cells(catalog) if c.dataset == "abdomen" and c.name == name
        }
        own = arena.strength(catalog, name, part["strength"]["key"])
        expected = {f"{name}+{v:g}" for v in part["strength"]["values"] if v != own} | {name}
        assert marked == expected, name
    changed = catalog.method("warpline+0.03")
    assert changed["warpline"]["smoothness"] == 0.03
    assert changed["warpline"]["quality"] == catalog.method("warpline")["warpline"]["quality"]
    assert catalog.method("warpline")["warpline"]["smoothness"] == 0.01
    with pytest.raises(WarplineError, match="has no strength"):
        catalog.method("warpline+0.5")
    few = Catalog({"scale": "cpu", "arena": {"strengths": ["demons"]}}, ROOT)
    assert {c.name for c in arena.cells(few) if "+" in c.method} == {"demons"}


def test_a_network_that_was_trained_elsewhere_is_marked_and_takes_those_weights():
    run = Run({"scale": "demo", "papers": []}, ROOT)
    cell = arena.Cell("abdomen", "estienne2020-task4-sym", "val")
    assert cell in arena.cells(run.catalog)
    assert arena.title(run.catalog, cell).endswith("(trained on hippocampus)")
    weights = inputs.cell_weights(run, cell.dataset, cell.method, cell.split)
    assert weights == run.layout.weights("hippocampus", cell.method)
    home = arena.Cell("hippocampus", cell.method, "val")
    assert "trained on" not in arena.title(run.catalog, home)
    kept = Run({"scale": "demo", "papers": [], "arena": {"elsewhere": False}}, ROOT)
    assert cell not in arena.cells(kept.catalog)
    assert home in arena.cells(kept.catalog)


def test_everyone_registers_the_same_first_pairs():
    catalog = Catalog({"scale": "cpu", "arena": {"pairs": 4}}, ROOT)
    found = arena.pairs(catalog, "hippocampus", "val")
    assert found == catalog.dataset("hippocampus").pairs("val")[:4]


def test_every_cited_key_is_an_entry():
    text = (ROOT / "config/references.bib").read_text(encoding="utf-8")
    catalog = Catalog({"scale": "cpu"}, ROOT)
    for path in (ROOT / "config/methods").glob("*.yaml"):
        part = catalog.arena("methods", path.stem)
        if part:
            assert citations(text, part["cite"], []).count("@") == max(len(set(part["cite"])), 0)


# Failures ---------------------------------------------------------------------------------------


def test_what_crashes_or_hangs_ends_nothing_else(tmp_path):
    noted = tmp_path / "noted"
    noted.mkdir()

    def make():
        def work(item, reason, timed):
            (noted / f"{item}-{reason or 'tried'}").write_text(str(os.getpid()))
            if reason:
                return
            if item == "crash":
                os._exit(7)
            if item == "hang":
                time.sleep(60)
            timed()

        return work

    started = time.perf_counter()
    found = dict(attempt_all(make, ["a", "crash", "b", "hang", "c"], limit=0.5))
    assert time.perf_counter() - started < 20
    assert found == {"a": "", "crash": CRASHED, "b": "", "hang": TIMED_OUT, "c": ""}
    assert (noted / f"hang-{TIMED_OUT}").exists()
    # One process as long as it lives, and another after each failure.
    pids = {name: (noted / name).read_text() for name in ("a-tried", "crash-tried", "b-tried")}
    assert pids["a-tried"] == pids["crash-tried"] != pids["b-tried"]


def test_a_process_that_ends_before_it_begins_is_an_error():
    def make():
        os._exit(3)

    with pytest.raises(RuntimeError, match="before it began"):
        list(attempt_all(make, ["a"], limit=1))


@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot say so")
def test_who_is_killed_leaves_nobody_at_work(tmp_path):
    """The process that registers ends with the job that forked it."""
    code = f"""
import os, time
from pathlib import Path
from warpline.evaluation.attempts import attempt_all

def make():
    def work(item, reason, timed):
        Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
        time.sleep(60)
    return work

list(attempt_all(make, ["a"], limit=60))
"""
    job = subprocess.Popen([sys.executable, "-c", code])
    found = tmp_path / "pid"
    wait_until(lambda: found.exists() and found.read_text())
    job.kill()
    job.wait()
    wait_until(lambda: not Path(f"/proc/{found.read_text()}").exists())


def wait_until(condition, seconds=30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


class Unsteady(Registrar):
    """Registers some pairs, and fails on others in a way of its own."""

    uses_torch = False

    @classmethod
    def of(cls, method, device):
        return cls()

    def register(self, fixed, moving):
        if (fixed.id, moving.id) == ("c1", "c0"):
            raise RuntimeError("not this one")
        if (fixed.id, moving.id) == ("c2", "c0"):
            os._exit(1)
        if (fixed.id, moving.id) == ("c3", "c0"):
            time.sleep(60)
        step = {"c0": 1.0, "c1": -1.5, "c2": 1.25}[fixed.id]
        vectors = np.broadcast_to([step, 0.0, 0.0], (*GRID.shape, 3))
        return Registration(DisplacementField(vectors, GRID))


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    found = {}
    for k in range(4):
        image = smooth_image(GRID, seed=k)
        labels = image.with_array((image.array > 0).astype(np.uint8))
        found[f"c{k}"] = str(tmp_path / "cases" / f"c{k}")
        write_case(found[f"c{k}"], Case(f"c{k}", image, labels=labels))
    return found


def cell(folders, pairs, **changes) -> dict:
    spec = {"kind": "identity", "seed": 0, "parameters": {}}
    return {
        "experiment": {"dataset": "d", "method": "m", "split": "val"},
        "method": spec,
        "network": None,
        "initial": None,
        "missing": None,
        "pairs": pairs,
        "folders": folders,
        "labels": {1: "blob"},
        "outside": "border",
        "device": "cpu",
        "keep_fields": True,
        "both_directions": True,
        "limit": 2.0,
        "code": [],
    } | changes


def test_failures_are_part_of_a_cell(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(kinds.REGISTRARS, "identity", f"{__name__}:Unsteady")
    pairs = [("c0", "c1"), ("c1", "c0"), ("c2", "c0"), ("c3", "c0")]
    (tmp_path / "fields").mkdir()
    contest = Contest.of(cell(folders, pairs), {}, 1, tmp_path / "state")
    contest.run(tmp_path / "cell.parquet", tmp_path / "fields")
    found = read_records(tmp_path / "cell.parquet")
    failed = found[found["metric"] == "failed"].set_index("fixed")
    assert failed["value"].to_dict() == {"c0": 0, "c1": 1, "c2": 1, "c3": 1}
    assert failed["label"].to_dict() == {"c0": "", "c1": "error", "c2": CRASHED, "c3": TIMED_OUT}
    # What failed is measured as unregistered; nothing is dropped.
    folds = found[found["metric"] == "sdlogj"].set_index("fixed")["value"]
    assert len(folds) == 4
    assert not read_field(tmp_path / "fields" / "c2__c0.nii.gz").vectors.any()
    assert read_field(tmp_path / "fields" / "c0__c1.nii.gz").vectors[..., 0] == pytest.approx(1.0)
    seconds = found[found["metric"] == "seconds"].set_index("fixed")["value"]
    assert seconds["c3"] == 2.0
    assert not list((tmp_path / "state").iterdir())


def test_a_cell_measures_both_directions_and_the_initial_stage(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(kinds.REGISTRARS, "identity", f"{__name__}:Unsteady")
    spec = {"kind": "identity", "seed": 0, "parameters": {}}
    settings = cell(folders, [("c1", "c2")], initial=spec, keep_fields=False)
    Contest.of(settings, {}, 1, tmp_path / "state").run(tmp_path / "cell.parquet", None)
    found = read_records(tmp_path / "cell.parquet").set_index("metric")["value"]
    # Two stages of -1.5 mm there, and of 1.25 mm on the way back: half a millimetre is left.
    assert found["inverse_consistency"] == pytest.approx(0.5, abs=1e-4)
    assert found["seconds"] > 0
    assert found["peak_memory"] > 10
    assert "inverse_consistency" not in cell_metrics(folders, tmp_path, both_directions=False)


def cell_metrics(folders, tmp_path, **changes) -> set[str]:
    settings = cell(folders, [("c0", "c1")], keep_fields=False, **changes)
    Contest.of(settings, {}, 1, tmp_path / "state").run(tmp_path / "again.parquet", None)
    return set(read_records(tmp_path / "again.parquet")["metric"])


def test_a_cell_goes_on_where_it_was_stopped(folders, tmp_path, capfd):
    pairs = [("c0", "c1"), ("c1", "c2")]
    contest = Contest.of(cell(folders, pairs), {}, 1, tmp_path / "state")
    contest.state.mkdir(parents=True)
    (tmp_path / "state" / "of-other-settings").mkdir()
    kept = records([row("dice", 0.123)], "d", "m", "val", "c0", "c1")
    write_records(kept, contest._file(("c0", "c1")))
    write_field(contest.state / "c0__c1.nii.gz", DisplacementField.identity(GRID))
    (tmp_path / "fields").mkdir()
    contest.run(tmp_path / "cell.parquet", tmp_path / "fields")
    found = read_records(tmp_path / "cell.parquet")
    assert found[found["fixed"] == "c0"]["value"].tolist() == [0.123]
    assert len(found[found["fixed"] == "c1"]) > 10
    assert "c0 <- c1" not in capfd.readouterr().out
    assert not list((tmp_path / "state").iterdir())


def test_what_is_not_installed_is_a_cell_with_its_reason(folders, tmp_path):
    settings = cell(folders, [("c0", "c1")], missing="convexAdam is not installed.")
    Contest.of(settings, {}, 1, tmp_path / "state").run(tmp_path / "cell.parquet", None)
    (only,) = read_records(tmp_path / "cell.parquet").to_dict("records")
    assert (only["metric"], only["value"]) == ("skipped", 1)
    assert only["label"] == "convexAdam is not installed."


# The whole --------------------------------------------------------------------------------------

VALUES = {  # Dice of five pairs; TRE of three
    "brains": {
        "identity": [0.5] * 5,
        "good": [0.8, 0.81, 0.79, 0.8, 0.82],
        "bad": [0.6, 0.4, 0.61, 0.6, 0.62],
    },
    "lungs": {"identity": [10.0] * 3, "good": [2.0, 2.5, 2.2], "bad": [5.0, 11.0, 6.0]},
}
METRIC = {"brains": ("dice", "higher", ""), "lungs": ("tre", "lower", "mm")}


def all_records(folder: Path) -> list[str]:
    files = []
    for dataset, methods in VALUES.items():
        metric, _, unit = METRIC[dataset]
        variants = {**methods, "good+3": list(methods["good"])}
        for method, values in variants.items():
            frames = []
            irregular = {"identity": 0.0, "good": 0.1, "bad": 0.15, "good+3": 0.05}[method]
            for k, value in enumerate(values):
                crashed = dataset == "brains" and method == "bad" and k == 1
                rows = [row(metric, value, unit, "a")]
                rows += [row("seconds", 1.0 + (method != "bad"), "s", "cpu")]  # of a busy machine
                rows += [row("cpu_seconds", 1.0 + (method == "bad"), "s")]
                rows += [row("sdlogj", irregular), row("folding_fraction", 0.0)]
                if metric == "tre":
                    rows += [row("depth", 3.0 * (k + 1), "mm", "a")]
                else:
                    bands = {"0-1 mm": 1 - value, "from 8 mm": 0.01}
                    rows += [row("error_by_depth", v, "", band) for band, v in bands.items()]
                rows += [row("failed", float(crashed), "", "crash" if crashed else "")]
                frames.append(records(rows, dataset, method, "val", f"f{k}", f"m{k}"))
            files.append(str(folder / f"{dataset}-{method}.parquet"))
            write_records(pd.concat(frames), files[-1])
        skipped = records([row("skipped", 1, "", "absent")], dataset, "gone", "val", "", "")
        files.append(str(folder / f"{dataset}-gone.parquet"))
        write_records(skipped, files[-1])
    return files


def entries(tmp_path) -> dict:
    names = [("identity", None), ("good", 1.0), ("good+3", 3.0), ("bad", None), ("gone", None)]
    kept = str(tmp_path / "fields")
    cases = [f"{side}{k}" for side in "fm" for k in range(5)]
    common = {"split": "val", "citation": "Somebody, Brains, 2020", "licence": "CC0"}
    return {
        "datasets": {
            name: {**common, "title": name.title(), "challenge": name == "brains"}
            | {"metric": METRIC[name][0], "better": METRIC[name][1]}
            for name in VALUES
        },
        "cells": [
            {"dataset": dataset, "method": method, "split": "val", "title": method}
            | {"name": method.partition("+")[0], "strength": strength}
            for dataset in VALUES
            for method, strength in names
        ],
        "methods": {
            name: {"title": name, "cite": cite, "colour": place}
            for name, cite, place in (
                ("identity", [], -1),
                ("good", ["klein2010"], 0),
                ("bad", ["avants2008"], 1),
                ("gone", ["jena2024"], 2),
            )
        },
        "seeds": [0] * len(VALUES) * 5,
        "regularity": {"metric": "sdlogj", "most": 0.2},
        "resamples": 200,
        "scale": "cpu",
        "device": "cpu",
        "fields": {f"brains/{method}": kept for method in ("identity", "good", "bad")},
        "folders": {"brains": {case: str(tmp_path / "cases" / case) for case in cases}},
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The comparison of what methods reached, and its tables."""
    tmp_path = tmp_path_factory.mktemp("whole")
    (tmp_path / "cells").mkdir()
    for k in range(5):
        for side in "fm":
            image = smooth_image(GRID, seed=k)
            write_case(tmp_path / "cases" / f"{side}{k}", Case(f"{side}{k}", image))
        field = DisplacementField(np.full((*GRID.shape, 3), 0.5, np.float32), GRID)
        write_field(tmp_path / "fields" / f"f{k}__m{k}.nii.gz", field)
    found = Comparison.of(all_records(tmp_path / "cells"), entries(tmp_path))
    return found, found.write_tables(tmp_path / "tables"), tmp_path


def test_the_tables_of_the_whole(whole):
    _, frames, folder = whole
    table = frames["arena"].set_index(["dataset", "method"])
    assert set(table.loc["brains"].index) == {"identity", "good", "bad"}
    assert table.loc[("brains", "good"), "value"] == pytest.approx(0.804)
    # Of five pairs one crashed, which is also the one that is worse than unregistered.
    assert table.loc[("brains", "bad"), "failures"] == pytest.approx(0.2)
    assert table.loc[("lungs", "bad"), "failures"] == pytest.approx(1 / 3)
    assert table.loc[("brains", "good"), "front"]
    assert not table.loc[("brains", "bad"), "front"]
    failures = frames["failures"].set_index(["dataset", "method"])
    assert failures.loc[("brains", "bad"), "crash"] == 1
    assert failures.loc[("brains", "bad"), "worse"] == 0
    assert failures.loc[("lungs", "bad"), "worse"] == 1
    assert failures.loc[("brains", "gone"), "skipped"] == "absent"
    worst = frames["worst"].set_index(["dataset", "method"])
    assert tuple(worst.loc[("lungs", "bad"), ["fixed", "moving", "value"]]) == ("f1", "m1", 11.0)
    areas = frames["areas"].set_index(["dataset", "method"])["area"]
    # Nothing up to 0.05, then the same alignment by both strengths up to 0.2.
    assert areas["brains", "good"] == pytest.approx((0.05 * 0.5 + 0.15 * 0.804) / 0.2)
    assert areas["lungs", "identity"] == pytest.approx(10.0)
    decided = frames["decided"]
    ahead = decided[(decided["dataset"] == "brains") & (decided["second"] == "identity")].iloc[0]
    assert ahead["sentence"].startswith("good is ahead of identity by +0.304")
    close = decided[(decided["first"] == "bad") & (decided["dataset"] == "lungs")].iloc[0]
    assert close["sentence"].endswith("these data do not decide.")
    assert (folder / "tables" / "dataset-brains.html").is_file()
    ranks = frames["ranks"]
    assert set(ranks["dataset"]) == {"", "brains", "lungs"}
    assert frames["stability"].set_index("method").loc["good", "all"] == 1
    parts = frames["parts"].set_index(["dataset", "method", "by", "part"])["mean"]
    assert parts["lungs", "good", "displacement", "10-20 mm"] == pytest.approx(6.7 / 3)
    # Landmarks 3, 6 and 9 mm under the surface.
    deep = parts.sort_index()["lungs", "good", "depth"]
    assert deep.to_dict() == pytest.approx({"2.5-5 mm": 2.0, "5-10 mm": 2.35})
    assert parts["brains", "good", "depth", "0-1 mm"] == pytest.approx(0.196)
    assert parts["brains", "good", "label", "a"] == pytest.approx(0.804)


def test_a_method_that_is_far_off_does_not_push_the_others_together(monkeypatch, tmp_path):
    rows = [("identity", 0.0, 15.0), ("good", 2.0, 1.0), ("fair", 9.0, 5.0), ("lost", 0.3, 180.0)]
    table = pd.DataFrame(rows, columns=["method", "seconds", "value"])
    table = table.assign(dataset="lungs", front=False)
    table = table.assign(low=table["value"] - 3, high=table["value"] + 3)
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append(figure) or [])
    known = figures.looks({name: name for name, *_ in rows}, {r[0]: k for k, r in enumerate(rows)})
    panel = figures.Panel("Lungs", "TRE (mm)", "lower")
    figures.draw_time(table, "seconds", known, {"lungs": panel}, tmp_path / "time")
    (place,) = drawn[0].axes
    # From 1 mm to 22, half of what the best gains beyond 15; and a margin, but none below 0.
    assert place.get_ylim() == pytest.approx((0, 22 + 0.15 * 21))
    shown = {
        line.get_xdata()[0]: line.get_ydata()[0]
        for line in place.lines
        if line.get_marker() in figures.MARKERS
    }
    assert shown == pytest.approx({2.0: 1.0, 9.0: 5.0, 0.3: 22 + 0.15 * 21})


def test_methods_that_share_a_title_are_told_apart():
    catalog = Catalog({"scale": "demo"}, ROOT)
    names = arena.names(catalog)
    assert set(names) == set(arena.methods(catalog))
    assert len(set(names.values())) == len(names)
    assert names["estienne2020-task3-sym"] == "Baseline + sym. (abdomen)"
    assert names["syn"] == "SyN (ANTs)"


def test_trainings_of_several_seeds_are_one_row(tmp_path):
    run = Run(
        {
            "scale": "demo",
            "papers": [],
            "arena": {"seeds": 2, "datasets": ["hippocampus"]}
            | {"methods": ["estienne2020-task4-sym", "demons"], "strengths": False},
        },
        ROOT,
    )
    found = [cell.method for cell in arena.cells(run.catalog)]
    name = "estienne2020-task4-sym"
    assert found == ["identity", name, f"{name}~1", "demons"]
    contest = inputs.contest(run)
    assert [cell["method"] for cell in contest["cells"]] == ["identity", name, "demons"]
    assert contest["seeds"] == [0, 0, 1, 0]
    split = arena.cells(run.catalog)[0].split
    assert inputs.cell_settings(run, "hippocampus", f"{name}~1", split)["method"]["seed"] == 1
    files = []
    values = {
        "identity": [0.5, 0.5],
        name: [0.8, 0.7],
        f"{name}~1": [0.4, 0.9],
        "demons": [0.6] * 2,
    }
    for method in found:
        frames = [
            records(
                [
                    row("dice", value, "", "a"),
                    row("failed", 0.0),
                    row("cpu_seconds", 1.0),
                    row("sdlogj", 0.1),
                ],
                *("hippocampus", method, split, f"f{k}", f"m{k}"),
            )
            for k, value in enumerate(values[method])
        ]
        files.append(str(tmp_path / f"{method}.parquet"))
        write_records(pd.concat(frames), files[-1])
    tables = Comparison.of(files, contest | {"resamples": 100}).write_tables(tmp_path / "tables")
    table = tables["arena"].set_index("method")
    assert table.loc[name, "value"] == pytest.approx(0.7)
    assert table.loc[name, "failures"] == pytest.approx(0.25)  # of two pairs by two trainings
    assert table.loc["demons", "failures"] == 0


def test_the_figures_of_the_whole(whole, tmp_path):
    comparison, frames, _ = whole
    comparison.draw(frames, tmp_path / "figures")
    found = {path.name for path in (tmp_path / "figures").iterdir()}
    assert found >= {
        f"{n}.{s}"
        for n in ("curves", "time", "ranks", "differences", "depths")
        for s in ("png", "svg")
    }
    assert "worst-brains-good.png" in found


def test_the_exports_of_the_whole(whole, tmp_path):
    names = {"records": "r.parquet", "tidy": "r.csv", "dictionary": "d.csv", "references": "r.bib"}
    outputs = {key: str(tmp_path / name) for key, name in names.items()}
    outputs["submissions"] = str(tmp_path / "submissions")
    whole[0].export(outputs, str(ROOT / "config" / "references.bib"))
    kept = read_records(outputs["records"])
    tidy = pd.read_csv(outputs["tidy"], keep_default_na=False)
    assert len(kept) == len(tidy)
    dictionary = pd.read_csv(outputs["dictionary"], keep_default_na=False)
    assert set(dictionary.loc[dictionary["kind"] == "metric", "name"]) == set(kept["metric"])
    assert list(dictionary.loc[dictionary["kind"] == "column", "name"]) == list(kept.columns)
    assert not dictionary["meaning"].str.contains("said by the method").any()
    text = Path(outputs["references"]).read_text(encoding="utf-8")
    assert all(key in text for key in ("{klein2010,", "{avants2008,", "dataset-brains"))
    assert "jena2024" not in text  # was not run
    files = {path.name for path in (tmp_path / "submissions").iterdir()}
    assert files == {f"brains-{method}.zip" for method in ("identity", "good", "bad")}
    with zipfile.ZipFile(tmp_path / "submissions" / "brains-good.zip") as archive:
        assert archive.namelist()[0].startswith("disp_00f0_00m0")
