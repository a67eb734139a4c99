"""Large displacements: all of a cube are tried at every node, and neighbours agree on one.

Coupled convex regularisation (Heinrich, Papież, Schnabel & Handels, WBIR 2014): the best displacement
of every node under the features' difference plus its distance from a smooth field, and the smooth
field of these, in turns, the more tightly the later.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from warpline.fields.algebra import compose
from warpline.registration.variational.features import Features
from warpline.registration.variational.velocity import (
    coarser,
    exponential,
    resized,
    shrunk,
    spacing_of,
)

VOXELS = 40_000  # of the features that are compared
TIGHTNESS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
UNKNOWN = 1.0  # squared difference of a feature from what is not known
LOGARITHM = 8  # corrections of the velocity of a displacement


def search(
    fixed: Features, moving: Features, spacing: Sequence[float], reach: int
) -> torch.Tensor:
    """A velocity that brings two images roughly to each other.

    Parameters
    ----------
    fixed, moving
        On the frame.
    spacing
        Of its grid, (z, y, x) in mm.
    reach
        Nodes of a cube of displacements from its middle to its faces.

    Returns
    -------
    torch.Tensor
        (1, 3, z, y, x) in mm, on a coarse grid.
    """
    box = fixed.channels.shape[2:]
    factor = max(1.0, (box.numel() / VOXELS) ** (1 / 3))
    shape = coarser(box, factor)
    nodes = coarser(shape, 2)
    a, b = fixed.at(shape), moving.at(shape)
    ahead, back = (_displacements(x, y, nodes, reach) for x, y in ((a, b), (b, a)))
    for _ in range(10):  # each takes half of what it misses of the other's inverse
        ahead, back = (
            ahead - 0.5 * compose(back, ahead),
            back - 0.5 * compose(ahead, back),
        )
    sizes = spacing_of(box, spacing, nodes)
    unit = ahead.new_tensor(sizes).view(1, 3, 1, 1, 1)
    velocity = (ahead - back) * 0.5 * unit
    for _ in range(LOGARITHM):
        missed = ahead * unit - exponential(velocity, sizes)
        gone = back * unit - exponential(-velocity, sizes)
        velocity = velocity + 0.5 * _smooth(missed - gone)
    return velocity


def _displacements(
    fixed: Features, moving: Features, nodes: Sequence[int], reach: int
) -> torch.Tensor:
    """Displacements (1, 3, z, y, x) in steps of the nodes' grid, found at its nodes."""
    shape = fixed.channels.shape[2:]
    width = 2 * reach + 1
    offsets = torch.arange(-reach, reach + 1, device=fixed.channels.device)
    cube = torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij"), dim=-1)
    cube = cube.reshape(-1, 3).to(fixed.channels.dtype)
    padded = F.pad(moving.channels, [reach] * 6, mode="replicate")
    known = F.pad(moving.known, [reach] * 6)
    costs = fixed.channels.new_empty(width**3, *nodes)
    for k, (z, y, x) in enumerate(cube.long() + reach):
        part = (..., slice(z, z + shape[0]), slice(y, y + shape[1]), slice(x, x + shape[2]))
        both = fixed.known * known[part]
        cost = (padded[part] - fixed.channels).square().mean(1, keepdim=True)
        costs[k] = shrunk(cost * both + UNKNOWN * 0.1 * (1 - both), nodes)[0, 0]
    costs = costs.flatten(1)
    best = cube[costs.argmin(0)].T.reshape(1, 3, *nodes)
    smooth = _smooth(best)
    for tightness in TIGHTNESS:
        at = smooth.reshape(3, -1)
        apart = (cube**2).sum(1, keepdim=True) - 2 * cube @ at + (at**2).sum(0, keepdim=True)
        best = cube[(costs + tightness * 0.1 * apart).argmin(0)].T.reshape(1, 3, *nodes)
        smooth = _smooth(best)
    # From steps of the features' grid to those of the nodes'.
    ratio = [(m - 1) / (n - 1) for n, m in zip(shape, nodes, strict=True)]
    return resized(smooth, nodes) * smooth.new_tensor(ratio).view(1, 3, 1, 1, 1)


def _smooth(field: torch.Tensor) -> torch.Tensor:
    for _ in range(2):
        field = F.avg_pool3d(F.pad(field, [1] * 6, mode="replicate"), 3, stride=1)
    return field
