"""What a training reads, what it depends on, and where its state lies."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.experiments import initial_experiments
from warpline.plan.inputs.cases import (
    batches_with,
    case_folders,
    cases_of,
    network_definitions,
)
from warpline.plan.inputs.register import fields_by_pair
from warpline.plan.inputs.weights import weights_of
from warpline.plan.kinds import REGULARISERS, SIMILARITIES, step_definitions
from warpline.plan.pairs import Pair, pair_name
from warpline.plan.run import Run
from warpline.plan.trainings import (
    embedding_pairs,
    embedding_settings,
    given,
    labelled_by,
    network_method,
    pretraining,
    recipe,
    training_cases,
    training_pairs,
)


def training_recipe(run: Run, dataset: str, method: str) -> dict[str, Any]:
    """The recipe as it is trained on the dataset.

    Raises
    ------
    WarplineError
        If the network's weights are given: a method that extends another one has also the weights
        that a run gives to that one.
    """
    if given(run.catalog, method):
        raise WarplineError(
            f"The method '{method}' has weights that are given, and is not trained.",
            where=f"weights of the method '{method}', or of one that it extends",
            do="Write 'weights: null' under it in 'override.methods' to train it.",
        )
    return recipe(run.catalog, dataset, method)


def training_gpus(run: Run, dataset: str, method: str) -> int:
    """GPUs of a training."""
    return run.gpus * recipe(run.catalog, dataset, method)["training"].get("devices", 1)


def training_workers(run: Run, dataset: str, method: str) -> int:
    """Processes that make synthetic pairs ahead of a training; none where a GPU makes them."""
    training = recipe(run.catalog, dataset, method)["training"]
    alone = training["objective"] == "synthetic" and training.get("devices", 1) == 1
    return run.catalog.config["workers"] if alone and run.catalog.device == "cpu" else 0


def training_threads(run: Run, dataset: str, method: str) -> int:
    """Threads of a training, and one for each process that makes pairs ahead."""
    return run.catalog.config["threads"] + training_workers(run, dataset, method)


def training_material(run: Run, dataset: str, method: str) -> dict[str, Any]:
    """What a training is given: the attributes of `warpline.training.material.Material`."""
    cases, validation = training_cases(run.catalog, dataset, method)
    return {
        "folders": case_folders(run, dataset, [*cases, *cases_of(validation)]),
        "cases": cases,
        "validation": validation,
        "labels": run.catalog.dataset(dataset).spec["labels"],
        "pairs": training_pairs(run.catalog, dataset, method),
        "initial": initial_fields(run, dataset, method),
    }


def training_inputs(run: Run, dataset: str, method: str) -> list[str]:
    """The batches and the initial fields that a training has to wait for."""
    cases, pairs = training_cases(run.catalog, dataset, method)
    batches = batches_with(run, dataset, [*cases, *cases_of(pairs)])
    return batches + sorted(set(initial_fields(run, dataset, method).values()))


def pretrained_weights(run: Run, dataset: str, method: str) -> dict[str, str]:
    """The weights that a training starts from, if any, as a named input."""
    before = pretraining(run.catalog, dataset, method)
    return {"pretrained": weights_of(run, *before)} if before else {}


def initial_fields(run: Run, dataset: str, method: str) -> dict[str, str]:
    """Folder of the initial registration of each pair that a training uses, by the pair's name."""
    experiments = initial_experiments(run.catalog, dataset, method)
    if not experiments:
        return {}
    learned = training_pairs(run.catalog, dataset, method) or []
    watched = training_cases(run.catalog, dataset, method)[1]
    fields = {k: v for e in experiments for k, v in fields_by_pair(run, e).items()}
    return {pair_name(pair): fields[pair_name(pair)] for pair in [*learned, *watched]}


def training_code(run: Run, method: str) -> str:
    """Fingerprint of the training with the recipe's network, objective and loss."""
    spec = run.catalog.method(method)
    objective, loss = spec["training"]["objective"], spec["loss"]
    chosen = [*network_definitions(spec), f"warpline.training.{objective}"]
    if objective == "registration":
        chosen.append(SIMILARITIES[loss["similarity"]["name"]])
        chosen.append(REGULARISERS[loss["regularisation"]["name"]])
    return run.code("train.py", *chosen)


def data_cache(run: Run, method: str) -> dict[str, str]:
    """Where data go that find no room in memory, and the fingerprint of what makes them."""
    spec = run.catalog.method(method)
    chosen = step_definitions(spec.get("prepare", []))
    if spec["training"]["objective"] == "synthetic":
        chosen.append("warpline.registration.synthetic.pairs")
    code = run.code(None, "warpline.training.data", *chosen)
    return {"folder": run.layout.cache, "code": code}


def state_folder(run: Run, dataset: str, method: str) -> str:
    """Keyed by all that the course of a training depends on, so that no other state is taken up."""
    before = pretraining(run.catalog, dataset, method)
    course = [
        recipe(run.catalog, dataset, method),
        training_material(run, dataset, method),
        _dataset_in_full(run, dataset),
        before and [recipe(run.catalog, *before), _dataset_in_full(run, before[0])],
        training_code(run, method),
        run.catalog.device,
    ]
    text = json.dumps(course, sort_keys=True, default=str)
    return run.layout.state(dataset, method, hashlib.sha256(text.encode()).hexdigest()[:12])


def _dataset_in_full(run: Run, dataset: str) -> list:
    """All that a dataset's cases depend on: its file, those of its members, its segmenter."""
    spec = run.catalog.dataset(dataset).spec
    members = [run.catalog.dataset(member).spec for member in spec.get("members", {})]
    labelled = labelled_by(run.catalog, dataset)
    segmenter = (
        [recipe(run.catalog, *labelled), _dataset_in_full(run, labelled[0])] if labelled else []
    )
    return [spec, members, segmenter]


# Embeddings -----------------------------------------------------------------------------------


def embedding_search(run: Run, method: str) -> dict[str, Any]:
    """What an embedding is learned with: its search and its number of components."""
    return embedding_settings(run.catalog, method)


def seed(run: Run, method: str) -> int:
    """The seed of a method in this run."""
    return run.catalog.method(method)["seed"]


def embedded_pairs(run: Run, dataset: str, method: str) -> list[Pair]:
    """The pairs that an embedding is learned on."""
    return embedding_pairs(run.catalog, dataset, method)


def embedded_batches(run: Run, dataset: str, method: str) -> list[str]:
    """The batches that hold these pairs."""
    return batches_with(run, dataset, cases_of(embedded_pairs(run, dataset, method)))


def embedded_folders(run: Run, dataset: str, method: str) -> dict[str, str]:
    """Folder of every case of these pairs."""
    return case_folders(run, dataset, cases_of(embedded_pairs(run, dataset, method)))


def embedding_code(run: Run, method: str) -> str:
    """Fingerprint of the learning of an embedding with its features' network."""
    spec = run.catalog.method(network_method(run.catalog, method))
    return run.code("embed.py", *network_definitions(spec))
