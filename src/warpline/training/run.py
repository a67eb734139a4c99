"""A recipe's training, from prepared cases to weights, learning curves and their record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from warpline import networks
from warpline.devices.claim import claim
from warpline.files import checksum, write_json
from warpline.networks.weights import load_weights, save_weights
from warpline.plan.recipe import Recipe
from warpline.provenance import record as provenance
from warpline.training import objectives
from warpline.training.loop import train, use_best, write_history
from warpline.training.material import Material
from warpline.training.room import Room
from warpline.training.settings import Settings
from warpline.training.source import source_of


def train_recipe(
    recipe: Recipe,
    material: Material,
    outputs: Mapping[str, str],
    *,
    state: str | os.PathLike,
    device: str,
    threads: int,
    memory_mb: float | None = None,
    cache: Mapping[str, str] | None = None,
    pretrained: str | None = None,
    verdicts: str | None = None,
    label: str = "training",
) -> None:
    """Train a recipe's network; write its ``weights``, ``history`` and ``sidecar``.

    The state stays: who has kept all that is to be kept of the training removes it.

    Parameters
    ----------
    recipe, material
        See `warpline.training.objectives.build`.
    state
        Folder of the training's state, which is taken up if there is one.
    device
        ``cpu`` or ``cuda``, see `warpline.devices.claim.claim`.
    memory_mb
        Memory of the job; data that would take too much of it are mapped from files. None: all of
        them are in memory.
    cache
        ``folder`` of these files, common to all trainings, and the fingerprint of the ``code`` that
        reads and prepares cases.
    pretrained
        Weights to begin with, as far as they fit.
    verdicts
        Table of the training cases whose noisy labels are fit.
    label
        What progress and locks call the training.

    Raises
    ------
    WarplineError
        If recipe, network and cases do not suit each other, or as `warpline.training.loop.train`.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe["seed"])
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    if pretrained:
        left = load_weights(pretrained, network, strict=False)
        print(f"weights of {pretrained}; {len(left)} tensors not taken over", flush=True)
    training = recipe["training"]
    material = material.fit(verdicts)
    if not material.validation:
        print("no validation: the dataset has no pairs for training.validation.split", flush=True)
    started = time.monotonic()
    source = source_of(material, pretrained)
    if memory_mb is not None and cache is not None:
        material = replace(material, room=Room.of(memory_mb, cache, source["files"]))
    with claim(device, job=label) as chosen:
        objective = objectives.build(recipe, network, material, chosen)
        settings = Settings.of(training, recipe["seed"], validated=bool(material.validation))
        result = train(
            network, objective, settings, state, device=chosen, label=label, source=source
        )
    if training["selection"] == "best":
        use_best(network, state)
    save_weights(outputs["weights"], network)
    write_history(outputs["history"], result.history)
    write_json(
        outputs["sidecar"],
        provenance.record(
            device=provenance.device(),
            seconds=time.monotonic() - started,
            training_seconds=round(result.seconds, 1),
            steps=result.steps,
            epochs=result.steps // settings.epoch(objective.steps_per_epoch),
            best_epoch=result.best_epoch,
            parameters=networks.parameter_count(network),
            threads=threads,
            recipe=recipe,
            seed=recipe["seed"],
            pretrained=pretrained,
            cases=len(material.cases),
            weights_sha256=checksum(outputs["weights"]),
        ),
    )
