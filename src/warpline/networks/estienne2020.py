"""Shared encoder, subtracted features, spatial gradients (Estienne et al. 2020, section 2).

Where the paper is silent the layers follow its authors' published practice: see
docs/papers/estienne2020.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from warpline.fields.integration import integrate_gradients
from warpline.networks import Prediction, RegistrationNetwork
from warpline.networks.layers import Conv3d, ct_windows, window_pairs

ACTIVATIONS = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
}


def _unit(convolution: nn.Module, channels: int, activation: str) -> nn.Sequential:
    return nn.Sequential(convolution, nn.InstanceNorm3d(channels), ACTIVATIONS[activation]())


def _convolutions(inputs: int, outputs: int, count: int, activation: str) -> nn.Sequential:
    channels = [inputs] + [outputs] * count
    return nn.Sequential(
        *(_unit(Conv3d(a, b, 3, padding=1), b, activation) for a, b in pairwise(channels))
    )


def _gradients(logits: torch.Tensor) -> torch.Tensor:
    """Sigmoid in single precision: cumulative sums lose digits in half precision."""
    return torch.sigmoid(logits.float())


def _run(module: nn.Module, recomputed: bool, *inputs: torch.Tensor) -> torch.Tensor:
    """What a module makes of its inputs; `recomputed` in the backward pass, nothing is kept."""
    if recomputed and torch.is_grad_enabled():
        return checkpoint(module, *inputs, use_reentrant=False)
    return module(*inputs)


class InputBlock(nn.Module):
    """Two 3³ convolutions with a residual and no normalisation."""

    def __init__(self, inputs: int, outputs: int, activation: str):
        super().__init__()
        self.first = nn.Sequential(Conv3d(inputs, outputs, 3, padding=1), ACTIVATIONS[activation]())
        self.second = nn.Sequential(
            Conv3d(outputs, outputs, 3, padding=1), ACTIVATIONS[activation]()
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.first(image)
        return features + self.second(features)


class Encoder(nn.Module):
    """Features of one image at every resolution, fine to coarse."""

    def __init__(self, inputs: int, channels: Sequence[int], counts: Sequence[int], act: str):
        super().__init__()
        self.input = InputBlock(inputs, channels[0], act)
        self.levels = nn.ModuleList(
            nn.Sequential(_unit(Conv3d(a, b, 2, stride=2), b, act), _convolutions(b, b, count, act))
            for a, b, count in zip(channels, channels[1:], counts, strict=False)
        )

    def forward(self, image: torch.Tensor, recomputed: int = 0) -> list[torch.Tensor]:
        features = [_run(self.input, recomputed > 0, image)]
        for k, level in enumerate(self.levels, start=1):
            features.append(_run(level, recomputed > k, features[-1]))
        return features


class Up(nn.Module):
    """Transposed convolution, concatenation with the skip, convolutions."""

    def __init__(self, inputs: int, outputs: int, count: int, act: str, residual: bool):
        super().__init__()
        self.up = _unit(nn.ConvTranspose3d(inputs, outputs, 2, stride=2), outputs, act)
        self.convolutions = _convolutions(2 * outputs, outputs, count, act)
        self.residual = residual

    def forward(self, coarse: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        up = self.up(coarse)
        out = self.convolutions(torch.cat([up, skip], dim=1))
        return out + up if self.residual else out


class Network(RegistrationNetwork):
    """The registration network of Estienne et al. 2020.

    Parameters
    ----------
    inputs
        Channels of an image; not given with `windows`.
    channels
        Channels at full resolution and after every halving.
    convolutions
        3³ convolutions after each halving; the decoder mirrors them.
    activation
        ``relu`` or ``leaky_relu`` (slope 0.01).
    decoder_residual
        Add the upsampled features back after the decoder's convolutions.
    deep_supervision
        Predict a transformation from every coarser level too.
    windows
        Of a CT in HU: (centre, width) of each input channel.
    recomputed
        Of how many of the finest resolutions the activations are not kept for the backward pass but
        computed again: less memory, the same numbers.

    Raises
    ------
    TypeError
        If the parameters do not fit each other.
    """

    def __init__(
        self,
        inputs: int | None = None,
        channels: Sequence[int] = (32, 64, 128, 256, 512),
        convolutions: Sequence[int] = (1, 2, 3, 2),
        activation: str = "leaky_relu",
        decoder_residual: bool = True,
        deep_supervision: bool = True,
        windows: Sequence[Sequence[float]] | None = None,
        recomputed: int = 0,
    ):
        super().__init__()
        if windows is not None and inputs is not None:
            raise TypeError("'windows' are the inputs: leave 'inputs' out")
        self.windows = None if windows is None else window_pairs(windows)
        if len(convolutions) != len(channels) - 1:
            raise TypeError("'convolutions' needs one count for each halving of 'channels'")
        self.stride, self.recomputed = 2 ** len(convolutions), recomputed
        inputs = len(self.windows) if self.windows else inputs or 1
        self.encoder = Encoder(inputs, channels, convolutions, activation)
        self.decoder = nn.ModuleList(
            Up(channels[i + 1], channels[i], convolutions[i], activation, decoder_residual)
            for i in reversed(range(len(convolutions)))
        )
        self.heads = nn.ModuleList(
            Conv3d(channels[i], 3, 3, padding=1)
            for i in reversed(range(1 if deep_supervision else len(channels), len(channels)))
        )
        self.last = Conv3d(channels[0], 3, 3, padding=1)
        # A zero logit is the identity, so training starts from it.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """The CT windows (B, windows, z, y, x) of an image in HU; without windows, the image."""
        return image if self.windows is None else ct_windows(image, self.windows)

    def decode(self, difference: list[torch.Tensor]) -> Prediction:
        """Transformation from subtracted features, fine to coarse."""
        gradients = []
        out = difference[-1]
        for level, up in enumerate(self.decoder):
            if len(self.heads):
                # Nearest upsampling commutes with the sigmoid, which is cheaper before it.
                coarse = _gradients(self.heads[level](out))
                scale = 2 ** (len(self.decoder) - level)
                gradients.append(F.interpolate(coarse, scale_factor=float(scale)))
            recomputed = self.recomputed > len(self.decoder) - 1 - level
            out = _run(up, recomputed, out, difference[-2 - level])
        gradients.append(_gradients(self.last(out)))
        return Prediction([integrate_gradients(2.0 * s) for s in gradients], gradients[-1])

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """Decode E(M) − E(F) and, if asked, E(F) − E(M): the encoder works once for both."""
        features = [
            f.chunk(2)
            for f in self.encoder(self.channels(torch.cat([moving, fixed])), self.recomputed)
        ]
        difference = [m - f for m, f in features]
        if not backward:
            return self.decode(difference), None
        both = self.decode([torch.cat([d, -d]) for d in difference])
        displacements = zip(*(d.chunk(2) for d in both.displacements), strict=True)
        forward, backward_ = (
            Prediction(list(d), g)
            for d, g in zip(displacements, both.gradients.chunk(2), strict=True)
        )
        return forward, backward_
