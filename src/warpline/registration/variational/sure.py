"""How sure a registration is that it brought together what belongs together.

A logistic curve over what is seen of the result. Its weights were fitted on generated pairs by
``benchmarks/confidence.py fit`` (docs/methods/warpline.md says on which, and how often what it
calls sure was right on others).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from warpline.fields.sampling import warp
from warpline.registration.embedding.descriptors import mind_ssc
from warpline.registration.variational.velocity import (
    coarser,
    exponential,
    in_voxels,
    resized,
    shrunk,
    spacing_of,
)

SEEN = 64_000  # voxels at which both images are compared
WEIGHTS = {"constant": -3.25, "likeness": 6.84, "likeness_after": 4.17, "strain": -6.3}
LEAST = -0.5  # of these, below which nothing is any less alike
SURE = 0.9  # confidence from which on a result is called sure
Seen = tuple[torch.Tensor, torch.Tensor]


def confidence(values: Mapping[str, float]) -> float:
    """From 0 to 1: how likely a result is right, by what is told of it (`WEIGHTS`)."""
    odds = WEIGHTS["constant"] + sum(
        weight * max(values[name], LEAST) for name, weight in WEIGHTS.items() if name != "constant"
    )
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, odds))))


def likeness_of(first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor) -> float:
    """Share of the variance of two images' channels (1, C, z, y, x) that they have in common.

    1 for the same image, about 0 for any two, and where there is nothing to see.
    """
    total = float(weight.sum())
    if total < 1:
        return 0.0
    dims, spread = (0, 2, 3, 4), 0.0
    for part in (first, second):
        mean = (part * weight).sum(dims, keepdim=True) / total
        spread += float(((part - mean).square() * weight).sum())
    apart = float(((first - second).square() * weight).sum())
    return 1 - apart / spread if spread > 1e-9 * total else 0.0


def seen_of_result(
    fixed: Seen, moving: Seen, velocity: torch.Tensor, spacing: Sequence[float]
) -> dict[str, float]:
    """What a result says for itself.

    Parameters
    ----------
    fixed, moving
        Each image on the frame, (1, 1, z, y, x), and what is known of it.
    velocity
        (1, 3, z, y, x) in mm on a grid of the frame's box.
    spacing
        Of the frame, (z, y, x) in mm.

    Returns
    -------
    dict
        ``likeness_after``: the share of the self-similarities' variance that both images have in
        common after all (`likeness_of`); ``strain``: the root mean square of the velocity's
        gradient, mm a mm.
    """
    box = fixed[0].shape[2:]
    shape = coarser(box, max(1.0, (box.numel() / SEEN) ** (1 / 3)))
    sizes = spacing_of(box, spacing, shape)
    own = spacing_of(box, spacing, velocity.shape[2:])
    (a, in_a), (b, in_b) = ([shrunk(part, shape) for part in one] for one in (fixed, moving))
    moved = resized(in_voxels(exponential(velocity, own), sizes), shape)
    b, in_b = warp(torch.cat([b, in_b], dim=1), moved).split(1, dim=1)
    strain = sum(
        float((torch.diff(velocity, dim=axis + 2) / own[axis]).square().sum(1).mean())
        for axis in range(3)
        if velocity.shape[axis + 2] > 1
    )
    return {
        "likeness_after": likeness_of(mind_ssc(a, 1, 1), mind_ssc(b, 1, 1), in_a * in_b),
        "strain": math.sqrt(strain),
    }
