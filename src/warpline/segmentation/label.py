"""Labelling a batch of cases by a trained segmenter, and what its training cases look like."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from warpline.cases.case import write_case
from warpline.cases.folders import read_cases
from warpline.cases.organs import NUMBER
from warpline.files import atomic_folder
from warpline.images.files import write_image
from warpline.plan.recipe import Step
from warpline.segmentation.noisy_labels import (
    PREDICTION,
    TABLE,
    Distribution,
    Limits,
    known_organs,
    measure,
    noisy_labels,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


def measured_organs(folders: Mapping[str, str | os.PathLike]) -> pd.DataFrame:
    """Volumes and places of all common organs that cases have annotated; see `measure`.

    Parameters
    ----------
    folders
        Of every case; those without a label map are left out.
    """
    organs = list(NUMBER.values())
    tables = []
    for case_id in folders:
        (case,) = read_cases(folders, [case_id])
        if case.labels is not None:
            tables.append(measure(case.labels, known_organs(case, organs), case_id))
        print(case_id, flush=True)
    return pd.concat(tables, ignore_index=True)


def label_batch(
    network: nn.Module,
    folders: Mapping[str, str | os.PathLike],
    steps: Sequence[Step],
    distribution: Distribution,
    limits: Limits,
    target: str | os.PathLike,
    *,
    window: int,
    overlap: float,
    device: torch.device | str = "cpu",
) -> None:
    """Give cases labels of all organs that the rules let pass, in `target`, whole or not at all.

    In a case's folder lies what the segmenter said too, and beside the cases the reasons.

    Parameters
    ----------
    network
        In evaluation mode, on `device`; see `segment`, also for `window` and `overlap`.
    folders
        Of every case.
    steps
        Of the segmenter's own preparation.
    distribution, limits
        See `noisy_labels`.

    Raises
    ------
    WarplineError
        If a case cannot be read, or the network's organs are not the common ones.
    """
    from warpline.segmentation.windows import organ_numbers, segment

    with atomic_folder(target) as folder:
        numbers, tables = organ_numbers(network), []
        for case_id in folders:
            (case,) = read_cases(folders, [case_id], steps)
            predicted = segment(network, case.image, window=window, overlap=overlap, device=device)
            labelled, table = noisy_labels(case, predicted, numbers, distribution, limits)
            write_case(folder / case_id, labelled)
            write_image(folder / case_id / PREDICTION, predicted)
            tables.append(table)
            print(f"{case_id}: {int((~table['kept']).sum())} organs left out", flush=True)
        pd.concat(tables, ignore_index=True).to_csv(folder / TABLE, index=False)
