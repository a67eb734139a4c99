"""What a registration job handles, and where fields lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warpline.plan.experiments import (
    Experiment,
    experiments_of,
    initial_experiment,
    registration_batches,
)
from warpline.plan.inputs.cases import (
    batches_with,
    case_folders,
    cases_of,
    network_definitions,
)
from warpline.plan.inputs.weights import weights_of
from warpline.plan.kinds import REGISTRARS, tool_definitions
from warpline.plan.pairs import ATLAS, Pair, pair_name
from warpline.plan.run import Run
from warpline.plan.trainings import embedding_method, network_method


def fields_by_pair(run: Run, experiment: Experiment) -> dict[str, str]:
    """Folder of every pair's field, by the pair's name."""
    place = (experiment.dataset, experiment.method, experiment.split)
    return {
        pair_name(pair): run.layout.fields(*place, batch)
        for batch, pairs in registration_batches(run.catalog, experiment).items()
        for pair in pairs
    }


def fields_of_row(run: Run, row: Mapping[str, Any]) -> dict[str, str]:
    """Folder of every pair's field of a row, which may be of several experiments."""
    return {
        pair: folder
        for experiment in experiments_of(run.catalog, row)
        for pair, folder in fields_by_pair(run, experiment).items()
    }


def pairs_in_batch(run: Run, dataset: str, method: str, split: str, batch: str) -> list[Pair]:
    """The pairs that one job registers."""
    return registration_batches(run.catalog, Experiment(dataset, method, split))[batch]


def _cases_to_register(run: Run, dataset: str, method: str, split: str, batch: str) -> list[str]:
    return cases_read(run, method, pairs_in_batch(run, dataset, method, split, batch))


def cases_read(run: Run, method: str, pairs: Iterable[Pair]) -> list[str]:
    """The cases that a method reads to register pairs."""
    through = run.catalog.method(method)["kind"] == "through_atlas"
    return [*cases_of(pairs), ATLAS] if through else cases_of(pairs)


def registration_inputs(run: Run, dataset: str, method: str, split: str, batch: str) -> list[str]:
    """The batches of cases that a registration job has to wait for."""
    return batches_with(run, dataset, _cases_to_register(run, dataset, method, split, batch))


def registration_folders(
    run: Run, dataset: str, method: str, split: str, batch: str
) -> dict[str, str]:
    """Folder of every case that a registration job reads."""
    return case_folders(run, dataset, _cases_to_register(run, dataset, method, split, batch))


def method_spec(run: Run, method: str) -> dict[str, Any]:
    """A method's file."""
    return run.catalog.method(method)


def network_recipe(run: Run, method: str) -> dict[str, Any] | None:
    """The recipe whose network a method runs, if any."""
    name = network_method(run.catalog, method)
    return run.catalog.method(name) if name else None


def trained_weights(run: Run, dataset: str, method: str) -> str | list[str]:
    """The weights that a method runs with, if any."""
    name = network_method(run.catalog, method)
    return weights_of(run, dataset, name) if name else []


def learned_embedding(run: Run, dataset: str, method: str) -> str | list[str]:
    """The embedding of displacements that a method registers in, if any."""
    if run.catalog.method(method)["kind"] != "embedding":
        return []
    return run.layout.embedding(dataset, embedding_method(run.catalog, method))


def parameter_files(run: Run, method: str) -> list[str]:
    """elastix' parameter files of a method."""
    return [
        run.named_file(path, "methods") for path in run.catalog.method(method)["parameter_files"]
    ]


def initial_registrations(
    run: Run, dataset: str, method: str, split: str, batch: str
) -> dict[str, str]:
    """Folder of the field before a method's own of each pair, by the pair's name."""
    initial = initial_experiment(run.catalog, Experiment(dataset, method, split))
    if initial is None:
        return {}
    fields = fields_by_pair(run, initial)
    names = [pair_name(pair) for pair in pairs_in_batch(run, dataset, method, split, batch)]
    return {name: fields[name] for name in names}


def initial_folders(run: Run, dataset: str, method: str, split: str, batch: str) -> list[str]:
    """The folders of these fields, each once."""
    return sorted(set(initial_registrations(run, dataset, method, split, batch).values()))


def method_gpus(run: Run, method: str) -> int:
    """GPUs of a registration: networks use one, and the project's own method."""
    return run.gpus if _on_device(run, method) else 0


def method_device(run: Run, method: str) -> str:
    """The device of a registration."""
    return run.catalog.device if _on_device(run, method) else "cpu"


def _on_device(run: Run, method: str) -> bool:
    """Whether a method can compute elsewhere than on the CPU."""
    own = run.catalog.method(method)["kind"] == "warpline"
    return own or network_method(run.catalog, method) is not None


def registration_code(run: Run, method: str) -> str:
    """Fingerprint of the registration by one kind of method, with its network if it has one."""
    kind, recipe = run.catalog.method(method)["kind"], network_recipe(run, method)
    chosen = [REGISTRARS[kind]]
    if recipe is None and kind != "warpline":
        chosen += tool_definitions(kind)
    elif recipe is not None:
        chosen += network_definitions(recipe)
    return run.code("register.py", *chosen)


def registration_settings(
    run: Run, dataset: str, method: str, split: str, batch: str
) -> dict[str, Any]:
    """What the fields of a batch are made by, apart from files."""
    return {
        "method": method_spec(run, method),
        "network": network_recipe(run, method),
        "pairs": pairs_in_batch(run, dataset, method, split, batch),
        "folders": registration_folders(run, dataset, method, split, batch),
        "initial": initial_registrations(run, dataset, method, split, batch),
        "device": method_device(run, method),
        "halved": run.catalog.config["halve_fields"],
        "code": registration_code(run, method),
    }
