"""The optimiser that a recipe names."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from warpline.training.muon import Muon


def optimiser_of(
    name: str,
    parameters: Iterable[torch.Tensor],
    device: torch.device,
    rate: float,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Adam or Muon, as ``training.optimiser.name`` says."""
    if name == "muon":
        return Muon(parameters, rate, weight_decay)
    # On a card one kernel for all weights, not one for each.
    fused = device.type == "cuda" or None
    return torch.optim.Adam(parameters, lr=rate, weight_decay=weight_decay, fused=fused)
