"""What of a voxel is compared: self-similarities, and whatever else both images have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from warpline.registration.embedding.descriptors import mind_ssc
from warpline.registration.variational.velocity import shrunk


@dataclass(frozen=True)
class Features:
    """One scan on the frame, as it is compared.

    Attributes
    ----------
    channels
        (1, C, z, y, x); their scale is their weight.
    known
        (1, 1, z, y, x) within [0, 1].
    """

    channels: torch.Tensor
    known: torch.Tensor

    def at(self, shape: Sequence[int]) -> Features:
        """On a coarser grid of the same box."""
        return Features(shrunk(self.channels, shape), shrunk(self.known, shape))


def features(
    image: torch.Tensor,
    known: torch.Tensor,
    *,
    radius: int,
    dilation: int,
    extra: torch.Tensor | None = None,
    weight: float = 1.0,
) -> Features:
    """Self-similarities of an image (1, 1, z, y, x), and further channels.

    Parameters
    ----------
    radius, dilation
        See `warpline.registration.embedding.descriptors.mind_ssc`.
    extra
        (1, C, z, y, x) of the same grid, such as a segmenter's probabilities or descriptors.
    weight
        Of the mean squared difference of all of `extra` in units of that of the self-similarities.
    """
    channels = mind_ssc(image, radius, dilation)
    if extra is not None:
        # The mean over all channels is taken of the squares: give each group its share.
        scale = (weight * channels.shape[1] / extra.shape[1]) ** 0.5
        channels = torch.cat([channels, extra * scale], dim=1)
    return Features(channels, known)
