"""Layers that several networks share; on a CPU all work with channels last in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from warpline.networks import winograd

# torch leaves oneDNN, which is ten times as fast on a CPU, aside where batch × channels × z × y of
# a batch of one is below this (`use_mkldnn` in its ATen/native/Convolution.cpp).
UNAIDED = 20480
TINY = 256  # voxels; below, the layer itself costs less than asking for it another way


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`; on a CPU by oneDNN for small volumes too, and with fewer products.

    The same sum in another order. Weights, names and initialisation are those of the parent.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As the parent's: (B, C, z, y, x)."""
        if not self._single(input):
            return super().forward(input)
        if _small(input):
            return _Aided.apply(input, self.weight, self.bias, self.stride, self.padding)
        if self._fewer(input):
            return _Fewer.apply(input, self.weight, self.bias, self.padding[0])
        return super().forward(input)

    def _fewer(self, input: torch.Tensor) -> bool:
        return (
            self.kernel_size == (3, 3, 3)
            and self.stride == (1, 1, 1)
            and self.padding in ((0, 0, 0), (1, 1, 1))
            and winograd.pays(input, self.weight, winograd.WEIGHTS)
        )

    def _single(self, input: torch.Tensor) -> bool:
        """Whether it is a plain convolution in single precision on a CPU."""
        return (
            input.device.type == "cpu"
            and max(self.kernel_size) <= 3
            and self.kernel_size != (1, 1, 1)
            and self.groups == 1
            and self.dilation == (1, 1, 1)
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and input.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and torch.backends.mkldnn.is_available()
            and torch.backends.mkldnn.enabled
        )


def _small(input: torch.Tensor) -> bool:
    """Whether it is a volume for which torch would leave oneDNN aside."""
    shape = input.shape
    return len(input) == 1 and shape[:4].numel() <= UNAIDED and shape[2:].numel() > TINY


class _Fewer(torch.autograd.Function):
    """A convolution of which at least the gradient by the weights takes fewer products."""

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        padding: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.padding = padding
        if winograd.pays(input, weight):
            return winograd.convolve(input, weight, bias, padding)
        return F.conv3d(input, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        by_input = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            # The convolution's transpose: kernels turned round, inputs for outputs.
            turned = weight.flip(2, 3, 4).transpose(0, 1)
            margin = 2 - ctx.padding
            if winograd.pays(gradient, turned):
                by_input = winograd.convolve(gradient, turned, None, margin)
            else:
                by_input = F.conv3d(gradient, turned, padding=margin)
        if ctx.needs_input_grad[1]:
            by_weight = winograd.weight_gradient(input, gradient, ctx.padding)
        if ctx.needs_input_grad[2]:
            by_bias = gradient.sum(dim=(0, 2, 3, 4))
        return by_input, by_weight, by_bias, None


class _Aided(torch.autograd.Function):
    """A convolution of one small volume by oneDNN, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding, ctx.biased = stride, padding, bias is not None
        return torch.ops.aten.mkldnn_convolution(input, weight, bias, padding, stride, (1, 1, 1), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:2], ctx.biased and ctx.needs_input_grad[2]]
        # torch takes oneDNN for a batch of two: the volume's lower and upper slices.
        size, half = input.shape[2], -(-gradient.shape[2] // 2)
        (step, *steps), (margin, *margins) = ctx.stride, ctx.padding
        reach, second = (half - 1) * step + weight.shape[2], half * step
        padded = F.pad(input, (0, 0, 0, 0, margin, max(second + reach - margin - size, 0)))
        by_input, by_weight, by_bias = torch.ops.aten.convolution_backward(
            F.pad(gradient, (0, 0, 0, 0, 0, -gradient.shape[2] % 2))
            .unflatten(2, (2, half))[0]
            .transpose(0, 1),
            torch.cat([padded[:, :, :reach], padded[:, :, second : second + reach]]),
            weight,
            [len(weight)],
            (step, *steps),
            (0, *margins),
            (1, 1, 1),
            False,
            (0, 0, 0),
            1,
            needed,
        )
        if needed[0]:
            whole = torch.zeros_like(padded)
            whole[:, :, :reach] = by_input[:1]
            whole[:, :, second : second + reach] += by_input[1:]
            by_input = whole[:, :, margin : margin + size]
        return by_input, by_weight, by_bias, None, None


def convolution(inputs: int, outputs: int, slope: float, stride: int = 1) -> nn.Sequential:
    """A 3³ convolution and a leaky ReLU, initialised for its `slope` (He et al. 2015)."""
    layer = Conv3d(inputs, outputs, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(slope, inplace=True))


def side_by_side(moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Both images as channels, (B, 2 · C, z, y, x).

    In the layout of features: otherwise what is put beside them is copied whole.
    """
    both = torch.cat([moving, fixed], dim=1)
    return both.contiguous(memory_format=torch.channels_last_3d)


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
