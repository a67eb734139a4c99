"""A small U-Net that tells the labels of a prepared image, quick on a CPU.

It works at half the resolution: the eight voxels of each cube of 2³ are its input's channels, and
the eight answers of each cube its last layer's (Shi et al. 2016, *Real-time single image and video
super-resolution using an efficient sub-pixel convolutional neural network*). Nothing of the image
is lost, and a convolution costs an eighth.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from warpline.networks.layers import Conv3d


class Network(nn.Module):
    """Probabilities of background and labels at every voxel of an image.

    A residual U-Net (Çiçek et al. 2016, He et al. 2016) with instance norm and leaky ReLU; what the
    decoder is given of the encoder is added, not put beside.

    Parameters
    ----------
    organs
        Names of the labels; channel 0 is background, channel k + 1 label k.
    values
        Their values in label maps, each above 0.
    channels
        At half the image's resolution and after every further halving.
    """

    def __init__(
        self,
        organs: Sequence[str],
        values: Sequence[int],
        channels: Sequence[int] = (24, 48, 72),
    ):
        super().__init__()
        if not organs or len(set(organs)) != len(organs):
            raise TypeError("'organs' needs at least one label, and each one once")
        if len(set(values)) != len(organs) or min(values) < 1:
            raise TypeError("'values' needs one number above 0 for each of 'organs'")
        self.organs, self.numbers = tuple(organs), tuple(int(value) for value in values)
        self.stride = 2 ** len(channels)
        self.first = nn.Sequential(_unit(Conv3d(8, channels[0], 3, padding=1)), Block(channels[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_unit(Conv3d(a, b, 2, stride=2)), Block(b)) for a, b in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in reversed(list(pairwise(channels)))
        )
        self.joined = nn.ModuleList(Block(a) for a in reversed(channels[:-1]))
        self.last = Conv3d(channels[0], 8 * (1 + len(self.organs)), 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, 1 + labels, z, y, x), float32, of an image (B, 1, z, y, x).

        Sizes that are no multiple of `stride` are filled up with the values at their ends, and at
        least to twice the stride: instance norm needs more than one voxel.
        """
        size = image.shape[2:]
        wide = [max(-(-n // self.stride), 2) * self.stride - n for n in size]
        image = F.pad(image, [n for w in reversed(wide) for n in (0, w)], mode="replicate")
        features = [self.first(cubes(image))]
        for down in self.down:
            features.append(down(features[-1]))
        out = features.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            out = joined(up(out) + features.pop())
        out = voxels(self.last(out))[:, :, : size[0], : size[1], : size[2]]
        # In single precision, whatever the layers compute in.
        return torch.softmax(out.float(), dim=1)


class Block(nn.Module):
    """A 3³ convolution, instance norm and leaky ReLU, added to what comes in."""

    def __init__(self, channels: int):
        super().__init__()
        self.unit = _unit(Conv3d(channels, channels, 3, padding=1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.unit(features)


def _unit(convolution: Conv3d) -> nn.Sequential:
    channels = convolution.out_channels
    return nn.Sequential(
        convolution, nn.InstanceNorm3d(channels, affine=True), nn.LeakyReLU(0.01, inplace=True)
    )


def cubes(image: torch.Tensor) -> torch.Tensor:
    """(B, C, 2z, 2y, 2x) → (B, 8C, z, y, x): the voxels of each cube of 2³ side by side."""
    b, c, z, y, x = image.shape
    parts = image.reshape(b, c, z // 2, 2, y // 2, 2, x // 2, 2)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, z // 2, y // 2, x // 2)


def voxels(features: torch.Tensor) -> torch.Tensor:
    """(B, 8C, z, y, x) → (B, C, 2z, 2y, 2x), the inverse of `cubes`."""
    b, c, z, y, x = features.shape
    parts = features.reshape(b, c // 8, 2, 2, 2, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(b, c // 8, 2 * z, 2 * y, 2 * x)
