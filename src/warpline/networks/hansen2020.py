"""The feature network of Hansen & Heinrich 2020: a light U-Net, one image in, descriptors out.

Section 3: "lightweight U-Net with 3 encoder and 2 decoder blocks", with an output for every second
voxel, trained to predict MIND-like descriptors. Widths and layers are not in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from warpline.networks.layers import Conv3d, convolution


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3³ convolutions with batch norm; the first may halve the resolution.

    Without the norm some trainings stay at the mean descriptor.
    """
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layer, activation = convolution(channels, outputs, 0.1, step)
        layers += [layer, nn.BatchNorm3d(outputs), activation]
    return nn.Sequential(*layers)


class Network(nn.Module):
    """Features of one image on a grid of half its resolution, to be compared between images.

    Feature voxel j lies in the middle of the image voxels 2j and 2j + 1.

    Parameters
    ----------
    encoder
        Channels of the three encoder blocks, at strides 2, 4 and 8. The first takes the image's
        blocks of 2³ voxels as eight channels: the resolution of its input is not lost.
    decoder
        Channels of the two decoder blocks, at strides 4 and 2.
    channels
        Of the output.
    low, high
        Intensities are clipped to these (HU) and scaled to 0 … 1.
    """

    stride = 8

    def __init__(
        self,
        encoder: Sequence[int] = (16, 32, 32),
        decoder: Sequence[int] = (32, 16),
        channels: int = 12,
        low: float = -1000.0,
        high: float = 200.0,
    ):
        super().__init__()
        for name, widths, count in (("encoder", encoder, 3), ("decoder", decoder, 2)):
            if len(widths) != count:
                raise TypeError(f"'{name}' needs {count} widths, one for each block")
        if not high > low:
            raise TypeError(f"'high' ({high}) must be above 'low' ({low})")
        first, second, third = encoder
        self.first = _block(8, first)
        self.second = _block(first, second, stride=2)
        self.third = _block(second, third, stride=2)
        self.up_second = _block(third + second, decoder[0])
        self.up_first = _block(decoder[0] + first, decoder[1])
        self.last = Conv3d(decoder[1], channels, 1)
        self.low, self.high = low, high

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """Descriptors within (0, 1) of an image (B, 1, z, y, x).

        The answer is (B, channels, ⌈z/2⌉, ⌈y/2⌉, ⌈x/2⌉). Sizes that are no multiple of `stride` are
        filled up with the values at their ends.
        """
        size = [-(-n // 2) for n in image.shape[2:]]
        width = [n for axis in (4, 3, 2) for n in (0, -image.shape[axis] % self.stride)]
        image = F.pad(image, width, mode="replicate")
        image = ((image - self.low) / (self.high - self.low)).clamp(0, 1)
        first = self.first(_blocks(image))
        second = self.second(first)
        out = self.up_second(torch.cat([_twice(self.third(second)), second], dim=1))
        out = self.up_first(torch.cat([_twice(out), first], dim=1))
        out = torch.sigmoid(self.last(out))
        return out[:, :, : size[0], : size[1], : size[2]]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See `features`."""
        return self.features(image)


def _blocks(image: torch.Tensor) -> torch.Tensor:
    """Blocks of 2³ voxels as channels: (B, 1, z, y, x) → (B, 8, z/2, y/2, x/2)."""
    parts = [image[:, :, a::2, b::2, c::2] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    return torch.cat(parts, dim=1)


def _twice(features: torch.Tensor) -> torch.Tensor:
    """Nearest-neighbour upsampling by two."""
    return F.interpolate(features, scale_factor=2.0)
