"""How well a segmenter finds the organs of cases that have them annotated."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.evaluation.metrics.overlap import dice
from warpline.evaluation.records import records, row
from warpline.segmentation.noisy_labels import known_organs
from warpline.segmentation.windows import organ_numbers, segment


def segmentation_records(
    network: nn.Module,
    cases: Iterable[Case],
    *,
    window: int | None,
    dataset: str,
    method: str,
    split: str,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Dice of every organ that a case has annotated and drawn, as in training's validation.

    Parameters
    ----------
    network
        In evaluation mode, on `device`; see `warpline.segmentation.windows.segment`.
    cases
        With label maps in the network's numbers.
    window
        Side of the windows, voxels; None: whole images.
    dataset, method, split
        Of the records.

    Returns
    -------
    pandas.DataFrame
        Tidy records of `dice`, the label being the organ, and of `seconds` a case; `fixed` and
        `moving` are the case.

    Raises
    ------
    WarplineError
        If no case has any of the organs.
    """
    organs = organ_numbers(network)
    names = dict(zip(organs, network.organs, strict=True))
    found = []
    for case in cases:
        began = time.perf_counter()
        labels = segment(network, case.image, window=window, device=device)
        rows = [row("seconds", time.perf_counter() - began, "s")]
        known = known_organs(case, organs)
        drawn = np.unique(case.labels.array) if known else []
        overlap = dice(case.labels.array, labels.array, known) if known else {}
        rows += [row("dice", overlap[n], label=names[n]) for n in known if n in drawn]
        found.append(records(rows, dataset, method, split, case.id, case.id))
    frame = pd.concat(found, ignore_index=True)
    if not (frame["metric"] == "dice").any():
        raise WarplineError(
            "No case has any of the segmenter's organs annotated.",
            where=f"dataset {dataset}, split {split}",
            do="Put 'harmonise' into the 'prepare' lists of its datasets.",
        )
    return frame
