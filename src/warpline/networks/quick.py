"""Convolutions of a network that does not learn: each by what is quickest for it on a CPU.

What is measured is in docs/benchmarks.md: oneDNN's kernels reach the core's peak only if channels
come in eights, and hardly a tenth of it for one input channel or one voxel's kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from warpline.networks import winograd

EIGHT = 8  # numbers of single precision that a core of x86 takes at once
FEW = 2  # input channels up to which the 27 shifted copies are made
ROWS = 4096  # voxels at a time through layers of one voxel's kernel


def filled(channels: int) -> int:
    """As many channels as fill up eights."""
    return channels + -channels % EIGHT


def convolve(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A convolution without padding, and ReLU.

    Parameters
    ----------
    features
        (B, C, z, y, x). Of the channels beyond the weights' own the values must be 0.
    weight
        (outputs, inputs, 3, 3, 3).

    Returns
    -------
    torch.Tensor
        (B, outputs, z − 2, y − 2, x − 2), after the outputs as many channels of zeros as fill up
        eights.
    """
    outputs, inputs = weight.shape[:2]
    if inputs <= FEW:
        features = features[:, :inputs]
    spare, more = features.shape[1] - inputs, filled(outputs) - outputs
    weight = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, spare, 0, more))
    bias = F.pad(bias, (0, more))
    if _cpu(features, weight) and inputs <= FEW:
        return _by_copies(features, weight, bias)
    if _cpu(features, weight) and winograd.pays(features, weight):
        return winograd.convolve(features, weight, bias, padding=0, rectified=True)
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    return F.relu(F.conv3d(features, weight, bias), inplace=True)


def connect(
    features: torch.Tensor,
    first: tuple[torch.Tensor, torch.Tensor],
    second: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Two fully connected layers at each voxel, a ReLU between them: (B, outputs, z, y, x).

    Each layer is its weights (outputs, inputs, 1, 1, 1) and biases; `features` as for `convolve`.
    """
    voxels = features.permute(0, 2, 3, 4, 1)
    out = voxels.new_empty(*voxels.shape[:-1], len(second[0]))
    (a, a_bias), (b, b_bias) = ((weight.flatten(1).T, bias) for weight, bias in (first, second))
    a = F.pad(a, (0, 0, 0, voxels.shape[-1] - len(a)))
    parts = voxels.flatten(0, 3).split(ROWS), out.flatten(0, 3).split(ROWS)
    for part, place in zip(*parts, strict=True):
        place.copy_(torch.addmm(b_bias, torch.addmm(a_bias, part, a).relu_(), b))
    return out.permute(0, 4, 1, 2, 3)


def pool(features: torch.Tensor) -> torch.Tensor:
    """The largest of 2³ neighbours, a voxel on: `max_pool3d(features, 2, stride=1)`."""
    for axis in (2, 3, 4):
        length = features.shape[axis] - 1
        features = torch.maximum(features.narrow(axis, 0, length), features.narrow(axis, 1, length))
    return features


def _cpu(features: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        features.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.is_grad_enabled()
    )


def _by_copies(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """As a product with the 27 shifted copies of each input, plane by plane."""
    matrix = weight.flatten(1).T
    depth, height, width = (n - 2 for n in features.shape[2:])
    out = features.new_empty(len(features), depth, height, width, len(weight))
    copies = features.new_empty(features.shape[1], 3, 3, 3, height, width)
    for volume, place in zip(features, out, strict=True):
        windows = volume.unfold(2, 3, 1).unfold(3, 3, 1)  # (C, z, y, x, 3, 3)
        for z, plane in enumerate(place):
            copies.copy_(windows[:, z : z + 3].permute(0, 1, 4, 5, 2, 3))
            torch.addmm(bias, copies.view(len(matrix), -1).T, matrix, out=plane.flatten(0, 1))
            plane.relu_()
    return out.permute(0, 4, 1, 2, 3)
