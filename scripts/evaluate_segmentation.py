"""Measure a segmenter on a split's cases; one tidy record file."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from warpline.cases.folders import CaseFolders
from warpline.devices.claim import claim
from warpline.evaluation.records import write_records
from warpline.evaluation.segmentation import segmentation_records
from warpline.networks.weights import trained
from warpline.provenance.record import recorded_job


def main(
    experiment: Mapping[str, str],
    recipe: Mapping[str, Any],
    folders: Mapping[str, str],
    cases: Sequence[str],
    weights: str,
    target: str,
    *,
    device: str,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    with claim(device, job=target) as chosen:
        network = trained(recipe, weights, chosen)
        frame = segmentation_records(
            network,
            CaseFolders(folders, cases, recipe.get("prepare", [])),
            window=recipe["training"]["sampling"]["crop"],
            **experiment,
            device=chosen,
        )
    write_records(frame, target)


if "snakemake" in globals():
    with recorded_job(snakemake, "experiment"):
        main(
            snakemake.params.experiment,
            snakemake.params.recipe,
            snakemake.params.folders,
            snakemake.params.cases,
            snakemake.input.weights,
            snakemake.output[0],
            device=snakemake.params.device,
            threads=snakemake.threads,
        )
