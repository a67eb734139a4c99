"""Weights on disk; loading runs no code."""

from __future__ import annotations

import os

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from warpline import networks
from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.plan.recipe import NetworkEntry


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


def trained(entry: NetworkEntry, weights: str | os.PathLike, device: torch.device) -> nn.Module:
    """A recipe's network with its weights, on the device and ready to be applied.

    Raises
    ------
    WarplineError
        If there is no such network, or the weights cannot be read or do not fit it.
    """
    network = networks.build(entry.name, entry.parameters)
    load_weights(weights, network)
    return network.to(device).eval()
