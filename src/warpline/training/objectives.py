"""What a recipe's network is trained for, by the name that the recipe gives.

``training.objective`` names a module of this package with a function `from_recipe`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from warpline.plan.pairs import Pair
from warpline.training.loop import Objective


def build(
    recipe: Mapping[str, Any],
    network: nn.Module,
    folders: Mapping[str, str],
    cases: Sequence[str],
    pairs: Sequence[Pair],
    labels: Mapping[int, str],
    device: torch.device,
) -> Objective:
    """The objective of a recipe.

    Parameters
    ----------
    recipe
        As the schema leaves it.
    folders
        Of every case, training and validation.
    cases
        Ids of the training cases.
    pairs
        (fixed, moving) ids for validation; may be empty.
    labels
        Label values and their names.

    Raises
    ------
    WarplineError
        If the recipe, the network or the cases do not suit the objective.
    """
    # By name: who trains for one objective does not depend on the code of the others.
    module = importlib.import_module(f"warpline.training.{recipe['training']['objective']}")
    return module.from_recipe(recipe, network, folders, cases, pairs, labels, device)
