"""How far a network is from known fields of synthetic pairs; Sokooti et al. 2017, MAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.evaluation.records import records, row
from warpline.plan.recipe import Recipe
from warpline.registration.synthetic.patches import Sampling, axis_errors, held_out_batches


@torch.no_grad()
def synthetic_records(
    network: nn.Module,
    cases: Sequence[Case],
    recipe: Recipe,
    *,
    dataset: str,
    method: str,
    split: str,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Errors of a network on patches of synthetic pairs, patch by patch.

    Every case is deformed by as many fields as in training, and as many patches of each pair are
    drawn from its lungs as in validation (``training.sampling`` of the recipe): the cases that
    validate a training give the very numbers of its history.

    Parameters
    ----------
    network
        In evaluation mode, on `device`; with `displacements`.
    cases
        With lung masks; they may differ in shape.
    recipe
        As the schema leaves it.
    dataset, method, split
        Of the records.

    Returns
    -------
    pandas.DataFrame
        Tidy records of `mae`, `mae_x`, `mae_y`, `mae_z` in mm, of `displacement`, the length |u|
        of the true displacement, and of `mae_identity`, the error of a network that moves nothing;
        `fixed` and `moving` are the case, the label is the field's number and the patch's
        (``0.17``).

    Raises
    ------
    WarplineError
        If a case has no lung mask.
    """
    training = recipe["training"]
    sampling = Sampling(**training["sampling"])
    batches = held_out_batches(
        cases, sampling, batch_size=training["batch_size"], seed=recipe["seed"], device=device
    )
    rows: dict[int, list[dict[str, Any]]] = {}
    done: dict[tuple[int, int], int] = {}
    for image, field, batch in batches:
        found = axis_errors(network.displacements(batch.patches), batch).cpu().numpy()
        still = axis_errors(torch.zeros_like(batch.displacements), batch).cpu().numpy()
        first = done.get((image, field), 0)
        for patch, (errors, true) in enumerate(zip(found, still, strict=True), start=first):
            label = f"{field}.{patch}"
            named = zip(("mae_x", "mae_y", "mae_z"), errors, strict=True)
            own = rows.setdefault(image, [])
            own.append(row("mae", errors.sum(), "mm", label))
            own += [row(metric, value, "mm", label) for metric, value in named]
            own.append(row("displacement", np.linalg.norm(true), "mm", label))
            own.append(row("mae_identity", true.sum(), "mm", label))
        done[image, field] = first + len(found)
    frames = []
    for image, own in rows.items():
        case = cases[image].id
        frames.append(records(own, dataset, method, split, case, case))
    return pd.concat(frames, ignore_index=True)
