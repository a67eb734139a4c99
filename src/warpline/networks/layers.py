"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

# Up to so many output voxels torch's own convolution takes several times as long as slices do on a
# CPU (benchmarks/convolution.py); above, it is as fast and needs less memory.
SMALL = 2**16


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`; on a CPU, small volumes go slice by slice.

    The same sum in another order: a convolution over z is a sum, over its taps, of convolutions of
    slices. Weights, names and initialisation are those of the parent.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As the parent's: (B, C, z, y, x)."""
        if input.device.type != "cpu" or not self._plain() or self._voxels(input) > SMALL:
            return super().forward(input)
        step, pad = self.stride[0], self.padding[0]
        slices = F.pad(input, (0, 0, 0, 0, pad, pad)).transpose(1, 2)  # (B, z, C, y, x)
        count = (slices.shape[1] - self.kernel_size[0]) // step + 1
        out = None
        for tap, weight in enumerate(self.weight.unbind(2)):
            chosen = slices[:, tap : tap + step * (count - 1) + 1 : step].flatten(0, 1)
            part = F.conv2d(
                chosen,
                weight,
                self.bias if out is None else None,
                stride=self.stride[1:],
                padding=self.padding[1:],
            )
            out = part if out is None else out + part
        return out.unflatten(0, (len(input), count)).transpose(1, 2)

    def _plain(self) -> bool:
        return (
            self.groups == 1
            and self.dilation == (1, 1, 1)
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
        )

    def _voxels(self, input: torch.Tensor) -> int:
        count = len(input)
        for size, step in zip(input.shape[2:], self.stride, strict=True):
            count *= size // step
        return count


def convolution(inputs: int, outputs: int, slope: float, stride: int = 1) -> nn.Sequential:
    """A 3³ convolution and a leaky ReLU, initialised for its `slope` (He et al. 2015)."""
    layer = Conv3d(inputs, outputs, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(slope, inplace=True))


def window_pairs(windows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """CT windows of a recipe as pairs (centre, width), HU.

    Raises
    ------
    TypeError
        If there is none, or one is no such pair.
    """
    if not windows or any(len(w) != 2 or not w[1] > 0 for w in windows):
        raise TypeError("'windows' needs at least one (centre, width), widths above 0")
    return [(float(centre), float(width)) for centre, width in windows]


def ct_windows(image: torch.Tensor, windows: Sequence[tuple[float, float]]) -> torch.Tensor:
    """CT windows as channels: (B, 1, z, y, x) in HU → (B, windows, z, y, x) in [0, 1]."""
    return torch.cat([(image - c) / w + 0.5 for c, w in windows], dim=1).clamp(0, 1)
