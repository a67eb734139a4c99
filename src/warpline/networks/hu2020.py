"""The network of Hu et al. 2020: probabilistic diffeomorphic VoxelMorph (Dalca et al. 2019).

One U-Net gives mean and log-variance of a stationary velocity field at half resolution. Training
integrates a draw from that distribution, registration its mean. The exponential of the negative
velocity is the inverse, so that one pass of the U-Net gives both directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from warpline.fields.algebra import exponentiate
from warpline.networks import Prediction, RegistrationNetwork, Velocity
from warpline.networks.layers import Conv3d
from warpline.networks.voxelmorph import Level, finer


class Network(RegistrationNetwork):
    """VoxelMorph at half resolution with two heads, for mean and log-variance of the velocity.

    Parameters
    ----------
    inputs
        Channels of an image.
    encoder, decoder, slope
        As `warpline.networks.voxelmorph.Network` has them.
    integration_steps
        Squarings of the exponential.
    """

    invertible = True

    def __init__(
        self,
        inputs: int = 1,
        encoder: Sequence[int] = (16, 32, 32, 32),
        decoder: Sequence[int] = (32, 32, 32, 32, 32, 16, 16),
        slope: float = 0.2,
        integration_steps: int = 7,
    ):
        super().__init__()
        if len(decoder) != len(encoder) + 3:
            raise TypeError("'decoder' needs three entries more than 'encoder'")
        self.stride = 2 ** len(encoder)
        self.integration_steps = integration_steps
        self.level = Level(inputs, encoder, decoder, slope, half_resolution=True)
        # Both heads in one convolution: three channels of the mean, three of the log-variance.
        heads = Conv3d(decoder[-1], 6, 3, padding=1)
        nn.init.normal_(heads.weight[:3], std=1e-5)
        nn.init.normal_(heads.weight[3:], std=1e-10)
        nn.init.zeros_(heads.bias[:3])
        nn.init.constant_(heads.bias[3:], -10.0)
        self.level.flow = heads

    def velocity(self, moving: torch.Tensor, fixed: torch.Tensor) -> Velocity:
        """The distribution of velocities, on a grid of half as many voxels along each axis."""
        return Velocity(*self.level(moving, fixed).chunk(2, dim=1))

    def transformation(self, velocity: torch.Tensor) -> torch.Tensor:
        """The voxel displacement at full resolution of a velocity (B, 3, z/2, y/2, x/2)."""
        return finer(exponentiate(velocity, self.integration_steps))

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """The exponentials of one velocity and of its negative, which is that of the inverse."""
        there = self.velocity(moving, fixed)
        velocity = there.draw() if self.training else there.mean
        forward = Prediction([self.transformation(velocity)], velocity=there)
        if not backward:
            return forward, None
        back = Velocity(-there.mean, there.log_variance)
        return forward, Prediction([self.transformation(-velocity)], velocity=back)
