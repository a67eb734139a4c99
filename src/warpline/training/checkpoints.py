"""Training state that survives a kill at any moment, and weights that load without unpickling."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warpline.files import atomic_path
from warpline.networks.weights import save_weights


class StateFolder:
    """The state of one training: ``last.pt``, the one before it, and ``best.safetensors``.

    The folder lies outside the workflow's declared outputs, which a failed job loses.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.last, self.previous = self.folder / "last.pt", self.folder / "previous.pt"
        self.best = self.folder / "best.safetensors"

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep `state` as the last; the last becomes the previous."""
        with atomic_path(self.last) as temporary:
            torch.save(dict(state), temporary)
            if self.last.exists():
                os.replace(self.last, self.previous)

    def load(self) -> dict[str, Any] | None:
        """The newest state that can be read, or None; tensors and plain values only."""
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    return torch.load(path, map_location="cpu", weights_only=True)
                except Exception as error:  # any damage to a file: fall back to the older one
                    print(f"{path} cannot be read ({type(error).__name__}), left aside", flush=True)
        return None

    def save_best(self, network: nn.Module) -> None:
        """Keep the network's weights as the best so far."""
        save_weights(self.best, network)
