"""The feature network of Hansen & Heinrich 2020: a light U-Net, one image in, descriptors out.

Section 3: "lightweight U-Net with 3 encoder and 2 decoder blocks", with an output for every second
voxel, trained to predict MIND-like descriptors. Widths and layers are not in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from warpline.networks.layers import Conv3d, convolution


class _Layers(nn.Sequential):
    """Convolutions, each with batch norm and an activation after it."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.training or torch.is_grad_enabled():
            return super().forward(features)
        # With fixed statistics the normalisation is part of the kernels.
        for layer, norm, activation in zip(self[::3], self[1::3], self[2::3], strict=True):
            features = activation(fuse_conv_bn_eval(layer, norm)(features))
        return features


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3³ convolutions with batch norm; the first may halve the resolution.

    Without the norm some trainings stay at the mean descriptor.
    """
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layer, activation = convolution(channels, outputs, 0.1, step)
        layers += [layer, nn.BatchNorm3d(outputs), activation]
    return _Layers(*layers)


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
        out = self.up_second(_merged(self.third(second), second))
        out = self.up_first(_merged(out, first))
        out = torch.sigmoid(self.last(out))
        return out[:, :, : size[0], : size[1], : size[2]]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See `features`."""
        return self.features(image)


def _blocks(image: torch.Tensor) -> torch.Tensor:
    """Blocks of 2³ voxels as channels: (B, 1, z, y, x) → (B, 8, z/2, y/2, x/2)."""
    batch, _, *shape = image.shape
    z, y, x = (n // 2 for n in shape)
    blocks = image.reshape(batch, z, 2, y, 2, x, 2).permute(0, 1, 3, 5, 2, 4, 6)
    return blocks.reshape(batch, z, y, x, 8).permute(0, 4, 1, 2, 3)


def _merged(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """The channels of a grid, brought to twice its resolution by the nearest voxel, and others."""
    if torch.is_grad_enabled():
        return torch.cat([F.interpolate(coarse, scale_factor=2.0), fine], dim=1)
    # Upsampled into its place.
    channels, (batch, others, *shape) = coarse.shape[1], fine.shape
    out = fine.new_empty(batch, *shape, channels + others)
    z, y, x = (n // 2 for n in shape)
    blocks = out[..., :channels].unflatten(1, (z, 2)).unflatten(3, (y, 2)).unflatten(5, (x, 2))
    blocks.copy_(coarse.permute(0, 2, 3, 4, 1)[:, :, None, :, None, :, None])
    out[..., channels:] = fine.permute(0, 2, 3, 4, 1)
    return out.permute(0, 4, 1, 2, 3)
