"""U-Net on the concatenated pair that predicts spatial gradients (Bouabid et al. 2019, §4.3).

The body is VoxelMorph's (Balakrishnan et al. 2019) with three halvings; instead of a displacement
its last layer gives the positive derivative of every coordinate along its own axis, which a
cumulative sum turns into the transformation. What the paper leaves open stands in
docs/papers/bouabid2019.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from warpline.fields.integration import integrate_gradients
from warpline.networks import Prediction, RegistrationNetwork
from warpline.networks.layers import Conv3d, convolution, side_by_side


class Network(RegistrationNetwork):
    """The diffeomorphic U-Net of Bouabid et al. 2019.

    Parameters
    ----------
    inputs
        Channels of an image.
    encoder
        Channels after every halving (3³ convolutions of stride 2).
    decoder
        Channels of the 3³ convolutions on the way up: one a level, each followed by upsampling and
        the skip, but for the last two levels; there two at half resolution and, after the last
        upsampling, one at full resolution. One has two entries more than `encoder`.
    slope
        Of the leaky ReLU.
    """

    def __init__(
        self,
        inputs: int = 1,
        encoder: Sequence[int] = (16, 32, 32),
        decoder: Sequence[int] = (32, 32, 32, 8, 8),
        slope: float = 0.2,
    ):
        super().__init__()
        if len(decoder) != len(encoder) + 2:
            raise TypeError("'decoder' needs two entries more than 'encoder'")
        self.stride = 2 ** len(encoder)
        skips = [2 * inputs, *encoder]
        self.encoder = nn.ModuleList(
            convolution(a, b, slope, stride=2) for a, b in zip(skips, encoder, strict=False)
        )
        *ups, first, second, full = decoder
        channels = encoder[-1]
        self.ups = nn.ModuleList()
        for width, skip in zip(ups, reversed(encoder[:-1]), strict=True):
            self.ups.append(convolution(channels, width, slope))
            channels = width + skip
        self.middle = nn.Sequential(
            convolution(channels, first, slope), convolution(first, second, slope)
        )
        self.full = convolution(second + 2 * inputs, full, slope)
        self.last = Conv3d(full, 3, 3, padding=1)
        # Training starts next to the identity, which is a logit of zero.
        nn.init.normal_(self.last.weight, std=1e-5)
        nn.init.zeros_(self.last.bias)

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """Predict each direction on its own; the pair's order is all that differs."""
        return self._one(moving, fixed), self._one(fixed, moving) if backward else None

    def _one(self, moving: torch.Tensor, fixed: torch.Tensor) -> Prediction:
        features = [side_by_side(moving, fixed)]
        for level in self.encoder:
            features.append(level(features[-1]))
        out = features[-1]
        for up, skip in zip(self.ups, features[-2:0:-1], strict=True):
            out = torch.cat([_twice(up(out)), skip], dim=1)
        out = self.full(torch.cat([_twice(self.middle(out)), features[0]], dim=1))
        # In single precision: cumulative sums lose digits in half precision.
        gradients = torch.sigmoid(self.last(out).float())
        return Prediction([integrate_gradients(2.0 * gradients)], gradients)


def _twice(features: torch.Tensor) -> torch.Tensor:
    """Nearest-neighbour upsampling by two."""
    return F.interpolate(features, scale_factor=2.0)
