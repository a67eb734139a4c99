"""What a recipe's network is trained for, by the name that the recipe gives.

``training.objective`` names a module of this package with a function `from_recipe`.
"""

from __future__ import annotations

import importlib

import torch
from torch import nn

from warpline.plan.recipe import Recipe
from warpline.training.loop import Objective
from warpline.training.material import Material


def build(
    recipe: Recipe,
    network: nn.Module,
    material: Material,
    device: torch.device,
) -> Objective:
    """The objective of a recipe.

    Parameters
    ----------
    recipe
        As the schema leaves it.
    material
        What it is given to learn from.

    Raises
    ------
    WarplineError
        If the recipe, the network or the cases do not suit the objective.
    """
    # By name: who trains for one objective does not depend on the code of the others.
    module = importlib.import_module(f"warpline.training.{recipe['training']['objective']}")
    return module.from_recipe(recipe, network, material, device)
