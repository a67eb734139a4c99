"""Trainings: what a recipe learns from on a dataset, and which weights a method runs with."""

from __future__ import annotations

from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog
from warpline.plan.folds import without_fold
from warpline.plan.marks import marked, unmarked
from warpline.plan.methods import search_settings
from warpline.plan.pairs import ATLAS, Pair
from warpline.registry import suggestion

USUAL = "val"  # the default of validation.split, which not every dataset has


def recipe(catalog: Catalog, dataset: str, method: str) -> dict[str, Any]:
    """A method as it is trained on a dataset.

    ``<recipe>@<fold>`` trains on the dataset's other folds. If the recipe has a validation
    split, the fold after the one held out, in a circle, takes its place and trains nothing.
    ``<recipe>~<seed>`` has so much more as its seed. A dataset that is not made of others is one
    member: ``training.within`` is then null.
    """
    spec = catalog.method(method)
    held_out = unmarked(method)[1]
    if held_out:
        spec = without_fold(catalog, dataset, method, held_out)
    if spec.get("training", {}).get("within") and "members" not in catalog.dataset(dataset).spec:
        spec = {**spec, "training": {**spec["training"], "within": None}}
    return spec


def training_pairs(catalog: Catalog, dataset: str, method: str) -> list[Pair] | None:
    """The pairs that a recipe learns from, if it is given them: those of its training splits."""
    training = recipe(catalog, dataset, method)["training"]
    if training["pairing"] != "split":
        return None
    data = catalog.dataset(dataset)
    return [pair for split in training["splits"] for pair in data.pairs(split)]


def training_cases(catalog: Catalog, dataset: str, method: str) -> tuple[list[str], list[Pair]]:
    """Training case ids and validation (fixed, moving) pairs of a recipe on a dataset.

    What learns from single cases validates on pairs of a case and itself. A dataset without the
    split `USUAL` is trained on without validation.

    Raises
    ------
    WarplineError
        If the recipe validates on another split that the dataset does not have, selects weights by
        a validation that there is none of, or shares a batch among devices that do not divide it.
    """
    data, training = catalog.dataset(dataset), recipe(catalog, dataset, method)["training"]
    validation = training["validation"]
    split, pairs = validation["split"], []
    in_pairs = training["objective"] == "registration"
    known = list(data.spec["pairs"]) if in_pairs else data.splits
    if split in known and in_pairs:
        pairs = data.pairs(split)[: validation["pairs"]]
    elif split in known:
        pairs = [(case, case) for case in data.split(split)]
    elif split not in (None, USUAL):
        raise WarplineError(
            f"The dataset '{dataset}' has no {'pairs' if in_pairs else 'cases'} of the split "
            f"'{split}' to validate on.",
            where=f"method '{method}', key 'training.validation.split'",
            do=suggestion(split, known) + " null trains without validation.",
        )
    if training["selection"] == "best" and not pairs:
        raise WarplineError(
            f"The weights with the best validation are to be used, and the dataset '{dataset}' has "
            f"no {'pairs' if in_pairs else 'cases'} of the split '{split}' to validate on.",
            where=f"method '{method}', key 'training.selection'",
            do="Set 'training.selection' to last, or 'training.validation.split' to a split.",
        )
    batch, devices = training["batch_size"], training.get("devices", 1)
    if batch % devices:
        raise WarplineError(
            f"A batch of {batch} cannot be shared by {devices} devices in equal parts.",
            where=f"method '{method}', keys 'training.batch_size' and 'training.devices'",
            do=f"Make 'batch_size' a multiple of {devices}, or 'devices' a divisor of {batch}.",
        )
    cases = data.split(*training["splits"])
    if training["pairing"] == "atlas":
        data.atlas_candidates()
        cases.append(ATLAS)
    return cases, pairs


def labelled_by(catalog: Catalog, dataset: str) -> tuple[str, str] | None:
    """(dataset, method) of the segmenter that gives a dataset its noisy labels, if any."""
    noisy = catalog.dataset(dataset).spec["noisy_labels"]
    return (noisy["dataset"], noisy["method"]) if noisy else None


def network_method(catalog: Catalog, method: str) -> str | None:
    """The method whose trained weights a method uses: itself, another or none.

    What leaves out a fold uses weights that left it out too, and of its own seed.
    """
    spec = catalog.method(method)
    if spec["kind"] == "network" or "method" not in spec:
        return method if spec["kind"] == "network" else None
    return marked(spec["method"], *unmarked(method)[1:])


def given(catalog: Catalog, method: str) -> bool:
    """Whether a network's weights come from elsewhere: it is trained on no dataset of the run."""
    return catalog.method(method).get("weights") is not None


def model_of(catalog: Catalog, method: str) -> str | None:
    """The model of the house whose weights a network has, if any."""
    return (catalog.method(method).get("weights") or {}).get("model")


def embedding_method(catalog: Catalog, method: str) -> str:
    """The method whose embedding a method of kind embedding uses: its own or another's."""
    name, *marks = unmarked(method)
    return marked(catalog.method(method).get("learned_by", name), *marks)


def embedding_settings(catalog: Catalog, method: str) -> dict[str, Any]:
    """What an embedding is learned with: its search and its number of components."""
    settings = catalog.method(method)["embedding"]
    return {**search_settings(settings), "components": settings["components"]}


def embedding_pairs(catalog: Catalog, dataset: str, method: str) -> list[Pair]:
    """The pairs that an embedding is learned on: those of the splits its network trains on.

    Raises
    ------
    WarplineError
        If the dataset pairs none of these splits.
    """
    data = catalog.dataset(dataset)
    splits = recipe(catalog, dataset, network_method(catalog, method))["training"]["splits"]
    paired = [split for split in splits if split in data.spec["pairs"]]
    if not paired:
        raise WarplineError(
            f"The dataset '{dataset}' has no pairs to learn the embedding '{method}' on.",
            where=f"{data.file}, key 'pairs'",
            do=f"Add pairs for: {', '.join(splits)}.",
        )
    return [pair for split in paired for pair in data.pairs(split)]


def pretraining(catalog: Catalog, dataset: str, method: str) -> tuple[str, str] | None:
    """(dataset, method) whose weights a recipe starts from, if any.

    What leaves out a fold starts from weights that left it out too; each seed from weights of its
    own. Weights from elsewhere are the same for all.
    """
    pretrain = catalog.method(method)["pretrain"]
    if pretrain is None:
        return None
    before = pretrain.get("dataset", dataset)
    if given(catalog, pretrain["method"]):
        return before, pretrain["method"]
    _, fold, seed = unmarked(method)
    return before, marked(pretrain["method"], fold if before == dataset else "", seed)
