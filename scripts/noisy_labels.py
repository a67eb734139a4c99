"""Label the organs that a batch of cases does not have annotated, by a trained segmenter."""

import torch

from warpline.cases.tables import read_table
from warpline.devices.claim import claim
from warpline.networks.weights import trained
from warpline.plan.recipe import NetworkEntry
from warpline.provenance.record import recorded_job
from warpline.segmentation.label import label_batch
from warpline.segmentation.noisy_labels import Distribution, Limits

if "snakemake" in globals():
    with recorded_job(snakemake, "setting"):
        torch.set_num_threads(snakemake.threads)
        recipe, setting = snakemake.params.recipe, snakemake.params.setting
        network, target = NetworkEntry.of(recipe), snakemake.output[0]
        with claim(snakemake.params.device, job=target) as device:
            label_batch(
                trained(network, snakemake.input.weights, device),
                snakemake.params.folders,
                network.steps,
                Distribution(read_table(snakemake.input.organs, "case")),
                Limits(**setting["limits"]),
                target,
                window=recipe["training"]["sampling"]["crop"],
                overlap=setting["overlap"],
                device=device,
            )
