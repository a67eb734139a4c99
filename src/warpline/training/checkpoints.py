"""Training state that survives a kill at any moment, and weights that load without unpickling."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from warpline import networks
from warpline.errors import WarplineError
from warpline.files import atomic_path


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


def save_weights(path: str | os.PathLike, network: nn.Module) -> None:
    """Write a network's weights as safetensors, atomically."""
    weights = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary)


def load_weights(path: str | os.PathLike, network: nn.Module, *, strict: bool = True) -> list[str]:
    """Load safetensors weights into a network; no code is unpickled.

    Parameters
    ----------
    strict
        Without it, tensors of another name or shape are left as they were.

    Returns
    -------
    list of str
        The names that were left as they were.

    Raises
    ------
    WarplineError
        If the file cannot be read, or with `strict` does not fit the network, or fits nowhere.
    """
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WarplineError(
            f"The weights cannot be read ({error}).", where=path, do="Train the model again."
        ) from error
    own = network.state_dict()
    fitting = {n: w for n, w in weights.items() if n in own and own[n].shape == w.shape}
    left = sorted(set(own) - set(fitting)) + sorted(set(weights) - set(own))
    if left and (strict or not fitting):
        raise WarplineError(
            f"The weights do not fit the network: {len(left)} tensors differ, {left[0]} first.",
            where=path,
            do="Give both recipes the same network parameters.",
        )
    own.update(fitting)
    network.load_state_dict(own)
    return left


def trained(
    recipe: Mapping[str, Any], weights: str | os.PathLike, device: torch.device
) -> nn.Module:
    """A recipe's network with its weights, on the device and ready to be applied.

    Raises
    ------
    WarplineError
        If there is no such network, or the weights cannot be read or do not fit it.
    """
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    load_weights(weights, network)
    return network.to(device).eval()
