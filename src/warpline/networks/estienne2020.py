"""Shared encoder, subtracted features, spatial gradients (Estienne et al. 2020, section 2).

Where the paper is silent the layers follow its authors' published practice: see
docs/papers/estienne2020.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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


def between_faces(displacement: torch.Tensor) -> torch.Tensor:
    """Where images are read if −1 and 1, made for the outermost centres, are taken for outer faces.

    The place a on an axis of N voxels becomes N a/(N − 1) − ½: half a voxel lower at the one end
    and half a voxel higher at the other. (B, 3, z, y, x), voxels.
    """
    moved = []
    for axis, part in enumerate(displacement.unbind(1)):
        size = part.shape[1 + axis]
        place = torch.arange(size, device=part.device, dtype=part.dtype)
        line = place / (size - 1) - 0.5
        moved.append(part * (size / (size - 1)) + line.view(-1, *[1] * (2 - axis)))
    return torch.stack(moved, dim=1)


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
    aligned_corners
        Whether coordinates of −1 and 1 are the centres of the outermost voxels, for which they are
        made. The authors' networks were trained with images that are read as if they were the outer
        faces.

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
        aligned_corners: bool = True,
    ):
        super().__init__()
        if windows is not None and inputs is not None:
            raise TypeError("'windows' are the inputs: leave 'inputs' out")
        self.windows = None if windows is None else window_pairs(windows)
        if len(convolutions) != len(channels) - 1:
            raise TypeError("'convolutions' needs one count for each halving of 'channels'")
        self.aligned_corners = aligned_corners
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
        displacements = [integrate_gradients(2.0 * s) for s in gradients]
        if not self.aligned_corners:
            displacements = [between_faces(d) for d in displacements]
        return Prediction(displacements, gradients[-1])

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


def authors_names(network: Network) -> dict[str, str]:
    """Name of every tensor in the authors' published code, by its name here."""
    return encoder_names(network.state_dict(), "registration_decoder")


def encoder_names(own: Iterable[str], decoder: str) -> dict[str, str]:
    """The authors' names of what networks of `Encoder` and `Up` have; `decoder` is their name."""
    parts = (
        (r"encoder\.input\.first\.0", r"encoder.input.add_conv"),
        (r"encoder\.input\.second\.0", r"encoder.input.conv"),
        (r"encoder\.levels\.(\d+)\.0\.0", r"encoder.conv_blocks.\1.conv_pool.conv"),
        (r"encoder\.levels\.(\d+)\.1\.(\d+)\.0", r"encoder.conv_blocks.\1.nConvs.\2.conv"),
        (r"decoder\.(\d+)\.up\.0", rf"{decoder}.conv_list.\1.conv_tr.conv"),
        (r"decoder\.(\d+)\.convolutions\.(\d+)\.0", rf"{decoder}.conv_list.\1.nConvs.\2.conv"),
        (r"heads\.(\d+)", r"deep_blocks.convs_list.\1"),
        (r"last", rf"{decoder}.last_conv"),
    )
    found = {}
    for name in own:
        layer, _, kind = name.rpartition(".")
        theirs = next(re.sub(a, b, layer) for a, b in parts if re.fullmatch(a, layer))
        found[name] = f"{theirs}.{kind}"
    return found
