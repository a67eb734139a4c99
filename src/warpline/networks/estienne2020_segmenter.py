"""The 3-D U-Net that Estienne et al. 2020 segment abdominal organs with (section 2).

"3D UNet", leaky ReLU and instance norm are in the paper (section 2.1). Widths, the softmax and the
single CT window follow its authors' published practice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from warpline.cases.organs import ORGANS
from warpline.networks.estienne2020 import Encoder, Up, encoder_names
from warpline.networks.layers import Conv3d, ct_windows, window_pairs

ELEVEN = ORGANS[:11]  # the paper's: all but the adrenal glands


class Network(nn.Module):
    """Probabilities of background and organs at every voxel of a CT.

    A softmax, also for training on cases that have only some organs annotated: organs do not
    overlap, so that an annotated one teaches where the others are not. Background has no Dice of
    its own; it takes what is left where no organ may be.

    Parameters
    ----------
    organs
        Names, as in `warpline.cases.organs`; channel 0 is background, channel k + 1 organ k.
    windows
        (centre, width) in HU; each clips the CT, scales it to 0 … 1, and is one input channel.
    channels
        At full resolution and after every halving.
    convolutions
        3³ convolutions after each halving; the decoder mirrors them.
    """

    def __init__(
        self,
        organs: Sequence[str] = ELEVEN,
        windows: Sequence[Sequence[float]] = ((40.0, 400.0),),
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        convolutions: Sequence[int] = (1, 2, 3, 2),
    ):
        super().__init__()
        if len(convolutions) != len(channels) - 1:
            raise TypeError("'convolutions' needs one count for each halving of 'channels'")
        if not organs or len(set(organs)) != len(organs):
            raise TypeError("'organs' needs at least one organ, and each one once")
        self.organs = tuple(organs)
        self.windows = window_pairs(windows)
        self.stride = 2 ** len(convolutions)
        self.encoder = Encoder(len(self.windows), channels, convolutions, "leaky_relu")
        self.decoder = nn.ModuleList(
            Up(channels[i + 1], channels[i], convolutions[i], "leaky_relu", residual=False)
            for i in reversed(range(len(convolutions)))
        )
        self.last = Conv3d(channels[0], 1 + len(self.organs), 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, 1 + organs, z, y, x), float32, of a CT (B, 1, z, y, x) in HU.

        Sizes that are no multiple of `stride` are filled up with the values at their ends, and at
        least to twice the stride: instance norm needs more than one voxel.
        """
        size = image.shape[2:]
        wide = [max(-(-n // self.stride), 2) * self.stride - n for n in size]
        image = F.pad(image, [n for w in reversed(wide) for n in (0, w)], mode="replicate")
        features = self.encoder(ct_windows(image, self.windows))
        out = features[-1]
        for up, skip in zip(self.decoder, features[-2::-1], strict=True):
            out = up(out, skip)
        out = self.last(out)[:, :, : size[0], : size[1], : size[2]]
        # In single precision, whatever the layers compute in.
        return torch.softmax(out.float(), dim=1)


def authors_names(network: Network) -> dict[str, str]:
    """Name of every tensor in the authors' published code, by its name here."""
    return encoder_names(network.state_dict(), "segmentation_decoder")
