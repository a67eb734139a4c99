"""Train a recipe's network on a dataset."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from warpline import networks
from warpline.cases.atlas import atlas_source, without_self
from warpline.devices.claim import claim
from warpline.files import checksum, write_json
from warpline.networks.weights import load_weights, save_weights
from warpline.plan.pairs import ATLAS, Pair
from warpline.provenance import record as provenance
from warpline.provenance.record import recorded_job
from warpline.training import objectives
from warpline.training.data import fit_for_training
from warpline.training.loop import settings_of, train, use_best, write_history


def main(
    recipe: Mapping[str, Any],
    folders: Mapping[str, str],
    cases: Sequence[str],
    pairs: Sequence[Pair],
    labels: Mapping[int, str],
    outputs: Mapping[str, str],
    *,
    state: str,
    device: str,
    threads: int,
    pretrained: str | None = None,
    verdicts: str | None = None,
    label: str = "training",
) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(recipe["seed"])
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    if pretrained:
        left = load_weights(pretrained, network, strict=False)
        print(f"weights of {pretrained}; {len(left)} tensors not taken over", flush=True)
    training = recipe["training"]
    pairs = without_self(pairs, folders)
    if verdicts:
        cases = fit_for_training(cases, pd.read_csv(verdicts))
    if ATLAS in cases:
        cases = [case for case in cases if case != atlas_source(folders[ATLAS])]
    if not pairs:
        print("no validation: the dataset has no pairs for training.validation.split", flush=True)
    started = time.monotonic()
    with claim(device, job=label) as chosen:
        objective = objectives.build(recipe, network, folders, cases, pairs, labels, chosen)
        settings = settings_of(training, recipe["seed"], validated=bool(pairs))
        result = train(network, objective, settings, state, device=chosen, label=label)
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
            epochs=result.steps // objective.steps_per_epoch,
            best_epoch=result.best_epoch,
            parameters=networks.parameter_count(network),
            threads=threads,
            recipe=recipe,
            seed=recipe["seed"],
            pretrained=pretrained,
            cases=len(cases),
            weights_sha256=checksum(outputs["weights"]),
        ),
    )
    shutil.rmtree(state, ignore_errors=True)


if "snakemake" in globals():
    with recorded_job(snakemake, "recipe"):
        main(
            snakemake.params.recipe,
            snakemake.params.folders,
            snakemake.params.cases,
            [tuple(pair) for pair in snakemake.params.pairs],
            {int(value): name for value, name in snakemake.params.labels.items()},
            dict(snakemake.output.items()),
            state=snakemake.params.state,
            device=snakemake.params.device,
            threads=snakemake.threads,
            pretrained=snakemake.input.get("pretrained"),
            verdicts=snakemake.input.verdicts or None,
            label=Path(snakemake.output.weights).parent.as_posix(),
        )
