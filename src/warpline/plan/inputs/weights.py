"""Where the weights of a network come from: a training here, or a file from elsewhere."""

from __future__ import annotations

from typing import Any

from warpline.plan.marks import unmarked
from warpline.plan.models import Models
from warpline.plan.run import Run
from warpline.plan.trainings import given, model_of


def weights_of(run: Run, dataset: str, method: str) -> str:
    """The weights of a network's method on a dataset.

    Those from elsewhere are the same whatever fold or seed a training that starts from them has.
    """
    model = model_of(run.catalog, method)
    if model:
        return model_file(run, model, "safetensors")
    if given(run.catalog, method):
        return run.layout.given_weights(unmarked(method)[0])
    return run.layout.weights(dataset, method)


def sidecar_of(run: Run, dataset: str, method: str) -> str:
    """What is known of these weights."""
    model = model_of(run.catalog, method)
    if model:
        return model_file(run, model, "json")
    if given(run.catalog, method):
        return run.layout.given_sidecar(unmarked(method)[0])
    return run.layout.sidecar(dataset, method)


def history_of(run: Run, dataset: str, method: str) -> str:
    """The losses of the training behind a network, an epoch a line."""
    model = model_of(run.catalog, method)
    if model:
        return model_file(run, model, "csv")
    return run.layout.history(dataset, method)


def model_file(run: Run, model: str, suffix: str) -> str:
    """A file of a model that is there: ``safetensors``, ``json`` or ``csv``."""
    return run.places.as_input(Models(run.places).file(model, suffix))


def new_model_file(run: Run, model: str, suffix: str) -> str:
    """A file of a model that this run makes."""
    return run.places.as_input(Models(run.places).new_file(model, suffix))


def given_recipe(run: Run, method: str) -> dict[str, Any]:
    """A method with weights from elsewhere, the run's mirror as their first source."""
    spec = run.catalog.method(method)
    mirror = run.catalog.config["mirror"]
    if mirror is None:
        return spec
    first = f"{mirror.rstrip('/')}/weights/{method}/{spec['weights']['file']}"
    return {**spec, "weights": {**spec["weights"], "sources": [first, *spec["weights"]["sources"]]}}


def given_folder(run: Run, method: str) -> str:
    """Where the file is kept; files of several methods may have one name."""
    return f"{run.catalog.config['data']}/weights/{method}"


def given_code(run: Run, method: str) -> str:
    """Fingerprint of the conversion, with the network whose names are translated."""
    network = run.catalog.method(method)["network"]["name"]
    return run.code("given_weights.py", f"warpline.networks.{network}")
