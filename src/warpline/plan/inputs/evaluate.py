"""What is measured: registered pairs, synthetic pairs, segmentations."""

from __future__ import annotations

from typing import Any

from warpline.plan.experiments import Experiment, is_whole, measured, rows_served
from warpline.plan.inputs.cases import (
    batches_with,
    case_folders,
    cases_of,
    network_definitions,
)
from warpline.plan.inputs.register import fields_by_pair
from warpline.plan.inputs.weights import sidecar_of, weights_of
from warpline.plan.marks import unmarked
from warpline.plan.pairs import Pair
from warpline.plan.run import Run
from warpline.plan.splits import SEGMENTED, SYNTHETIC, split_and_suffix
from warpline.plan.trainings import network_method


def experiment_entry(run: Run, dataset: str, method: str, split: str) -> dict[str, str]:
    """An experiment as it stands in its records."""
    return {"dataset": dataset, "method": method, "split": split}


def synthetic_entry(run: Run, dataset: str, method: str, split: str) -> dict[str, str]:
    """An experiment on synthetic pairs as it stands in its records."""
    return experiment_entry(run, dataset, method, f"{split}{SYNTHETIC}")


def segmentation_entry(run: Run, dataset: str, method: str, split: str) -> dict[str, str]:
    """A segmenter's experiment as it stands in its records."""
    return experiment_entry(run, dataset, method, f"{split}{SEGMENTED}")


# Pairs ----------------------------------------------------------------------------------------


def experiment_pairs(run: Run, dataset: str, split: str) -> list[Pair]:
    """The pairs of an experiment."""
    return run.catalog.dataset(dataset).pairs(split)


def experiment_fields(run: Run, dataset: str, method: str, split: str) -> dict[str, str]:
    """Folder of every pair's field."""
    return fields_by_pair(run, Experiment(dataset, method, split))


def field_folders(run: Run, dataset: str, method: str, split: str) -> list[str]:
    """The folders of an experiment's fields, each once."""
    return sorted(set(experiment_fields(run, dataset, method, split).values()))


def pair_folders(run: Run, dataset: str, split: str) -> dict[str, str]:
    """Folder of every case of an experiment's pairs."""
    return case_folders(run, dataset, cases_of(experiment_pairs(run, dataset, split)))


def pair_case_batches(run: Run, dataset: str, split: str) -> list[str]:
    """The batches that hold these cases."""
    return batches_with(run, dataset, cases_of(experiment_pairs(run, dataset, split)))


def labels(run: Run, dataset: str) -> dict[int, str]:
    """A dataset's label values and their names."""
    return run.catalog.dataset(dataset).spec["labels"]


def labels_outside(run: Run, dataset: str) -> str:
    """Label of what comes from beyond a moving label map: ``border`` or ``background``."""
    return run.catalog.dataset(dataset).spec["labels_outside"]


def training_sidecar(run: Run, dataset: str, method: str) -> str | list[str]:
    """What is known of the training behind a method, if it has one."""
    name = network_method(run.catalog, method)
    return sidecar_of(run, dataset, name) if name else []


def evaluation_settings(run: Run, dataset: str, method: str, split: str) -> dict[str, Any]:
    """What an experiment is measured with."""
    return {
        "experiment": experiment_entry(run, dataset, method, split),
        "fields": experiment_fields(run, dataset, method, split),
        "labels": labels(run, dataset),
        "outside": labels_outside(run, dataset),
    }


# Single cases ---------------------------------------------------------------------------------


def split_cases(run: Run, dataset: str, split: str) -> list[str]:
    """The cases of a split."""
    return sorted(run.catalog.dataset(dataset).split(split))


def split_folders(run: Run, dataset: str, split: str) -> dict[str, str]:
    """Folder of every case of a split."""
    return case_folders(run, dataset, split_cases(run, dataset, split))


def split_batches(run: Run, dataset: str, split: str) -> list[str]:
    """The batches that hold the cases of a split."""
    return batches_with(run, dataset, split_cases(run, dataset, split))


def own_weights(run: Run, dataset: str, method: str) -> str:
    """The weights of a recipe's network."""
    return weights_of(run, dataset, method)


def synthetic_code(run: Run, method: str) -> str:
    """Fingerprint of the measurement on synthetic pairs with the recipe's network."""
    return run.code("evaluate_synthetic.py", *network_definitions(run.catalog.method(method)))


def segmentation_code(run: Run, method: str) -> str:
    """Fingerprint of the measurement of a segmenter with its network."""
    return run.code("evaluate_segmentation.py", *network_definitions(run.catalog.method(method)))


# A paper's records ----------------------------------------------------------------------------


def records_of(run: Run, paper: str) -> list[str]:
    """The records of everything that is measured for a paper."""
    return [records_of_experiment(run, e) for e in measured(run.catalog, paper)]


def records_of_experiment(run: Run, experiment: Experiment) -> str:
    """The records of one experiment, whichever job measures it."""
    place = (experiment.dataset, experiment.method, experiment.split)
    registered = not split_and_suffix(experiment.split)[1]
    if registered and is_whole(run.catalog, experiment):
        return run.layout.whole_records(*place)
    return run.layout.records(*place)


def names_of_records(run: Run, paper: str) -> list[Any]:
    """Of each file of records, in their order: its seed, and the (method, split) of its rows.

    Seeds are counted from 0; None if the paper has one.
    """
    names = rows_served(run.catalog, paper)
    several = run.catalog.paper(paper)["seeds"] > 1
    return [
        [unmarked(experiment.method)[2] if several else None, names[experiment]]
        for experiment in measured(run.catalog, paper)
    ]
