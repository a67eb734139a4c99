"""Measure a segmenter on a split's cases; one tidy record file."""

import torch

from warpline.cases.folders import CaseFolders
from warpline.devices.claim import claim
from warpline.evaluation.records import write_records
from warpline.evaluation.segmentation import segmentation_records
from warpline.networks.weights import trained
from warpline.plan.recipe import NetworkEntry
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "experiment"):
        torch.set_num_threads(snakemake.threads)
        params, recipe = snakemake.params, snakemake.params.recipe
        network = NetworkEntry.of(recipe)
        with claim(params.device, job=snakemake.output[0]) as device:
            frame = segmentation_records(
                trained(network, snakemake.input.weights, device),
                CaseFolders(params.folders, params.cases, network.steps),
                window=recipe["training"]["sampling"]["crop"],
                **params.experiment,
                device=device,
            )
        write_records(frame, snakemake.output[0])
