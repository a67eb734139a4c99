"""MIND-SSC: what a voxel's neighbourhood looks like, whatever the scale of the intensities.

Heinrich et al. 2012, Medical Image Analysis 16:1423 (the principle) and 2013, MICCAI, LNCS 8149:187
(the self-similarity context: which patches are compared).
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F

from warpline.fields.filters import mean_over_cube

# The six neighbours (z, y, x), and their twelve pairs that lie at right angles.
NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple(
    (a, b)
    for a, b in combinations(NEIGHBOURS, 2)
    if sum(u * v for u, v in zip(a, b, strict=True)) == 0
)
# The variance is kept within these multiples of its mean over the image.
LIMITS = (1e-3, 1e3)


def mind_ssc(image: torch.Tensor, radius: int = 1, dilation: int = 2) -> torch.Tensor:
    """Twelve self-similarities of each voxel: ``exp(−(D − min D) / V)``.

    D is the mean squared difference of the patches around two neighbours of the voxel, V its mean
    over the twelve pairs of neighbours.

    Parameters
    ----------
    image
        (B, 1, z, y, x); beyond its faces it goes on with the values there.
    radius
        Of the patches: 2 · radius + 1 voxels wide.
    dilation
        How far the neighbours are from the voxel, voxels.

    Returns
    -------
    torch.Tensor
        (B, 12, z, y, x), within (0, 1]; 1 everywhere where an image does not vary.
    """
    shape = image.shape[2:]
    padded = F.pad(image, [dilation] * 6, mode="replicate")

    def shifted(offset: tuple[int, int, int]) -> torch.Tensor:
        starts = [dilation * (1 + step) for step in offset]
        return padded[:, :, *(slice(a, a + n) for a, n in zip(starts, shape, strict=True))]

    squares = torch.cat([(shifted(a) - shifted(b)) ** 2 for a, b in PAIRS], dim=1)
    distance = mean_over_cube(squares, 2 * radius + 1)
    distance = distance - distance.amin(dim=1, keepdim=True)
    variance = distance.mean(dim=1, keepdim=True)
    mean = variance.mean(dim=(2, 3, 4), keepdim=True)
    # Of an image that does not vary the mean is 0.
    least = torch.finfo(variance.dtype).tiny
    variance = variance.clamp(LIMITS[0] * mean, LIMITS[1] * mean).clamp_min(least)
    return torch.exp(-distance / variance)


def pooled_mind_ssc(image: torch.Tensor, radius: int = 1, dilation: int = 2) -> torch.Tensor:
    """`mind_ssc` averaged over blocks of 2³ voxels, (B, 12, z/2, y/2, x/2).

    What the feature network is trained to predict; an odd size loses its last voxel.
    """
    return F.avg_pool3d(mind_ssc(image, radius, dilation), 2)
