"""Segmentation of the lungs in a CT of the chest, for scans that come without a mask.

Thresholding and connected components, after Hu, Hoffman and Reinhardt 2001, IEEE TMI 20:490, with
distances in place of the gradients that find the airways there.
"""

from __future__ import annotations

import logging

import numpy as np
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image

log = logging.getLogger(__name__)

AIR = -400.0  # HU: below is air or lung, above is tissue
GAS = -1000.0  # HU
MOSTLY_GAS = -975.0  # HU: the median of bowel or of what is outside lies below, of a lung above
COARSE = 2.5  # mm: voxels are averaged up to about this size; the outline is interpolated
CORE = 10.0  # mm: lungs are thicker than twice this somewhere, the windpipe is nowhere
SMOOTHING = 4.0  # mm: with it, air with the vessels in it is one thick body
CLOSING = 6.0  # mm: vessels and airways half as wide as this at the surface belong to the lung
LEAST_SHARE = 0.1  # of the largest part: what the second lung has at least
LEAST_GAS = 1e3  # mm³ in one piece: more is windpipe, less is noise
LEAST_VOLUME = 50e3  # mm³ of a core: less is no lung


def segment_lungs(image: Image) -> Image:
    """Both lungs as one mask.

    Parameters
    ----------
    image
        HU. The lungs may be cut off at the first and last slice, not at the slices' edges.

    Returns
    -------
    Image
        uint8: 1 in the lungs with their vessels and small airways; without windpipe and main
        bronchi, where these can be told apart from the lungs.

    Raises
    ------
    WarplineError
        If no part of the image looks like a lung.
    """
    factors = [max(1, round(COARSE / step)) for step in image.grid.spacing[::-1]]
    hu = _block_means(image.array, factors)
    spacing = np.asarray(image.grid.spacing[::-1]) * factors
    mask = _segment(hu, spacing, image.grid)
    if max(factors) > 1:
        mask = _refined(mask, factors, image.grid.shape)
    return image.with_array(mask.astype(np.uint8))


def lungs_of(image: Image, name: str) -> Image:
    """The lungs of the image that is called `name`: as `segment_lungs`, which the log tells.

    Raises
    ------
    WarplineError
        As `segment_lungs`, with the name.
    """
    try:
        mask = segment_lungs(image)
    except WarplineError as error:
        raise WarplineError(error.what, where=f"the {name} image", do=error.do) from error
    litres = float(mask.array.sum()) * float(np.prod(image.grid.spacing)) / 1e6
    log.warning("%s image: lungs of %.2f l are found; only they are looked into", name, litres)
    return mask


def _segment(hu: np.ndarray, spacing: np.ndarray, grid: Grid) -> np.ndarray:
    along = grid.nearest_axis(2)[0]
    inside = _enclosed(hu < AIR, along)
    # Vessels are all over the lungs: without smoothing few places are thick.
    smooth = _enclosed(ndimage.gaussian_filter(hu, SMOOTHING / spacing) < AIR, along)
    core, number = ndimage.label(ndimage.distance_transform_edt(smooth, sampling=spacing) > CORE)
    sizes = np.bincount(core.ravel(), minlength=number + 1) * float(np.prod(spacing))
    sizes[0] = 0
    lungs = [
        part
        for part in np.argsort(sizes)[::-1][:2]
        if sizes[part] >= max(LEAST_VOLUME, LEAST_SHARE * sizes.max())
        and np.median(hu[core == part]) > MOSTLY_GAS
    ]
    if not lungs:
        raise WarplineError(
            "No lung is found in the image.",
            do=f"The image must be a CT in HU, with lungs that are whole within the slices "
            f"(largest part with air inside the body: {sizes.max() / 1000:.0f} ml). Give a mask, "
            "or take the case off the case sheet.",
        )
    found = np.isin(core, lungs)
    box = _box(found, (2 * CORE + CLOSING) / spacing)
    mask = np.zeros_like(found)
    mask[box] = _whole(found[box], inside[box], hu[box], spacing)
    return mask


def _whole(core: np.ndarray, inside: np.ndarray, hu: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Lungs from their cores: to the surface, with recesses, vessels and small airways."""
    # Into the windpipe only as far as from the core to the surface.
    mask = inside & _within(core, CORE * 1.01, spacing)
    mask |= _thin_parts(inside & ~mask, mask, hu, spacing)
    windpipe = inside & ~mask
    closed = ~_within(~_within(mask, CLOSING, spacing), CLOSING, spacing)
    # At the volume's faces closing takes away: nothing is beyond them.
    return ndimage.binary_fill_holes(mask | closed) & ~windpipe


def _box(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """The box around a mask, wider by a margin in voxels, within the array."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    margin = np.ceil(margin).astype(int)
    return tuple(
        slice(max(0, part.start - m), part.stop + m) for part, m in zip(box, margin, strict=True)
    )


def _enclosed(air: np.ndarray, along: int) -> np.ndarray:
    """Air that is not connected to the outside, which is what the sides of the slices touch."""
    labelled, number = ndimage.label(air)
    outside = np.zeros(number + 1, bool)
    outside[0] = True
    for axis in range(3):
        if axis != along:
            for face in (0, -1):
                outside[np.take(labelled, face, axis=axis)] = True
    return ~outside[labelled]


def _within(mask: np.ndarray, distance: float, spacing: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=spacing) <= distance


def _thin_parts(
    rest: np.ndarray, lungs: np.ndarray, hu: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """Recesses too thin to have a core: what touches the lungs, without the windpipe."""
    gas, _ = ndimage.label(rest & (hu < (GAS + np.median(hu[lungs])) / 2))
    sizes = np.bincount(gas.ravel()) * float(np.prod(spacing))
    sizes[0] = 0
    # With the voxels around it, which are partly its wall and partly gas.
    windpipe = ndimage.binary_dilation((sizes >= LEAST_GAS)[gas], np.ones((3, 3, 3)))
    labelled, number = ndimage.label(rest & ~windpipe)
    touching = np.zeros(number + 1, bool)
    touching[labelled[ndimage.binary_dilation(lungs)]] = True
    touching[0] = False
    return touching[labelled]


def _block_means(array: np.ndarray, factors: list[int]) -> np.ndarray:
    """Means of blocks of voxels; what is left over at the ends is left out. float32."""
    n, *others = (size // factor for size, factor in zip(array.shape, factors, strict=True))
    result = np.zeros((n, *others), np.float32)
    ends = [size * factor for size, factor in zip(others, factors[1:], strict=True)]
    for start in range(factors[0]):
        part = array[start : n * factors[0] : factors[0], : ends[0], : ends[1]]
        blocks = part.reshape(n, others[0], factors[1], others[1], factors[2])
        result += blocks.mean(axis=(2, 4), dtype=np.float32)
    return result / factors[0]


def _refined(mask: np.ndarray, factors: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """A coarse mask on the original grid, its outline interpolated."""
    soft = ndimage.zoom(mask.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True)
    left_over = [(0, size - part) for size, part in zip(shape, soft.shape, strict=True)]
    return np.pad(soft >= 0.5, left_over, mode="edge")
