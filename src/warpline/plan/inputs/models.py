"""Trainings of a run that become models of the house: the configuration's key ``models``."""

from __future__ import annotations

from typing import Any

from warpline.errors import WarplineError
from warpline.plan.experiments import Experiment
from warpline.plan.inputs.evaluate import records_of_experiment
from warpline.plan.inputs.weights import new_model_file
from warpline.plan.run import Run
from warpline.plan.trainings import given

SUFFIXES = ("safetensors", "json", "csv")


def all_files(run: Run) -> list[str]:
    """The files of all models that this run makes."""
    return [file for name in _named(run) for file in files(run, name)]


def files(run: Run, model: str) -> list[str]:
    """The files of one of them."""
    return [new_model_file(run, model, suffix) for suffix in SUFFIXES]


def trained(run: Run, model: str) -> str:
    """The weights that become the model.

    Raises
    ------
    WarplineError
        If they are not trained in this run.
    """
    dataset, method = _place(run, model)
    if given(run.catalog, method):
        raise WarplineError(
            f"The method '{method}' is not trained in this run: its weights are given.",
            where=f"key 'models.{model}' of the configuration",
            do=f"Set 'override.methods.{method}.weights' to null.",
        )
    return run.layout.weights(dataset, method)


def history(run: Run, model: str) -> str:
    """The losses of the training."""
    return run.layout.history(*_place(run, model))


def sidecar(run: Run, model: str) -> str:
    """What the training kept of itself."""
    return run.layout.sidecar(*_place(run, model))


def held_out_records(run: Run, model: str) -> list[str]:
    """The records of the cases that the model is scored on, if it names any: one file or none."""
    experiment = scored(run, model)
    return [] if experiment is None else [records_of_experiment(run, experiment)]


def scored(run: Run, model: str) -> Experiment | None:
    """What the model is scored by, if it names any held-out cases."""
    entry = _named(run)[model]
    if entry["split"] is None:
        return None
    return Experiment(entry["dataset"], entry["scored"] or entry["method"], entry["split"])


def about(run: Run, model: str) -> dict[str, Any]:
    """What the card says of the model beside its training: the data and what is scored."""
    entry = _named(run)[model]
    data = run.catalog.dataset(entry["dataset"]).spec
    kept = ("title", "citation", "licence", "phantom", "archives", "prepare", "prealign")
    return {
        "name": model,
        "about": entry["about"],
        "scored": {"method": entry["scored"] or entry["method"], "split": entry["split"]},
        "dataset": {
            "name": entry["dataset"],
            **{key: data[key] for key in kept if data.get(key)},
        },
    }


def _named(run: Run) -> dict[str, dict[str, Any]]:
    return run.catalog.config["models"]


def _place(run: Run, model: str) -> tuple[str, str]:
    entry = _named(run)[model]
    return entry["dataset"], entry["method"]
