"""What of a voxel is compared.

Of images that show tissues in like shades, two channels: intensities normalised in a small window,
whose squared difference is a local correlation's, and intensities normalised over the image. Of
images that do not, as CT and MR, the self-similarities of MIND-SSC. Beside either whatever else
both have, such as a segmenter's probabilities or learned descriptors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from warpline.fields.filters import mean_over_cube
from warpline.registration.embedding.descriptors import mind_ssc
from warpline.registration.variational.velocity import coarser, shrunk

FAINT = 0.02  # of the image's range: a standard deviation in a window that counts as nothing
SEEN = 20_000  # voxels in which two images' shades are compared
ALIKE = 0.2  # correlation of these from which on shades are like
IN_ORDER = 0.95  # of what one's shades tell of the other's, the least that an order of them tells
LEVELS = 32  # of shades, to find that out


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

    def also(self, extra: torch.Tensor, weight: float) -> Features:
        """With further channels (1, C, z, y, x).

        `weight` is that of their mean squared difference beside that of the channels so far.
        """
        # The mean over all channels is taken of the squares: each group gets its share.
        more, own = extra.shape[1], self.channels.shape[1]
        total = (own + more) ** 0.5
        scaled = self.channels * (total / own**0.5), extra * (total * (weight / more) ** 0.5)
        return Features(torch.cat(scaled, dim=1), self.known)


def shades(
    image: torch.Tensor, known: torch.Tensor, window: int, weights: tuple[float, float]
) -> torch.Tensor:
    """Intensities of an image (1, 1, z, y, x) normalised in a window and over the image.

    Parameters
    ----------
    window
        Of the first channel, odd, in voxels.
    weights
        Of both channels' mean squared differences; a channel of weight 0 is left out.

    Returns
    -------
    torch.Tensor
        (1, 1 or 2, z, y, x).
    """
    channels = []
    count = max(sum(w > 0 for w in weights), 1)
    if weights[0] > 0:
        channels.append(normalised(image, known, window) * (weights[0] * count) ** 0.5)
    if weights[1] > 0:
        total = known.sum().clamp_min(1)
        mean = (image * known).sum() / total
        spread = (((image - mean).square() * known).sum() / total).sqrt()
        channels.append((image - mean) / (spread + FAINT) * (weights[1] * count) ** 0.5)
    return torch.cat(channels, dim=1)


def normalised(image: torch.Tensor, known: torch.Tensor, window: int) -> torch.Tensor:
    """Intensities less their mean in a window, by their standard deviation there."""
    share = mean_over_cube(known, window).clamp_min(1e-3)
    mean = mean_over_cube(image * known, window) / share
    variance = (mean_over_cube(image.square() * known, window) / share - mean.square()).clamp_min(0)
    return (image - mean) * known / (variance + FAINT**2).sqrt()


def likeness_of_shades(
    fixed: tuple[torch.Tensor, torch.Tensor], moving: tuple[torch.Tensor, torch.Tensor]
) -> float:
    """Correlation of two roughly aligned images over what both know, seen coarsely.

    The mean of that of their intensities and that of their intensities in windows of 5 voxels.
    """
    box = fixed[0].shape[2:]
    shape = coarser(box, max(1.0, (box.numel() / SEEN) ** (1 / 3)))
    (a, in_a), (b, in_b) = ([shrunk(part, shape) for part in one] for one in (fixed, moving))
    weight = in_a * in_b

    def correlation(x: torch.Tensor, y: torch.Tensor) -> float:
        x, y = (part - (part * weight).sum() / weight.sum().clamp_min(1e-6) for part in (x, y))
        energy = ((x * x * weight).sum() * (y * y * weight).sum()).sqrt()
        return float((x * y * weight).sum() / energy.clamp_min(1e-6))

    return (correlation(a, b) + correlation(normalised(a, in_a, 5), normalised(b, in_b, 5))) / 2


def order_of_shades(
    fixed: tuple[torch.Tensor, torch.Tensor], moving: tuple[torch.Tensor, torch.Tensor]
) -> float:
    """Whether what is brighter in one image is brighter in the other, from 0 to 1.

    Of the variance of one's shades that the other's explain, by whatever function of them (the
    correlation ratio; Roche et al., MICCAI 1998), the part that a function explains which never
    falls; of both directions the smaller. A body in dark air correlates in CT and MR as well,
    whatever its tissues' shades: this does not.
    """
    box = fixed[0].shape[2:]
    shape = coarser(box, max(1.0, (box.numel() / SEEN) ** (1 / 3)))
    (a, in_a), (b, in_b) = ([shrunk(part, shape) for part in one] for one in (fixed, moving))
    weight = (in_a * in_b).flatten().double()
    if float(weight.sum()) < 1:
        return 0.0
    shades = a.flatten().double(), b.flatten().double()
    return min(_explained_in_order(*shades, weight), _explained_in_order(*shades[::-1], weight))


def _explained_in_order(of: torch.Tensor, by: torch.Tensor, weight: torch.Tensor) -> float:
    low, high = float(by.min()), float(by.max())
    level = ((by - low) / max(high - low, 1e-9) * LEVELS).long().clamp_max(LEVELS - 1)
    empty = torch.zeros(LEVELS, dtype=torch.float64, device=of.device)
    counts = empty.index_add(0, level, weight)
    sums = empty.index_add(0, level, weight * of)
    some = counts > 0
    counts, means = counts[some].tolist(), (sums[some] / counts[some]).tolist()
    whole = sum(n * m for n, m in zip(counts, means, strict=True)) / sum(counts)

    def explained(blocks: list[tuple[float, float]]) -> float:
        return sum(n * (m - whole) ** 2 for n, m in blocks)

    # Means that would fall are put together (pool adjacent violators).
    blocks: list[tuple[float, float]] = []
    for n, m in zip(counts, means, strict=True):
        blocks.append((n, m))
        while len(blocks) > 1 and blocks[-2][1] > blocks[-1][1]:
            (n, m), (n0, m0) = blocks.pop(), blocks.pop()
            blocks.append((n + n0, (n * m + n0 * m0) / (n + n0)))
    free = explained(list(zip(counts, means, strict=True)))
    return explained(blocks) / free if free > 1e-12 else 0.0


def self_similarities(image: torch.Tensor, radius: int, dilation: int) -> torch.Tensor:
    """MIND-SSC, (1, 12, z, y, x); see `warpline.registration.embedding.descriptors.mind_ssc`."""
    return mind_ssc(image, radius, dilation)
