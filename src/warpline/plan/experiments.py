"""Experiments: the rows of a paper's tables and figures as measurements to be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.folds import folds
from warpline.plan.methods import HELD_OUT
from warpline.plan.pairs import Pair, pair_batches
from warpline.plan.splits import SEGMENTED, SYNTHETIC, split_and_suffix
from warpline.plan.trainings import given, network_method, recipe


@dataclass(frozen=True, order=True)
class Experiment:
    """One method on one split of one dataset."""

    dataset: str
    method: str
    split: str


def registrations(catalog: Catalog, paper: str) -> list[Experiment]:
    """The registrations that a paper's tables and figures need, each once."""
    return [e for e in rows_served(catalog, paper) if not split_and_suffix(e.split)[1]]


def synthetic_experiments(catalog: Catalog, paper: str) -> list[Experiment]:
    """The measurements on synthetic pairs that a paper's tables need, each once."""
    return [e for e in rows_served(catalog, paper) if e.split.endswith(SYNTHETIC)]


def segmentation_experiments(catalog: Catalog, paper: str) -> list[Experiment]:
    """The measurements of segmenters on single cases that a paper's tables need, each once."""
    return [e for e in rows_served(catalog, paper) if e.split.endswith(SEGMENTED)]


def measured(catalog: Catalog, paper: str) -> list[Experiment]:
    """All that is measured for a paper: registrations, synthetic pairs, segmentations."""
    kinds = (registrations, synthetic_experiments, segmentation_experiments)
    return [experiment for kind in kinds for experiment in kind(catalog, paper)]


@remembered
def rows_served(catalog: Catalog, paper: str) -> dict[Experiment, list[tuple[str, str]]]:
    """Each experiment with the (method, split) of the rows, of tables or figures, it serves."""
    spec = catalog.paper(paper)
    rows = [row for table in spec["tables"].values() for row in table["rows"]]
    rows += [row for figure in spec["figures"].values() for row in figure["experiments"]]
    found: dict[Experiment, dict[tuple[str, str], None]] = {}
    for row in rows:
        if "method" in row:
            for experiment in experiments_of(catalog, row):
                found.setdefault(experiment, {})[row["method"], row["split"]] = None
    return {experiment: list(names) for experiment, names in found.items()}


def experiments_of(catalog: Catalog, row: Mapping[str, Any]) -> list[Experiment]:
    """The experiments behind a row: one, or one a fold if a trained method is cross-validated.

    A method that learns nothing here registers all the folds in one.
    """
    dataset, method, split = row["dataset"], row["method"], row["split"]
    if HELD_OUT in method:
        raise WarplineError(
            f"A row names a recipe, not what it is without a fold ('{method}').",
            do=f"Write '{method.partition(HELD_OUT)[0]}', and the split of all folds.",
        )
    rule = catalog.dataset(dataset).spec["pairs"].get(split, {})
    network = network_method(catalog, method)
    if not rule.get("cross_validation") or network is None or given(catalog, network):
        return [Experiment(dataset, method, split)]
    if catalog.method(network)["training"]["pairing"] == "atlas":
        raise WarplineError(
            f"The method '{method}' learns with an atlas and cannot be cross-validated.",
            where=f"split '{split}' of the dataset '{dataset}'",
            do="The atlas would be of a patient held out: choose a split of its own.",
        )
    return [
        Experiment(dataset, f"{method}{HELD_OUT}{fold}", fold) for fold in folds(catalog, dataset)
    ]


@remembered
def registration_batches(catalog: Catalog, experiment: Experiment) -> dict[str, list[Pair]]:
    """The jobs of an experiment: batch name to its (fixed, moving) pairs."""
    pairs = catalog.dataset(experiment.dataset).pairs(experiment.split)
    return pair_batches(pairs, catalog.method(experiment.method)["pairs_per_job"])


def initial_experiment(catalog: Catalog, experiment: Experiment) -> Experiment | None:
    """The registration before a method's own, if any.

    Of a cross-validation, that of all folds together, which serves each.
    """
    initial = catalog.method(experiment.method)["initial"]
    if initial is None:
        return None
    split = experiment.split
    if HELD_OUT in experiment.method:
        rules = catalog.dataset(experiment.dataset).spec["pairs"]
        (split, *_) = (name for name, rule in rules.items() if rule.get("cross_validation"))
    return Experiment(experiment.dataset, initial, split)


def initial_experiments(catalog: Catalog, dataset: str, method: str) -> list[Experiment]:
    """The initial registrations of the pairs that a recipe is given to learn from, if any."""
    spec = recipe(catalog, dataset, method)
    if spec["initial"] is None or spec["training"]["pairing"] != "split":
        return []
    splits = spec["training"]["splits"]
    found = (initial_experiment(catalog, Experiment(dataset, method, split)) for split in splits)
    return list(dict.fromkeys(found))
