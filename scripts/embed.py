"""Learn the embedding of displacement maps on a dataset's training pairs."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from warpline.cases.case import read_case
from warpline.devices.claim import claim
from warpline.files import write_json
from warpline.networks.weights import trained
from warpline.plan.pairs import Pair
from warpline.provenance import record as provenance
from warpline.provenance.record import recorded_job
from warpline.registration.embedding import pca
from warpline.registration.embedding.registration import Settings, search_pair


def main(
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    weights: str,
    folders: Mapping[str, str],
    pairs: Sequence[Pair],
    outputs: Mapping[str, str],
    *,
    seed: int,
    device: str,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    chosen = Settings(**settings)
    generator = torch.Generator().manual_seed(seed)
    started = time.monotonic()
    maps = []
    with claim(device, job=outputs["embedding"]) as place:
        features = trained(recipe, weights, place)
        for fixed_id, moving_id in pairs:
            fixed, moving = read_case(folders[fixed_id]), read_case(folders[moving_id])
            maps.append(search_pair(fixed, moving, features, chosen, place, generator).maps)
            print(f"{fixed_id} <- {moving_id}: {len(maps[-1])} keypoints", flush=True)
        learned = pca.fit(maps, chosen.components)
    pca.save(outputs["embedding"], learned)
    write_json(
        outputs["sidecar"],
        provenance.record(
            device=provenance.device(),
            seconds=time.monotonic() - started,
            threads=threads,
            settings=dict(settings),
            seed=seed,
            weights=weights,
            pairs=[list(pair) for pair in pairs],
            maps=sum(map(len, maps)),
        ),
    )


if "snakemake" in globals():
    with recorded_job(snakemake, "settings", "seed"):
        main(
            snakemake.params.settings,
            snakemake.params.network,
            snakemake.input.weights,
            snakemake.params.folders,
            [tuple(pair) for pair in snakemake.params.pairs],
            dict(snakemake.output.items()),
            seed=snakemake.params.seed,
            device=snakemake.params.device,
            threads=snakemake.threads,
        )
