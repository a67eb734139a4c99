"""Label the organs that a batch of cases does not have annotated, by a trained segmenter."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from warpline.cases.case import write_case
from warpline.cases.folders import read_cases
from warpline.devices.claim import claim
from warpline.files import atomic_folder
from warpline.images.files import write_image
from warpline.networks.weights import trained
from warpline.provenance.record import recorded_job
from warpline.segmentation.noisy_labels import PREDICTION, TABLE, Distribution, Limits, noisy_labels
from warpline.segmentation.windows import organ_numbers, segment


def main(
    recipe: Mapping[str, Any],
    folders: Mapping[str, str],
    setting: Mapping[str, Any],
    weights: str,
    organs: str,
    target: str,
    *,
    device: str,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    distribution = Distribution(pd.read_csv(organs))
    limits = Limits(**setting["limits"])
    window = recipe["training"]["sampling"]["crop"]
    with claim(device, job=target) as chosen, atomic_folder(target) as folder:
        network = trained(recipe, weights, chosen)
        numbers, tables = organ_numbers(network), []
        for case_id in folders:
            (case,) = read_cases(folders, [case_id], recipe.get("prepare", []))
            predicted = segment(
                network, case.image, window=window, overlap=setting["overlap"], device=chosen
            )
            labelled, table = noisy_labels(case, predicted, numbers, distribution, limits)
            write_case(folder / case_id, labelled)
            write_image(folder / case_id / PREDICTION, predicted)
            tables.append(table)
            print(f"{case_id}: {int((~table['kept']).sum())} organs left out", flush=True)
        pd.concat(tables, ignore_index=True).to_csv(folder / TABLE, index=False)


if "snakemake" in globals():
    with recorded_job(snakemake, "setting"):
        main(
            snakemake.params.recipe,
            snakemake.params.folders,
            snakemake.params.setting,
            snakemake.input.weights,
            snakemake.input.organs,
            snakemake.output[0],
            device=snakemake.params.device,
            threads=snakemake.threads,
        )
