"""Experiments: the rows of a paper's tables and figures as measurements to be made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.folds import folds
from warpline.plan.marks import marked, unmarked
from warpline.plan.pairs import Pair, pair_batches
from warpline.plan.rows import rows_shown
from warpline.plan.splits import SEGMENTED, SYNTHETIC, split_and_suffix
from warpline.plan.trainings import (
    given,
    labelled_by,
    model_of,
    network_method,
    pretraining,
    recipe,
)

# A batch of all of an experiment's pairs that is measured by the job that registers it, and how
# many pairs it has at the most: with more, what a job costs beside its work no longer matters.
WHOLE, MOST_IN_WHOLE = "whole", 64


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
    found: dict[Experiment, dict[tuple[str, str], None]] = {}
    for row in rows_shown(spec):
        for experiment in experiments_of(catalog, row, spec["seeds"]):
            found.setdefault(experiment, {})[row["method"], row["split"]] = None
    return {experiment: list(names) for experiment, names in found.items()}


def experiments_of(catalog: Catalog, row: Mapping[str, Any], seeds: int = 1) -> list[Experiment]:
    """The experiments behind a row: of a trained method one a seed, and a fold if cross-validated.

    A method that learns nothing here registers all the folds in one, once.
    """
    dataset, method, split = row["dataset"], row["method"], row["split"]
    name, fold, seed = unmarked(method)
    if fold or seed:
        raise WarplineError(
            f"A row names a recipe, without the mark of a fold or of a seed ('{method}').",
            do=f"Write '{name}', and the split of all folds, or 'seeds' of the paper or study.",
        )
    rule = catalog.dataset(dataset).spec["pairs"].get(split, {})
    network = network_method(catalog, method)
    learns = catalog.method(method)["kind"] == "embedding"
    if network is None or (given(catalog, network) and not learns):
        return [Experiment(dataset, method, split)]
    if not rule.get("cross_validation"):
        return [Experiment(dataset, marked(method, "", seed), split) for seed in range(seeds)]
    if catalog.method(network)["training"]["pairing"] == "atlas":
        raise WarplineError(
            f"The method '{method}' learns with an atlas and cannot be cross-validated.",
            where=f"split '{split}' of the dataset '{dataset}'",
            do="The atlas would be of a patient held out: choose a split of its own.",
        )
    return [
        Experiment(dataset, marked(method, fold, seed), fold)
        for seed in range(seeds)
        for fold in folds(catalog, dataset)
    ]


@remembered
def registration_batches(catalog: Catalog, experiment: Experiment) -> dict[str, list[Pair]]:
    """The jobs of an experiment: batch name to its (fixed, moving) pairs.

    A single batch of few pairs, of which no other registration or training needs the fields, is
    called `WHOLE`: the job that registers it measures it too.
    """
    pairs = catalog.dataset(experiment.dataset).pairs(experiment.split)
    batches = pair_batches(pairs, catalog.method(experiment.method)["pairs_per_job"])
    whole = len(batches) == 1 and len(pairs) <= MOST_IN_WHOLE
    if whole and experiment not in continued_experiments(catalog):
        return {WHOLE: pairs}
    return batches


def is_whole(catalog: Catalog, experiment: Experiment) -> bool:
    """Whether one job registers and measures all of an experiment."""
    return WHOLE in registration_batches(catalog, experiment)


@remembered
def continued_experiments(catalog: Catalog) -> set[Experiment]:
    """The registrations that other registrations or trainings of the run start from."""
    found: set[Experiment] = set()
    for paper in catalog.papers:
        for experiment in registrations(catalog, paper):
            initial = initial_experiment(catalog, experiment)
            found |= {initial} if initial else set()
        for training in trainings_of(catalog, paper):
            found |= set(initial_experiments(catalog, *training))
    return found


def initial_experiment(catalog: Catalog, experiment: Experiment) -> Experiment | None:
    """The registration before a method's own, if any.

    Of a cross-validation, that of all folds together, which serves each.
    """
    initial = catalog.method(experiment.method)["initial"]
    if initial is None:
        return None
    split = experiment.split
    if unmarked(experiment.method)[1]:
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


def trainings_of(catalog: Catalog, paper: str) -> list[tuple[str, str]]:
    """(dataset, method) of every network that is trained for a paper's experiments.

    What it is pretrained with, and the segmenters of labels that it is trained on, included; not
    those whose weights come from elsewhere.
    """
    return [place for place in networks_of(catalog, paper) if not given(catalog, place[1])]


@remembered
def networks_of(catalog: Catalog, paper: str) -> list[tuple[str, str]]:
    """(dataset, method) of every network behind a paper's experiments whose training is known.

    It is trained in this run, or a model of the house.
    """
    return networks_behind(catalog, [(e.dataset, e.method) for e in measured(catalog, paper)])


def networks_behind(catalog: Catalog, places: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same of methods, each on the dataset that its network is trained on."""
    found: list[tuple[str, str]] = []
    waiting = list(places)
    while waiting:
        dataset, method = waiting.pop(0)
        network = network_method(catalog, method)
        if network is None or (given(catalog, network) and not model_of(catalog, network)):
            continue
        if (dataset, network) not in found:
            found.append((dataset, network))
            if not given(catalog, network):
                before = [pretraining(catalog, dataset, network), labelled_by(catalog, dataset)]
                waiting += [other for other in before if other]
    return found
