"""What this machine does in a second, for ``warpline budget``: measured, or by finished jobs."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from warpline.errors import WarplineError
from warpline.files import write_text
from warpline.images.files import read_grid
from warpline.networks import build
from warpline.plan.catalog import Catalog
from warpline.plan.config import merge, read_yaml
from warpline.plan.experiments import networks_of, registrations
from warpline.plan.inputs import seconds
from warpline.plan.inputs.cases import case_folders
from warpline.plan.inputs.evaluate import records_of_experiment
from warpline.plan.places import project_folder
from warpline.plan.rates import check, known, measured_file
from warpline.plan.run import Run
from warpline.plan.trainings import given, recipe
from warpline.plan.volumes import prepared_shape
from warpline.provenance.record import record_path
from warpline.training.budget import step_cost
from warpline.training.registration_loss import Batch, RegistrationLoss

# Seconds of finished jobs that say something, beside those of their beginnings.
ENOUGH = 30
DIGITS = 6  # of a rate, in seconds: iterations take thousandths
HEAD = """\
# What this machine does, by warpline budget --measure; over config/budget.yaml. The first line of a
# run, warpline budget and what jobs ask for read it. It may be edited, and deleted.
"""


def core_rate() -> float:
    """GFLOP/s of one core of this machine in steps of a small registration network."""
    recipe = Catalog({"scale": "cpu"}, project_folder()).method("estienne2020-task4-baseline")
    training = {**recipe["training"], "precision": "single", "batch_size": 1}
    shape, before = (48, 48, 48), torch.get_num_threads()
    cost = step_cost({**recipe, "training": training}, shape, 2)
    torch.set_num_threads(1)
    try:
        network = build(recipe["network"]["name"], recipe["network"]["parameters"]).train()
        criterion = RegistrationLoss(
            recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
        )
        images = (torch.rand(1, 1, *shape) for _ in range(2))
        batch = Batch(*images, *[torch.rand(1, 2, *shape)] * 2)
        spent = []
        for _ in range(4):
            started = time.process_time()
            criterion(network, batch)[0].backward()
            spent.append(time.process_time() - started)
    finally:
        torch.set_num_threads(before)
    return cost.operations / min(spent) / 1e9


def keep(catalog: Catalog, rates: Mapping[str, Any]) -> Path:
    """Write rates to the file of this machine's, over those that it has; where that is."""
    path = measured_file(catalog)
    before = read_yaml(path) if path.is_file() else {}
    check(rates, known(catalog), path)  # of the form that will be read
    write_text(path, HEAD + yaml.safe_dump(merge(before, rates), sort_keys=False))
    return path


def of_finished_jobs(run: Run, paper: str, card: str | None) -> dict[str, Any]:
    """Rates by the trainings and registrations of a paper that are finished at the run's scale.

    What took longer or shorter than it is counted has its rate scaled by that. Seconds are those of
    the wall, times the threads of a job: of a loaded machine they say too much. Left alone is what
    took less than `ENOUGH`, and cases of another grid than the run's.

    Parameters
    ----------
    card
        The name of the card that trainings on a GPU ran on.
    """
    found: dict[str, Any] = {}
    rates = known(run.catalog)
    for device, (used, work) in _spent(_trainings(run, paper, card)).items():
        found.setdefault("rates", {})[device] = round(work / used, 1)
    for name, (used, counted) in _spent(_registrations(run, paper)).items():
        rate = rates["jobs"]["register"][name]
        scaled = {
            k: round(v * used / counted, DIGITS) for k, v in rate.items() if k not in seconds.MEMORY
        }
        found.setdefault("jobs", {}).setdefault("register", {})[name] = scaled
    return found


def _spent(jobs: Iterator[tuple[str, float, float]]) -> dict[str, tuple[float, float]]:
    """Of each name the seconds that its jobs took, and what was counted of them, where enough."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, used, counted in jobs:
        sums[name][0] += used
        sums[name][1] += counted
    return {n: (used, counted) for n, (used, counted) in sums.items() if used >= ENOUGH and counted}


def _trainings(run: Run, paper: str, card: str | None) -> Iterator[tuple[str, float, float]]:
    """The core or card of each training, its seconds and its operations, 1e9."""
    for dataset, method in networks_of(run.catalog, paper):
        path = Path(run.layout.sidecar(dataset, method))
        if given(run.catalog, method) or not path.is_file() or not _on_its_grid(run, dataset):
            continue
        told = json.loads(path.read_text(encoding="utf-8"))
        own, spec = told["recipe"], recipe(run.catalog, dataset, method)
        same = own["network"] == spec["network"] and all(
            own["training"].get(key) == spec["training"].get(key)
            for key in ("batch_size", "crop", "sampling")
        )
        work = seconds.step_work(run, dataset, method)
        on_core = told["machine"]["device"] == "cpu"
        if same and work and (on_core or card):
            used = told["training_seconds"] * (told["threads"] if on_core else 1)
            yield "core" if on_core else card, used, told["steps"] * work


def _registrations(run: Run, paper: str) -> Iterator[tuple[str, float, float]]:
    """The rate of each registration on a CPU, its seconds, and those that are counted."""
    import pandas as pd

    for experiment in registrations(run.catalog, paper):
        path = Path(records_of_experiment(run, experiment))
        dataset, method = experiment.dataset, experiment.method
        if seconds.registration_rate(run, method) is None or not path.is_file():
            continue
        frame = pd.read_parquet(path, columns=["metric", "label", "value"])
        own = frame[(frame["metric"] == "seconds") & (frame["label"] == "cpu")]["value"]
        counted = seconds.registering(run, dataset, method, len(own))
        if not len(own) or not counted or not _on_its_grid(run, dataset):
            continue
        name = seconds.registration_name(run, method)
        yield name, float(own.sum()) * _threads(run, path), counted


def _threads(run: Run, path: Path) -> int:
    """The threads of the job that wrote a file of results; 1 where nothing tells."""
    results = run.catalog.config["results"]
    record = record_path(results, path.relative_to(results))
    return json.loads(record.read_text(encoding="utf-8"))["threads"] if record.is_file() else 1


def _on_its_grid(run: Run, dataset: str) -> bool:
    """Whether the prepared cases that are there are those of this run's scale, by one of them."""
    shape = prepared_shape(run, dataset, known(run.catalog)["grids"])
    folders = case_folders(run, dataset, run.catalog.dataset(dataset).ids).values()
    images = (Path(folder) / "image.nii.gz" for folder in folders)
    image = next((path for path in images if path.is_file()), None)
    try:
        return bool(shape and image) and tuple(read_grid(image).shape) == tuple(shape)
    except WarplineError:
        return False
