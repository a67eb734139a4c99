"""A method by its name, for a pair that belongs to no run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.config import read_yaml
from warpline.plan.loading import ConfigFiles
from warpline.plan.methods import Methods
from warpline.plan.models import Models
from warpline.plan.places import Places, project_folder
from warpline.plan.recipe import NetworkEntry, Step
from warpline.registration.method import Method
from warpline.registry import suggestion

OWN = "warpline"
# Kinds that need neither a training nor weights.
READY = ("identity", "affine", "elastix", "syn", OWN)
# Steps after which a voxel lies elsewhere in the scanner's frame, so that a field found there is
# not one of the images themselves.
MOVING = ("unit_frame", "centre_frame")
CHECKPOINT = ".safetensors"
CARDS = ("{stem}.json", "model.json")  # beside a checkpoint


@dataclass(frozen=True)
class Chosen:
    """A method that is ready for a pair.

    Attributes
    ----------
    steps
        Preparation of the cases that its network learned from, before the recipe's own.
    """

    name: str
    title: str
    method: Method
    steps: Sequence[Step] = ()


def config_files(places: Places) -> ConfigFiles:
    """The files of a configuration that no run has changed."""
    return ConfigFiles(read_yaml(places.config_file), places)


def all_methods(places: Places) -> dict[str, tuple[str, str]]:
    """Name to (kind, title) of every file of methods, and of every model."""
    files = config_files(places)
    specs = {name: files.raw("methods", name) for name in files.known("methods")}
    models = Models(places)
    cards = {name: models.card(name) for name in models.known()}
    return {
        **{name: ("model", card["about"]) for name, card in cards.items()},
        **{name: (spec.get("kind", ""), spec.get("title", "")) for name, spec in specs.items()},
    }


def known_methods(places: Places | None = None) -> dict[str, str]:
    """Name to title of all that `choose` takes, checkpoints apart."""
    places = places or Places.here(project_folder())
    files = config_files(places)
    found = {}
    for name in files.known("methods"):
        spec = files.raw("methods", name)
        weights = spec.get("weights") or {}
        alone = spec.get("kind") in READY and not (spec.get("initial") or spec.get("method"))
        if alone or (spec.get("kind") == "network" and weights.get("model")):
            found[name] = spec["title"]
    models = Models(places)
    for name in models.known():
        card = models.card(name)
        if _registers(card):
            found[name] = card["about"]
    return found


def choose(name: str, *, threads: int, seed: int | None = None) -> Chosen:
    """The method of a name: a file of methods, a model, or the path of a checkpoint.

    Raises
    ------
    WarplineError
        If there is none, it has to be trained first, or it sees scans in another frame.
    """
    places = Places.here(project_folder())
    if name.endswith(CHECKPOINT):
        chosen = _of_checkpoint(Path(name), places, threads)
    elif name in config_files(places).known("methods"):
        chosen = _of_file(name, places, threads)
    elif name in Models(places).known():
        models = Models(places)
        chosen = _of_card(name, models.card(name), models.file(name, "safetensors"), threads)
    else:
        raise WarplineError(
            f"There is no method or model '{name}'.",
            where="method",
            do=suggestion(name, known_methods(places)) + " Or the path of a .safetensors file.",
        )
    for step in chosen.steps:
        if set(step) & set(MOVING):
            raise WarplineError(
                f"The network of '{name}' sees scans that are moved first ({next(iter(step))}).",
                where="method",
                do="Use it in a study, whose datasets are prepared so (warpline run).",
            )
    if seed is None:
        return chosen
    return replace(chosen, method=replace(chosen.method, seed=seed))


def _of_file(name: str, places: Places, threads: int) -> Chosen:
    spec = Methods(config_files(places)).get(name)
    if spec["kind"] == "network" and (spec.get("weights") or {}).get("model"):
        model, models = spec["weights"]["model"], Models(places)
        weights = models.file(model, "safetensors")
        return _of_card(name, models.card(model), weights, threads, spec)
    if spec["kind"] not in READY or spec.get("initial") or spec.get("method"):
        what = "has an initial registration" if spec.get("initial") else "has to be trained first"
        raise WarplineError(
            f"The method '{name}' {what}.",
            where=f"config/methods/{name}.yaml",
            do="Use it in a study ('warpline run'), then name its weights' file, or take one of: "
            + ", ".join(known_methods(places))
            + ".",
        )
    files = [str(places.find(path, "methods")) for path in spec["parameter_files"]]
    return Chosen(name, spec["title"], Method.of(spec, parameter_files=files, threads=threads))


def _of_card(
    name: str,
    card: Mapping[str, Any],
    weights: Path,
    threads: int,
    spec: Mapping[str, Any] | None = None,
) -> Chosen:
    """A network as the card beside its weights tells it."""
    if not _registers(card):
        raise WarplineError(
            f"The model '{name}' registers no pairs: it was trained for "
            f"{card['recipe'].get('training', {}).get('objective', 'something else')}.",
            where=weights,
            do="Name another one; 'warpline methods' lists them.",
        )
    recipe = dict(spec or card["recipe"])
    method = Method.of(recipe, recipe=recipe, weights=str(weights), threads=threads)
    prepare = (card.get("dataset") or {}).get("prepare") or ()
    own = method.network.steps if method.network else ()
    # The recipe's own steps come after those of its dataset.
    method = replace(method, network=NetworkEntry(
        method.network.name, method.network.parameters, (*prepare, *own)
    ))  # fmt: skip
    return Chosen(name, recipe["title"], method, (*prepare, *own))


def _of_checkpoint(path: Path, places: Places, threads: int) -> Chosen:
    if not path.is_file():
        raise WarplineError("The checkpoint does not exist.", where=path, do="Check the path.")
    cards = [path.with_name(card.format(stem=path.stem)) for card in CARDS]
    card = next((card for card in cards if card.is_file()), None)
    content = {} if card is None else json.loads(card.read_text(encoding="utf-8"))
    if "recipe" not in content:
        raise WarplineError(
            "Nothing beside the checkpoint tells its network.",
            where=path,
            do=f"Keep it with its record: {' or '.join(c.name for c in cards)}, which the workflow "
            "writes.",
        )
    return _of_card(str(path), _with_dataset(content, path, places), path, threads)


def _with_dataset(record: dict[str, Any], path: Path, places: Places) -> dict[str, Any]:
    """A record of a training, with the preparation of its dataset, which names its folder."""
    if "dataset" in record:
        return record
    files = config_files(places)
    named = [part for part in path.absolute().parts[:-1] if part in files.known("datasets")]
    if not named:
        raise WarplineError(
            "How the scans were prepared from which the network learned is not known.",
            where=path,
            do="Leave the weights where the workflow put them, or run this in the folder that has "
            "the dataset's file.",
        )
    prepare = files.load("datasets", named[-1], "dataset").get("prepare") or []
    return {**record, "dataset": {"name": named[-1], "prepare": prepare}}


def _registers(card: Mapping[str, Any]) -> bool:
    training = card["recipe"].get("training") or {}
    return (
        card["recipe"].get("kind", "network") == "network"
        and training.get("objective", "registration") == "registration"
    )
