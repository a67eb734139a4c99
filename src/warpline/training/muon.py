"""Muon: every kernel turned by a matrix whose singular values are alike.

Jordan et al. 2024, *Muon: an optimizer for hidden layers in neural networks*; the rate's scale by
Liu et al. 2025 (arXiv 2502.16982), so that a step is about as long as one of Adam. Where a network
has to find several things that do not help each other, such as the displacement along each axis,
Adam finds them one after the other; here none has to wait until the others are learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

MOMENTUM = 0.95
# Of the quintic that brings singular values to about 1, and how often it is taken (Jordan et al.).
QUINTIC, TIMES = (3.4445, -4.7750, 2.0315), 5
SCALE = 0.2  # root mean square of a step of Adam at a rate of 1 (Liu et al., section 2.2)
LEAST = 1e-7


class Muon(torch.optim.Adam):
    """Muon for whatever has two axes or more, a kernel as its matrix (outputs, everything else).

    What has one axis, as biases have, goes by Adam. torch's own Muon takes matrices alone.

    Parameters
    ----------
    parameters
        Of a network.
    lr
        Learning rate of both.
    weight_decay
        Taken off the weights apart from the gradient in Muon, added to the gradient in Adam.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], lr: float, weight_decay: float = 0.0):
        every = list(parameters)
        turned = [parameter for parameter in every if parameter.dim() > 1]
        rest = [parameter for parameter in every if parameter.dim() <= 1]
        groups = [{"params": turned, "turned": True}, {"params": rest, "turned": False}]
        groups = [group for group in groups if group["params"]]
        super().__init__(groups, lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """One step of all parameters that have a gradient."""
        groups = self.param_groups
        for group in groups:
            if group["turned"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._turn(parameter, group)
        self.param_groups = [group for group in groups if not group["turned"]]
        try:
            super().step(closure)
        finally:
            self.param_groups = groups

    def _turn(self, parameter: torch.Tensor, group: dict) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
        state["step"] += 1
        mean = state["exp_avg"].lerp_(gradient, 1 - MOMENTUM)
        matrix = gradient.lerp(mean, MOMENTUM).flatten(1)
        rate = group["lr"] * SCALE * math.sqrt(max(matrix.shape))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(turning(matrix).reshape(parameter.shape), alpha=-rate)


def turning(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix (m, n) with its singular values all between 0.7 and 1.2, but for those near 0."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    found = wide / (wide.norm() + LEAST)
    a, b, c = QUINTIC
    for _ in range(TIMES):
        square = found @ found.T
        found = a * found + (b * square + c * square @ square) @ found
    return found if wide is matrix else found.T
