"""A method by its name, for a pair that belongs to no run."""

from __future__ import annotations

import json
import logging
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
from warpline.plan.rivals import INCLUDED, PROGRAMS, missing
from warpline.registration.in_frame import moves
from warpline.registration.method import Method
from warpline.registry import suggestion

log = logging.getLogger(__name__)

OWN = "warpline"
# Kinds that need neither a training nor weights; the last need a program that may not be there.
READY = ("identity", "affine", "elastix", "syn", OWN, *INCLUDED, *PROGRAMS)
CHECKPOINT = ".safetensors"
CARDS = ("{stem}.json", "model.json")  # beside a checkpoint
REGISTERING = ("registration", "synthetic")  # objectives of networks that register a pair


@dataclass(frozen=True)
class Chosen:
    """A method that is ready for a pair.

    Attributes
    ----------
    moved
        Preparation after which scans lie elsewhere in mm, which the method itself does not take
        (`warpline.registration.in_frame`); none of most methods.
    initial
        What registers the pair first.
    """

    name: str
    title: str
    method: Method
    moved: Sequence[Step] = ()
    initial: Chosen | None = None


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
        if _reason(files, spec) is None:
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
        weights = models.file(name, "safetensors")
        chosen = _of_card(name, models.card(name), weights, places, threads)
    else:
        raise WarplineError(
            f"There is no method or model '{name}'.",
            where="method",
            do=suggestion(name, known_methods(places)) + " Or the path of a .safetensors file.",
        )
    if seed is None:
        return chosen
    return replace(chosen, method=replace(chosen.method, seed=seed))


def _of_file(name: str, places: Places, threads: int) -> Chosen:
    spec = Methods(config_files(places)).get(name)
    if spec["kind"] == "network" and (spec.get("weights") or {}).get("model"):
        model, models = spec["weights"]["model"], Models(places)
        weights = models.file(model, "safetensors")
        return _of_card(name, models.card(model), weights, places, threads, spec)
    reason = _reason(config_files(places), spec)
    if reason:
        raise WarplineError(
            f"The method '{name}' is not ready for a pair: {reason}",
            where=f"config/methods/{name}.yaml",
            do="Use it in a study ('warpline run'), then name its weights' file, or take one of: "
            + ", ".join(known_methods(places))
            + ".",
        )
    files = [str(places.find(path, "methods")) for path in spec["parameter_files"]]
    method = Method.of(spec, parameter_files=files, aligned=bool(spec["initial"]), threads=threads)
    initial = _of_file(spec["initial"], places, threads) if spec["initial"] else None
    return Chosen(name, spec["title"], method, initial=initial)


def _reason(files: ConfigFiles, spec: Mapping[str, Any]) -> str | None:
    """Why a file of methods cannot register a pair as it is; None if it can."""
    first = spec.get("initial")
    if first and (reason := _reason(files, files.raw("methods", first))):
        return f"its initial registration '{first}' is not: {reason}"
    kind = spec.get("kind")
    if kind == "network" and (spec.get("weights") or {}).get("model"):
        return None
    if kind not in READY or spec.get("method"):
        return "it has to be trained first."
    return missing({"parameters": {}, **spec})


def _of_card(
    name: str,
    card: Mapping[str, Any],
    weights: Path,
    places: Places,
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
    first = recipe.get("initial")
    initial = _of_file(first, places, threads) if first else None
    method = Method.of(
        recipe, recipe=recipe, weights=str(weights), aligned=bool(first), threads=threads
    )
    prepare = tuple((card.get("dataset") or {}).get("prepare") or ())
    if moves(prepare):
        return Chosen(name, recipe["title"], method, prepare, initial)
    own = method.network.steps if method.network else ()
    # The recipe's own steps come after those of its dataset.
    network = NetworkEntry(method.network.name, method.network.parameters, (*prepare, *own))
    return Chosen(name, recipe["title"], replace(method, network=network), initial=initial)


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
    return _of_card(str(path), _with_dataset(content, path, places), path, places, threads)


def _with_dataset(record: dict[str, Any], path: Path, places: Places) -> dict[str, Any]:
    """A record of a training, with the preparation of its dataset, which names its folder.

    That is what the run itself noted of it; else what the dataset's file says now, and that is
    told.
    """
    if "dataset" in record:
        return record
    folders = path.absolute().parents
    dataset = folders[1].name
    noted = folders[3] / "provenance" / "data" / dataset if len(folders) > 3 else Path()
    if (noted / "aligned").is_dir():
        raise WarplineError(
            f"The network learned from scans that were first aligned to a reference ({dataset}).",
            where=path,
            do="Use it in a study of a dataset that is prepared so (warpline run).",
        )
    for kept in sorted((noted / "prepared").glob("*.json")):
        settings = json.loads(kept.read_text(encoding="utf-8")).get("settings") or {}
        if "steps" in settings:
            return {**record, "dataset": {"name": dataset, "prepare": settings["steps"]}}
    files = config_files(places)
    if dataset not in files.known("datasets"):
        raise WarplineError(
            "How the scans were prepared from which the network learned is not known.",
            where=path,
            do="Leave the weights where the workflow put them, or run this in the folder that has "
            "the dataset's file.",
        )
    told = files.told("datasets", dataset)
    log.warning("%s: scans are prepared as %s says at scale '%s'", path, told, files.scale)
    prepare = files.load("datasets", dataset, "dataset").get("prepare") or []
    return {**record, "dataset": {"name": dataset, "prepare": prepare}}


def _registers(card: Mapping[str, Any]) -> bool:
    training = card["recipe"].get("training") or {}
    return (
        card["recipe"].get("kind", "network") == "network"
        and training.get("objective", "registration") in REGISTERING
    )
