"""Distinctive points of an image: the Foerstner operator in three dimensions.

Hansen & Heinrich 2020, section 2; operator and constants as in Rühaak et al. 2017, IEEE TMI
36:1746.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from warpline.devices.abreast import abreast
from warpline.errors import WarplineError

# Fourth-order central difference, as a correlation: the derivative per voxel.
TAPS = (1 / 12, -8 / 12, 0.0, 8 / 12, -1 / 12)
SIGMA = 1.4  # voxels
# A point whose structure is that of a line or a plane scores nothing but rounding errors.
LEAST = 1e-5
WIDEST = 64  # voxels: no two keypoints need be further apart
PLANES = 32  # of an image worked on at a time


def foerstner(image: torch.Tensor, sigma: float = SIGMA) -> torch.Tensor:
    """How distinctive each voxel is: ``1 / trace(S⁻¹)`` of the structure tensor S.

    Parameters
    ----------
    image
        (B, 1, z, y, x); beyond its faces it goes on with the values there.
    sigma
        Of the Gaussian by which the products of the gradient are smoothed, voxels.

    Returns
    -------
    torch.Tensor
        (B, 1, z, y, x), squared units of the image; 0 where S is singular.
    """
    taps = image.new_tensor(TAPS)
    gradient = [_along(image, taps, axis) for axis in range(3)]
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    window = _gaussian(sigma, image)
    products = []
    for a, b in pairs:
        product = gradient[a] * gradient[b]
        for axis in range(3):
            product = _along(product, window, axis)
        products.append(product)
    zz, yy, xx, zy, zx, yx = products
    # trace(S⁻¹) = (sum of the principal minors) / det S
    minors = yy * xx - yx * yx, zz * xx - zx * zx, zz * yy - zy * zy
    determinant = zz * minors[0] - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)
    total = minors[0] + minors[1] + minors[2]
    scale = zz + yy + xx
    regular = (total > LEAST * scale**2) & (determinant > LEAST * scale**3)
    return torch.where(regular, determinant / total, torch.zeros_like(total))


def keypoints(
    image: torch.Tensor,
    mask: torch.Tensor,
    number: int = 1500,
    erosion: int = 3,
    sigma: float = SIGMA,
) -> torch.Tensor:
    """The most distinctive points inside a mask, spread over it.

    Local maxima of `foerstner` are thinned out: a point stays if none within r voxels, along each
    axis, is more distinctive. The r taken is the largest that leaves `number` points; the strongest
    of those are the answer. So there are fewer only where the mask holds fewer local maxima.

    Parameters
    ----------
    image
        (1, 1, z, y, x).
    mask
        (z, y, x), 0 outside.
    erosion
        Voxels by which the mask is eroded first, along each axis: at its surface the structure is
        that of the surface.

    Returns
    -------
    torch.Tensor
        (n, 3), int64, indices (z, y, x), the most distinctive first.

    Raises
    ------
    WarplineError
        If the mask is empty, or too thin to be eroded, or the image has no keypoint inside it.
    """
    inside = _eroded(mask, erosion)
    if not inside.any():
        reason = (
            f"is nowhere thicker than {2 * erosion} voxels" if (mask != 0).any() else "is empty"
        )
        raise WarplineError(
            f"The mask {reason}: no keypoint can lie inside it.",
            where="mask of the fixed image",
            do="Look at the mask beside the image: it must be that of the lungs, on the same grid.",
        )
    score = _in_slabs(image, sigma)
    peaks = torch.where((score == _maximum(score, 1)) & inside, score, torch.zeros_like(score))
    if not (peaks > 0).any():
        raise WarplineError(
            "The image has no keypoints inside its mask: its intensities hardly vary there.",
            where="fixed image",
            do="Look at the image, and at what 'prepare' makes of its intensities.",
        )
    kept, widest = peaks, peaks
    for _ in range(WIDEST):
        # A maximum within r + 1 is one of maxima within r.
        widest = _maximum(widest, 1)
        fewer = torch.where(peaks == widest, peaks, torch.zeros_like(peaks))
        if int((fewer > 0).sum()) < number:
            break
        kept = fewer
    index = kept[0, 0].nonzero()
    strength = kept[0, 0][tuple(index.T)]
    return index[strength.argsort(descending=True, stable=True)[:number]]


def _in_slabs(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """`foerstner`, some planes at a time: what lies between stays near the processor."""
    reach, depth = len(TAPS) // 2 + _reach(sigma), image.shape[2]

    def slab(first: int) -> torch.Tensor:
        low, end = max(first - reach, 0), min(first + PLANES, depth)
        score = foerstner(image[:, :, low : end + reach], sigma)
        return score[:, :, first - low : end - low]

    return torch.cat(abreast(slab, range(0, depth, PLANES), image.device), dim=2)


def _eroded(mask: torch.Tensor, width: int) -> torch.Tensor:
    """Inside a mask by more than `width` voxels, (1, 1, z, y, x); the image's faces are no edge."""
    outside = (mask == 0).float()[None, None]
    return _maximum(outside, width) == 0


def _maximum(volume: torch.Tensor, width: int) -> torch.Tensor:
    """The largest value within `width` voxels along each axis, one axis after the other."""
    for axis in (2, 3, 4):
        for _ in range(width):
            # Shifted copies: several times as fast as pooling on a CPU.
            size, out = volume.shape[axis] - 1, volume.clone()
            lower, upper = out.narrow(axis, 0, size), out.narrow(axis, 1, size)
            torch.maximum(lower, volume.narrow(axis, 1, size), out=lower)
            torch.maximum(upper, volume.narrow(axis, 0, size), out=upper)
            volume = out
    return volume


def _along(volume: torch.Tensor, taps: torch.Tensor, axis: int) -> torch.Tensor:
    """Correlation along one axis; beyond its faces the volume goes on with the values there."""
    reach, size = len(taps) // 2, volume.shape[2 + axis]
    width = [0] * 6
    width[4 - 2 * axis] = width[5 - 2 * axis] = reach
    padded = F.pad(volume, width, mode="replicate")
    out = torch.zeros_like(volume)
    for k, tap in enumerate(taps.tolist()):
        if tap:
            out.add_(padded.narrow(2 + axis, k, size), alpha=tap)
    return out


def _reach(sigma: float) -> int:
    return max(1, round(3 * sigma))


def _gaussian(sigma: float, like: torch.Tensor) -> torch.Tensor:
    reach = _reach(sigma)
    x = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()
