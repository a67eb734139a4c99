"""What of a recipe is needed wherever its network runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Step = Mapping[str, Any]
"""One key, the name of a step of preparation (`warpline.plan.kinds.STEPS`), and its parameters."""


@dataclass(frozen=True)
class NetworkEntry:
    """The network of a recipe.

    Attributes
    ----------
    name
        A module of `warpline.networks`.
    parameters
        Which ones there are is the network's own matter.
    steps
        By which it sees each case, the recipe's ``prepare``; none where it sees cases as they are.
    """

    name: str
    parameters: Mapping[str, Any]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> NetworkEntry:
        """From a recipe, as the schema leaves it."""
        network = recipe["network"]
        return cls(network["name"], network["parameters"], tuple(recipe.get("prepare", ())))
