"""Learn the embedding of displacement maps on a dataset's training pairs."""

import time

import torch

from warpline.devices.claim import claim
from warpline.files import write_json
from warpline.networks.weights import trained
from warpline.plan.recipe import NetworkEntry
from warpline.provenance import record as provenance
from warpline.provenance.record import recorded_job
from warpline.registration.embedding import pca
from warpline.registration.embedding.learn import learn_embedding
from warpline.registration.embedding.settings import SearchSettings

if "snakemake" in globals():
    with recorded_job(snakemake, "settings", "seed"):
        torch.set_num_threads(snakemake.threads)
        settings, seed = snakemake.params.settings, snakemake.params.seed
        pairs = [tuple(pair) for pair in snakemake.params.pairs]
        weights = snakemake.input.weights
        started = time.monotonic()
        with claim(snakemake.params.device, job=snakemake.output.embedding) as device:
            learned, maps = learn_embedding(
                trained(NetworkEntry.of(snakemake.params.network), weights, device),
                snakemake.params.folders,
                pairs,
                SearchSettings(**settings),
                seed=seed,
                device=device,
            )
        pca.save(snakemake.output.embedding, learned)
        write_json(
            snakemake.output.sidecar,
            provenance.record(
                device=provenance.device(),
                seconds=time.monotonic() - started,
                threads=snakemake.threads,
                settings=dict(settings),
                seed=seed,
                weights=weights,
                pairs=[list(pair) for pair in pairs],
                maps=maps,
            ),
        )
