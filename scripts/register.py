"""Register a batch of pairs by one method; keep the fields and what each cost."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from warpline.cases.atlas import without_self
from warpline.cases.case import Case, read_case
from warpline.cases.steps import prepare
from warpline.devices.claim import claim
from warpline.fields.consistency import inverse_consistency
from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_folder
from warpline.images.files import write_image
from warpline.images.resample import resample_to
from warpline.networks import RegistrationNetwork
from warpline.networks.weights import trained
from warpline.plan.pairs import ATLAS, Pair, pair_name
from warpline.provenance import record as provenance
from warpline.provenance.record import recorded_job
from warpline.registration import baselines
from warpline.registration.embedding import pca
from warpline.registration.embedding.registration import Settings
from warpline.registration.embedding.registration import register as search_and_regularise
from warpline.registration.initial import resample_moving
from warpline.registration.network import predict, predict_both, predict_through_atlas, spread
from warpline.registration.own_grid import Register, on_own_grid, prepare_pair


def main(
    method: Mapping[str, Any],
    folders: Mapping[str, str],
    pairs: Sequence[Pair],
    target: str,
    *,
    device: str,
    threads: int,
    network: Mapping[str, Any] | None = None,
    weights: str | None = None,
    embedding: str | None = None,
    parameter_files: Sequence[str] = (),
    initial: Mapping[str, str] | None = None,
) -> None:
    torch.set_num_threads(threads)
    pairs = without_self(pairs, folders, some=False)
    with claim(device, job=target) as chosen, atomic_folder(target) as folder:
        model = None
        if embedding:
            register = EmbeddingRegistration(method, network, weights, embedding, chosen)
        elif network:
            atlas = read_case(folders[ATLAS]) if method["kind"] == "through_atlas" else None
            model = trained(network, weights, chosen)
            steps = network.get("prepare", [])
            register = network_function(model, steps, chosen, atlas, aligned=bool(initial))
        else:
            register = baseline_function(method, parameter_files, threads)
        rows = []
        for fixed_id, moving_id in pairs:
            name = pair_name((fixed_id, moving_id))
            fixed, moving, first = read_pair((fixed_id, moving_id), folders, initial)
            if not rows and weights:
                register(fixed, moving)  # the first call of a network pays for its set-up
            # Without the initial registration, as published.
            started = time.perf_counter()
            field = register(fixed, moving)
            seconds = time.perf_counter() - started
            if first is not None:
                field = first.compose(field)
            write_field(folder / f"{name}.nii.gz", field)
            if embedding:
                np.savez_compressed(folder / f"{name}.npz", **register.diagnostics.arrays())
            rows.append(
                {
                    "fixed": fixed_id,
                    "moving": moving_id,
                    "seconds": seconds,
                    "device": chosen.type if weights else "cpu",
                    "peak_memory": provenance.peak_memory(),
                    **({"clipped": register.diagnostics.clipped} if embedding else {}),
                }
            )
            done = f"{len(rows)}/{len(pairs)}"
            print(f"{fixed_id} <- {moving_id}: {seconds:.2f} s ({done})", flush=True)
        if model is not None and model.invertible and atlas is None:
            # Afterwards: the memory of the above is that of the registrations alone.
            for pair, row in zip(pairs, rows, strict=True):
                fixed, moving, _ = read_pair(pair, folders, initial)
                own = prepare_pair(fixed, moving, steps, aligned=bool(initial))
                both = predict_both(model, *own, chosen)
                row["inverse_consistency"] = inverse_consistency(*both)
                if method.get("samples"):
                    deviation = spread(model, *own, method["samples"], method["seed"], chosen)
                    if steps:
                        deviation = resample_to(deviation, fixed.grid)
                    write_image(folder / f"{pair_name(pair)}-spread.nii.gz", deviation)
        columns = None if rows else ["fixed", "moving"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / "registrations.csv", index=False)


def read_pair(
    pair: Pair, folders: Mapping[str, str], initial: Mapping[str, str] | None
) -> tuple[Case, Case, DisplacementField | None]:
    """The fixed case, the moving one as its initial registration leaves it, and the latter's field.

    Without an initial registration the moving case is as it was, and there is no field.
    """
    fixed, moving = (read_case(folders[case]) for case in pair)
    if not initial:
        return fixed, moving, None
    name = pair_name(pair)
    first = read_field(Path(initial[name]) / f"{name}.nii.gz")
    return fixed, resample_moving(moving, first), first


def network_function(
    network: RegistrationNetwork,
    steps: Sequence[Mapping[str, Any]],
    device: torch.device,
    atlas: Case | None,
    *,
    aligned: bool,
) -> Register:
    """The registration of one pair by a recipe's network, through the atlas if one is given."""
    if atlas is None:
        return on_own_grid(
            lambda fixed, moving: predict(network, fixed, moving, device), steps, aligned=aligned
        )
    atlas = prepare(atlas, steps)
    return on_own_grid(
        lambda fixed, moving: predict_through_atlas(network, fixed, moving, atlas, device), steps
    )


class EmbeddingRegistration:
    """The registration of one pair by its displacement embedding.

    `diagnostics` is what the last one went through
    (`warpline.registration.embedding.registration.Diagnostics`).
    """

    def __init__(
        self,
        method: Mapping[str, Any],
        recipe: Mapping[str, Any],
        weights: str,
        embedding: str,
        device: torch.device,
    ):
        self.features = trained(recipe, weights, device)
        self.settings = Settings(**method["embedding"])
        self.pca = pca.load(embedding)
        self.device = device

    def __call__(self, fixed: Case, moving: Case) -> DisplacementField:
        field, self.diagnostics = search_and_regularise(
            fixed, moving, self.features, self.pca, self.settings, self.device
        )
        stages = ", ".join(f"{name} {s:.1f} s" for name, s in self.diagnostics.seconds.items())
        print(f"{stages}; {self.diagnostics.clipped:.1%} of the keypoints clipped", flush=True)
        return field


def baseline_function(
    method: Mapping[str, Any], parameter_files: Sequence[str], threads: int
) -> Register:
    """The registration of one pair by a method that has nothing to learn."""
    parameters = dict(method["parameters"])
    if parameter_files:
        parameters["files"] = list(parameter_files)
    run = baselines.get(method["kind"])
    return lambda fixed, moving: run(
        fixed, moving, parameters, threads=threads, seed=method["seed"]
    )


if "snakemake" in globals():
    with recorded_job(snakemake, "method"):
        main(
            snakemake.params.method,
            snakemake.params.folders,
            [tuple(pair) for pair in snakemake.params.pairs],
            snakemake.output[0],
            device=snakemake.params.device,
            threads=snakemake.threads,
            network=snakemake.params.network,
            weights=snakemake.input.get("weights") or None,
            embedding=snakemake.input.get("embedding") or None,
            parameter_files=snakemake.input.get("parameters") or [],
            initial=snakemake.params.initial,
        )
