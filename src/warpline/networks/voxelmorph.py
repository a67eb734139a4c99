"""VoxelMorph (Balakrishnan et al. 2019), deterministic, at one resolution or at several.

The layers are those of its larger published variant. Hansen & Heinrich 2020 list it with two
levels and do not say of what; here a level is a resolution with a network of its own, see
`Network`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from warpline.fields.algebra import compose, exponentiate
from warpline.fields.sampling import warp
from warpline.networks import Prediction, RegistrationNetwork
from warpline.networks.layers import Conv3d, convolution, side_by_side


class Level(nn.Module):
    """The U-Net of one resolution: a displacement, or a velocity, from the concatenated pair.

    Parameters are those of `Network`.
    """

    def __init__(
        self,
        inputs: int,
        encoder: Sequence[int],
        decoder: Sequence[int],
        slope: float,
        half_resolution: bool,
    ):
        super().__init__()
        skips = [2 * inputs, *encoder]
        self.encoder = nn.ModuleList(
            convolution(a, b, slope, stride=2) for a, b in zip(skips, encoder, strict=False)
        )
        *ups, third, fourth, full, last = decoder
        channels = encoder[-1]
        self.ups = nn.ModuleList()
        for width, skip in zip(ups, reversed(encoder[:-1]), strict=True):
            self.ups.append(convolution(channels, width, slope))
            channels = width + skip
        self.middle = nn.Sequential(
            convolution(channels, third, slope), convolution(third, fourth, slope)
        )
        self.half_resolution = half_resolution
        self.full = nn.Sequential(
            convolution(fourth + (0 if half_resolution else 2 * inputs), full, slope),
            convolution(full, last, slope),
        )
        self.flow = Conv3d(last, 3, 3, padding=1)
        # Training starts next to the identity.
        nn.init.normal_(self.flow.weight, std=1e-5)
        nn.init.zeros_(self.flow.bias)

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
        """(B, 3, z, y, x) of images (B, C, z, y, x); with `half_resolution` half of each axis."""
        features = [side_by_side(moving, fixed)]
        for layer in self.encoder:
            features.append(layer(features[-1]))
        out = features[-1]
        for up, skip in zip(self.ups, features[-2:0:-1], strict=True):
            out = torch.cat([F.interpolate(up(out), scale_factor=2.0), skip], dim=1)
        out = self.middle(out)
        if not self.half_resolution:
            out = torch.cat([F.interpolate(out, scale_factor=2.0), features[0]], dim=1)
        # In single precision: displacements are added to coordinates.
        return self.flow(self.full(out)).float()


class Network(RegistrationNetwork):
    """VoxelMorph at `levels` resolutions.

    The coarsest level sees both images averaged over cubes of ``2**(levels − 1)`` voxels. Every
    finer one sees the moving image warped by what the coarser ones found, and its displacement is
    composed with theirs: ``T = T_coarse ∘ T_fine``. The prediction holds the fields coarse to
    fine, so that a loss of images teaches every level.

    Parameters
    ----------
    inputs
        Channels of an image.
    encoder
        Channels after every halving (3³ convolutions of stride 2).
    decoder
        Channels of the 3³ convolutions on the way up: one a level, each followed by upsampling and
        the skip; at half resolution two; after the last upsampling two. One has three entries more
        than `encoder`.
    slope
        Of the leaky ReLU.
    levels
        Resolutions, each with a network of its own; 1 is plain VoxelMorph.
    half_resolution
        Predict at half resolution and interpolate the displacement; the decoder's last two
        convolutions then work there too, without the images beside them.
    integration_steps
        Squarings of the exponential, if the network predicts velocities (Dalca et al. 2018); 0 for
        displacements.
    """

    def __init__(
        self,
        inputs: int = 1,
        encoder: Sequence[int] = (16, 32, 32, 32),
        decoder: Sequence[int] = (32, 32, 32, 32, 32, 16, 16),
        slope: float = 0.2,
        levels: int = 1,
        half_resolution: bool = False,
        integration_steps: int = 0,
    ):
        super().__init__()
        if len(decoder) != len(encoder) + 3:
            raise TypeError("'decoder' needs three entries more than 'encoder'")
        if levels < 1:
            raise TypeError("'levels' is at least 1")
        self.stride = 2 ** (len(encoder) + levels - 1)
        self.integration_steps = integration_steps
        self.levels = nn.ModuleList(
            Level(inputs, encoder, decoder, slope, half_resolution) for _ in range(levels)
        )

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """Predict each direction on its own; the pair's order is all that differs."""
        return self._one(moving, fixed), self._one(fixed, moving) if backward else None

    def _one(self, moving: torch.Tensor, fixed: torch.Tensor) -> Prediction:
        pyramid = [(moving, fixed)]
        for _ in self.levels[1:]:
            pyramid.append(tuple(F.avg_pool3d(image, 2) for image in pyramid[-1]))
        found: list[torch.Tensor] = []
        for level, (own_moving, own_fixed) in zip(self.levels, reversed(pyramid), strict=True):
            found = [finer(coarse) for coarse in found]
            seen = warp(own_moving, found[-1]) if found else own_moving
            flow = level(seen, own_fixed)
            if self.integration_steps:
                flow = exponentiate(flow, self.integration_steps)
            if level.half_resolution:
                flow = finer(flow)
            found.append(compose(found[-1], flow) if found else flow)
        return Prediction(found)


def finer(displacement: torch.Tensor) -> torch.Tensor:
    """A voxel displacement (B, 3, z, y, x) on a grid of twice as many voxels along each axis.

    A coarse voxel is a cube of eight fine ones, so fine index ``i`` lies at ``(i − ½) / 2``; read
    linearly, and in finer voxels twice as long.
    """
    # The same places as by `sample`, without their coordinates: a third of the time.
    fine = F.interpolate(displacement, scale_factor=2.0, mode="trilinear", align_corners=False)
    return fine.mul_(2.0)
