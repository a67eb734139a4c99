"""A recipe's training, from prepared cases to weights, learning curves and their record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from warpline import networks
from warpline.devices.claim import claim_several
from warpline.files import checksum, write_json
from warpline.networks.weights import save_weights
from warpline.plan.recipe import Recipe
from warpline.provenance import record as provenance
from warpline.training.lesson import Lesson
from warpline.training.loop import finished, use_best, write_history
from warpline.training.material import Material
from warpline.training.room import Room
from warpline.training.source import source_of
from warpline.training.together import learn_together


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
    workers: int = 0,
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
    workers
        Processes that make synthetic pairs ahead, on a CPU; they change no weight.
    label
        What progress and locks call the training.

    Raises
    ------
    WarplineError
        If recipe, network and cases do not suit each other, or as `warpline.training.loop.train`.
    """
    training = recipe["training"]
    material = material.fit(verdicts)
    if not material.validation:
        print("no validation: the dataset has no pairs for training.validation.split", flush=True)
    started = time.monotonic()
    source = source_of(material, pretrained)
    count = training.get("devices", 1)
    if memory_mb is not None and cache is not None:
        material = replace(material, room=Room.of(memory_mb / count, cache, source["files"]))
    if count == 1:
        material = replace(material, workers=workers)
    lesson = Lesson(recipe, material, os.fspath(state), source, pretrained, label)
    with claim_several(device, count, job=label) as chosen:
        if count == 1:
            torch.set_num_threads(threads)
            network = lesson.network()
            result = lesson.learn(network, chosen[0])
        else:
            learn_together(lesson, chosen, threads)
            network = lesson.network()
            result = finished(network, state)
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
            epochs=result.epochs,
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
