"""Weights in half precision, as models of the house are kept."""

from __future__ import annotations

import os

import torch
from safetensors.torch import save_file

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.networks.given import read_checkpoint


def save_in_half(path: str | os.PathLike, target: str | os.PathLike) -> None:
    """Write a file of weights in half precision (float16); whole numbers stay as they are.

    `warpline.networks.weights.load_weights` reads them as the network's own precision.

    Raises
    ------
    WarplineError
        If the file cannot be read, or a weight is too large for half precision.
    """
    weights = read_checkpoint(path).tensors
    halved = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in weights.items()
    }
    beyond = [name for name, value in halved.items() if not torch.isfinite(value).all()]
    if beyond:
        raise WarplineError(f"'{beyond[0]}' has no place in half precision.", where=path)
    with atomic_path(target) as temporary:
        save_file(halved, temporary)
