"""What of a recipe is needed wherever its network runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What stays a mapping, and why.
Parameters = Mapping[str, Any]
"""Keyword arguments: which there are is known to what they are for, a network or a tool."""
Step = Mapping[str, Any]
"""One key, the name of a step of preparation (`warpline.plan.kinds.STEPS`), and its parameters."""
Recipe = Mapping[str, Any]
"""A method with a network, as the schema leaves it, which stands so in the model's record; who uses
a part of it makes that a dataclass."""


@dataclass(frozen=True)
class NetworkEntry:
    """The network of a recipe.

    Attributes
    ----------
    name
        A module of `warpline.networks`.
    steps
        By which it sees each case, the recipe's ``prepare``; none where it sees cases as they are.
    """

    name: str
    parameters: Parameters
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> NetworkEntry:
        """From a recipe, as the schema leaves it."""
        network = recipe["network"]
        return cls(network["name"], network["parameters"], tuple(recipe.get("prepare", ())))
