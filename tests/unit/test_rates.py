"""Rates of this machine: laid over the project's, measured, and taken from finished jobs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from warpline.cli import rates
from warpline.cli.budget import Need
from warpline.cli.main import main
from warpline.errors import WarplineError
from warpline.files import write_json
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image
from warpline.plan.config import read_yaml
from warpline.plan.experiments import registrations, trainings_of
from warpline.plan.inputs import needs, seconds
from warpline.plan.inputs.cases import case_folders
from warpline.plan.inputs.evaluate import records_of_experiment
from warpline.plan.places import Places
from warpline.plan.rates import known
from warpline.plan.run import Run
from warpline.plan.trainings import recipe
from warpline.plan.volumes import prepared_shape

ROOT = Path(__file__).parents[2]
KNOWN = read_yaml(ROOT / "config" / "budget.yaml")
PLACE = ("chest", "hu2020-voxelmorph")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(scale: str = "cpu", **config) -> Run:
    told = {"papers": ["hu2020"], "scale": scale, "device": "cpu", **config}
    return Run(told, Places.here(ROOT))


def test_one_s_own_file_lies_over_the_project_s_and_what_was_measured_over_both(folder):
    assert known(run().catalog) == KNOWN
    before, minutes = seconds.training(run(), *PLACE), needs.training_minutes(run(), *PLACE)
    own = {"rates": {"core": 1, "a100": 9000}, "cards": {"mine": 12}}
    own["scans"] = {"x": {"largest": [2, 3, 4]}}
    (folder / "budget.yaml").write_text(yaml.safe_dump(own))
    found = known(run().catalog)
    assert (found["rates"]["core"], found["cards"]["mine"], found["cards"]["a100"]) == (1, 12, 40)
    measured = folder / "results" / "rates.yaml"
    measured.parent.mkdir()
    measured.write_text(yaml.safe_dump({"rates": {"core": KNOWN["rates"]["core"] / 4}}))
    found = known(run().catalog)["rates"]
    assert (found["core"], found["a100"]) == (KNOWN["rates"]["core"] / 4, 9000)
    assert seconds.training(run(), *PLACE) == pytest.approx(4 * before)
    assert needs.training_minutes(run(), *PLACE) == pytest.approx(10 + 4 * (minutes - 10), abs=4)
    assert known(run(results="elsewhere").catalog)["rates"]["core"] == 1
    assert known(Run({"scale": "cpu"}, ROOT).catalog)["rates"]["core"] == found["core"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rate: {core: 3}", "There is no key 'rate'. .*Did you mean 'rates'"),
        ("rates: 3", "'rates' is 3"),
        ("rates: {core: fast}", "'rates.core' is 'fast'"),
        ("jobs: {prepare: {seconds: [quick]}}", "'jobs.prepare.seconds' is"),
        ("cards: {a100: {memory: 3}}", "'cards.a100' is"),
    ],
)
def test_a_file_that_says_something_else_is_refused(folder, text, told):
    (folder / "budget.yaml").write_text(text)
    with pytest.raises(WarplineError) as error:
        known(run().catalog)
    assert "budget.yaml" in str(error.value)
    assert re.search(told, str(error.value).replace("\n", " "))


def test_what_is_measured_is_kept_with_the_results_and_read_again(folder, monkeypatch):
    before = (ROOT / "config" / "budget.yaml").read_bytes()
    monkeypatch.setattr(rates, "core_rate", lambda: 5.04)
    ten_hours = Need("a", 1, [8, 8, 8], 1, 1, 1, 1, 1, operations=10 * 3600 * 10**9)
    monkeypatch.setattr("warpline.cli.budget.need_of", lambda *arguments: ten_hours)
    (folder / "config.yaml").write_text("results: mine\n")
    kept = folder / "mine" / "rates.yaml"
    kept.parent.mkdir()
    kept.write_text("rates: {core: 1, a100: 7000}\njobs: {prepare: {seconds: 0.4}}\n")
    command = ["budget", "hansen2020", "--scale", "demo"]
    done = CliRunner().invoke(main, [*command, "--measure"])
    assert done.exit_code == 0, done.output
    assert "kept in mine/rates.yaml" in done.output
    found = read_yaml(kept)
    assert found["rates"] == {"core": 5.0, "a100": 7000}
    assert found["jobs"] == {"prepare": {"seconds": 0.4}}
    assert (ROOT / "config" / "budget.yaml").read_bytes() == before
    assert " 2.0 " in done.output  # hours, at 5 of these a second
    again = CliRunner().invoke(main, command)
    assert again.output.strip() == done.output[done.output.index("hansen2020 at scale") :].strip()


@pytest.fixture
def finished(folder) -> Run:
    """Chests on their grid, of which a network was trained in 100 s on two threads."""
    of = run("demo")
    spec = recipe(of.catalog, *PLACE)
    grid = Grid(prepared_shape(of, "chest", KNOWN["grids"]))
    case = Path(next(iter(case_folders(of, "chest", of.catalog.dataset("chest").ids).values())))
    case.mkdir(parents=True)
    write_image(case / "image.nii.gz", Image(np.zeros(grid.shape, np.float32), grid))
    _trained(of, {"recipe": spec})
    return of


def _trained(of: Run, more: dict) -> None:
    told = {"machine": {"device": "cpu"}, "threads": 2, "training_seconds": 100.0, "steps": 50}
    path = Path(of.layout.sidecar(*PLACE))
    write_json(path, {**told, **({"recipe": recipe(of.catalog, *PLACE)} | more)})


def test_a_finished_training_tells_what_its_core_or_card_does(finished):
    assert PLACE in trainings_of(finished.catalog, "hu2020")
    work = seconds.step_work(finished, *PLACE)
    found = rates.of_finished_jobs(finished, "hu2020", None)
    assert found == {"rates": {"core": pytest.approx(50 * work / 200, abs=0.05)}}
    _trained(finished, {"machine": {"device": "NVIDIA A100"}})
    assert rates.of_finished_jobs(finished, "hu2020", None) == {}
    found = rates.of_finished_jobs(finished, "hu2020", "a100")
    assert found == {"rates": {"a100": pytest.approx(50 * work / 100, abs=0.05)}}
    rates.keep(finished.catalog, found)
    kept = known(run("demo").catalog)["rates"]
    assert (kept["a100"], kept["core"]) == (found["rates"]["a100"], KNOWN["rates"]["core"])


def test_trainings_of_another_recipe_or_grid_and_short_ones_tell_nothing(finished):
    other = json.loads(json.dumps(recipe(finished.catalog, *PLACE)))
    other["training"]["batch_size"] += 1
    _trained(finished, {"recipe": other})
    assert rates.of_finished_jobs(finished, "hu2020", None) == {}
    _trained(finished, {"training_seconds": 10.0})  # on two threads: less than is enough
    assert rates.of_finished_jobs(finished, "hu2020", None) == {}
    _trained(finished, {})
    # The same recipe at another scale, whose cases are larger.
    assert rates.of_finished_jobs(run("cpu"), "hu2020", None) == {}


def test_finished_registrations_scale_the_rate_of_their_kind(finished):
    experiment = next(e for e in registrations(finished.catalog, "hu2020") if "syn" in e.method)
    path = Path(records_of_experiment(finished, experiment))
    path.parent.mkdir(parents=True)
    counted = seconds.registering(finished, "chest", experiment.method, 2)
    rows = [("seconds", "cpu", 20.0), ("seconds", "cpu", 30.0), ("dice", "lung", 0.9)]
    pd.DataFrame(rows, columns=["metric", "label", "value"]).to_parquet(path)
    found = rates.of_finished_jobs(finished, "hu2020", None)["jobs"]["register"]
    rate = KNOWN["jobs"]["register"]["syn"]
    times = {key: value for key, value in rate.items() if key not in seconds.MEMORY}
    scaled = {key: pytest.approx(value * 50 / counted, abs=1e-5) for key, value in times.items()}
    assert found == {"syn": scaled}
    rates.keep(finished.catalog, {"jobs": {"register": found}})
    again = run("demo")
    assert seconds.registering(again, "chest", experiment.method, 2) == pytest.approx(50, rel=1e-3)
    assert known(again.catalog)["jobs"]["register"]["syn"]["bytes"] == rate["bytes"]
    # What was refined says the same once more.
    refined = rates.of_finished_jobs(again, "hu2020", None)["jobs"]["register"]
    assert refined["syn"] == pytest.approx(found["syn"], rel=1e-4)
