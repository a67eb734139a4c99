"""Large displacements: all of a cube are tried at every node, and neighbours agree on one.

Coupled convex regularisation (Heinrich, Papież, Schnabel & Handels, WBIR 2014): the best
displacement of every node under the features' difference plus its distance from a smooth field, and
the smooth field of these, in turns, the more tightly the later.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from warpline.fields.algebra import compose
from warpline.fields.filters import mean_over_cube
from warpline.registration.variational.features import Features
from warpline.registration.variational.velocity import (
    coarser,
    exponential,
    spacing_of,
)

TIGHTNESS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
PULL = 0.1  # squared difference of features that weighs as much as a voxel squared
UNKNOWN = 0.1  # squared difference of features where one of them is not known
LOGARITHM = 8  # corrections of the velocity of a displacement


def search(
    fixed: Features, moving: Features, spacing: Sequence[float], reach: int, most: int
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
    most
        Nodes in which displacements are searched; with 8000 of a full-size chest large ones are
        missed.

    Returns
    -------
    torch.Tensor
        (1, 3, z, y, x) in mm, on a coarse grid.
    """
    box = fixed.channels.shape[2:]
    nodes = coarser(box, max(1.0, (box.numel() / most) ** (1 / 3)))
    a, b = fixed.at(nodes), moving.at(nodes)
    ahead, back = _displacements(a, b, reach), _displacements(b, a, reach)
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


def _displacements(fixed: Features, moving: Features, reach: int) -> torch.Tensor:
    """Displacements (1, 3, z, y, x) in voxels of the features, found at each of them."""
    shape = fixed.channels.shape[2:]
    width = 2 * reach + 1
    offsets = torch.arange(-reach, reach + 1, device=fixed.channels.device)
    cube = torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij"), dim=-1)
    cube = cube.reshape(-1, 3).to(fixed.channels.dtype)
    padded = F.pad(moving.channels, [reach] * 6, mode="replicate")[0]
    known = F.pad(moving.known, [reach] * 6)[0, 0]
    ours, inside = fixed.channels[0], fixed.known[0, 0]
    costs = ours.new_empty(1, width**3, *shape)
    for k, (z, y, x) in enumerate((cube.long() + reach).tolist()):
        part = (slice(z, z + shape[0]), slice(y, y + shape[1]), slice(x, x + shape[2]))
        apart = padded[:, *part] - ours
        both = inside * known[part]
        costs[0, k] = apart.square_().mean(0)
        costs[0, k].mul_(both).add_(1 - both, alpha=UNKNOWN)
    costs = _smooth(costs, 1)[0].flatten(1)
    best = cube[costs.argmin(0)].T.reshape(1, 3, *shape)
    for tightness in TIGHTNESS:
        at = _smooth(best).reshape(3, -1)
        apart = (cube**2).sum(1, keepdim=True) - 2 * cube @ at + (at**2).sum(0, keepdim=True)
        best = cube[torch.add(costs, apart, alpha=tightness * PULL).argmin(0)].T
        best = best.reshape(1, 3, *shape)
    return _smooth(best)


def _smooth(field: torch.Tensor, passes: int = 2) -> torch.Tensor:
    for _ in range(passes):
        field = mean_over_cube(field, 3)
    return field
