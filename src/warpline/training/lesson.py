"""One training as each of its processes runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from warpline import networks
from warpline.networks import RegistrationNetwork
from warpline.networks.weights import load_weights
from warpline.plan.recipe import Recipe
from warpline.training import objectives
from warpline.training.distributed import ALONE, Group, share_normalisation
from warpline.training.loop import Result, train
from warpline.training.material import Material
from warpline.training.room import Room
from warpline.training.settings import Settings


@dataclass(frozen=True)
class Lesson:
    """What a network learns, and from what.

    Attributes
    ----------
    recipe, material
        See `warpline.training.objectives.build`.
    state
        Folder of the training's state.
    source
        See `warpline.training.loop.train`.
    pretrained
        Weights to begin with, as far as they fit.
    label
        What progress calls the training.
    """

    recipe: Recipe
    material: Material
    state: str
    source: Mapping[str, Any]
    pretrained: str | None
    label: str

    def network(self) -> RegistrationNetwork:
        """The network before the training."""
        torch.manual_seed(self.recipe["seed"])
        entry = self.recipe["network"]
        network = networks.build(entry["name"], entry["parameters"])
        if self.pretrained:
            left = load_weights(self.pretrained, network, strict=False)
            print(f"weights of {self.pretrained}; {len(left)} tensors not taken over", flush=True)
        return network

    def learn(
        self, network: RegistrationNetwork, device: torch.device, group: Group = ALONE
    ) -> Result:
        """Train `network` in place; errors as of `warpline.training.loop.train`."""
        if group.size > 1:
            share_normalisation(network)
        validated = bool(self.material.validation)
        return train(
            network,
            objectives.build(self.recipe, network, self.material, device),
            Settings.of(self.recipe["training"], self.recipe["seed"], validated=validated),
            self.state,
            device=device,
            label=self.label,
            source=self.source,
            group=group,
        )

    def as_text(self) -> str:
        """The lesson as JSON, for `of_text`."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def of_text(cls, text: str) -> Lesson:
        """What `as_text` wrote."""
        entries = json.loads(text)
        room = entries["material"]["room"]
        if room is not None:
            room = Room(**room | {"folder": Path(room["folder"])})
        material = Material.of(entries["material"] | {"room": room})
        return cls(**entries | {"material": material})
