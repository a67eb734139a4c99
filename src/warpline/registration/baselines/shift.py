"""The translation under which two images are most alike, searched everywhere."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to

VOXELS = 64  # along the fixed image's longest side while searching
LEAST_OVERLAP = 0.5  # of the most that there can be: a small part can be alike by chance


def best_shift(fixed: Image, moving: Image) -> np.ndarray:
    """Search all translations for the largest correlation over the voxels that overlap.

    For scans of one modality whose scanners' coordinates say nothing of each other, and one of
    which may be a part of what the other shows: their centres of mass are then far apart. Images
    are made coarse first; what is found is as coarse, a start for a registration.

    Returns
    -------
    numpy.ndarray
        (3,) float64, mm, LPS: takes points of the fixed image to points of the moving one.

    Notes
    -----
    Correlation with masks by Fourier transforms: D. Padfield, Masked object registration in the
    Fourier domain, IEEE Transactions on Image Processing 21, 2012.
    """
    extent = np.array(fixed.grid.shape[::-1]) * fixed.grid.spacing
    step = max(float(extent.max()) / VOXELS, *fixed.grid.spacing)
    (a, in_a, first), (b, in_b, second) = (_coarse(i, fixed.grid, step) for i in (fixed, moving))
    size = [fft.next_fast_len(m + n - 1, real=True) for m, n in zip(a.shape, b.shape, strict=True)]

    def spectrum(array: np.ndarray) -> np.ndarray:
        return fft.rfftn(array, size)

    def at_all(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Sums of products, by how many voxels the other image is moved."""
        return fft.irfftn(one * other.conj(), size)

    mask_a, mask_b, value_a, value_b = (spectrum(i) for i in (in_a, in_b, a, b))
    count = np.maximum(np.rint(at_all(mask_a, mask_b)), 1)
    sum_a, sum_b = at_all(value_a, mask_b), at_all(mask_a, value_b)
    common = at_all(value_a, value_b) - sum_a * sum_b / count
    of_a = at_all(spectrum(a * a), mask_b) - sum_a**2 / count
    of_b = at_all(mask_a, spectrum(b * b)) - sum_b**2 / count
    # Where one image is constant in the overlap, rounding must not decide.
    least = 1e-6 * np.sqrt(of_a.max() * of_b.max())
    likeness = common / np.sqrt(np.maximum(of_a, 0) * np.maximum(of_b, 0) + least**2)
    likeness[count < LEAST_OVERLAP * np.prod(np.minimum(a.shape, b.shape))] = -1
    best = np.array(np.unravel_index(likeness.argmax(), likeness.shape))
    # The transforms go round in circles: far indices are moves backwards.
    best = np.where(best >= a.shape, best - size, best)
    return second.index_to_physical(np.zeros(3)) - first.index_to_physical(best)


def _coarse(image: Image, like: Grid, step: float) -> tuple[np.ndarray, np.ndarray, Grid]:
    """An image in voxels of `step` mm along another grid's axes, where it is, and its grid.

    Its mean is 0, and it is 0 beyond its faces.
    """
    axes = np.asarray(like.direction).reshape(3, 3)
    ends = np.array(np.meshgrid(*((-0.5, n - 0.5) for n in image.grid.shape))).reshape(3, -1).T
    corners = image.grid.index_to_physical(ends) @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.maximum(1, np.rint((high - low) / step)).astype(int)
    origin = axes @ ((low + high - (size - 1) * step) / 2)
    grid = Grid(tuple(map(int, size[::-1])), (step,) * 3, tuple(map(float, origin)), like.direction)
    values = image.array.astype(np.float32)
    low, high = np.percentile(values[::2, ::2, ::2], (1, 99))  # without metal
    values = np.clip(values, low, high)
    width = 0.4 * step / np.array(image.grid.spacing[::-1])
    values = ndimage.gaussian_filter(values, np.where(width > 0.5, width, 0), mode="nearest")
    inside = np.ones(image.grid.shape, np.float32)
    mask = resample_to(image.with_array(inside), grid, nearest=True).array > 0
    array = resample_to(image.with_array(values), grid, fill=float(low)).array.astype(np.float64)
    return np.where(mask, array - array[mask].mean(), 0), mask.astype(np.float64), grid
