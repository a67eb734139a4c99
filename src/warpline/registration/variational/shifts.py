"""All translations of one image over another, compared by Fourier transforms."""

from __future__ import annotations

import numpy as np
from scipy import fft

LEAST_OVERLAP = 0.3  # of the most voxels that can lie on each other


def likeness(
    fixed: tuple[np.ndarray, np.ndarray], moving: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How alike two images are under every shift by whole voxels.

    The correlation of all channels together over the voxels that both know, as if each channel had
    there the mean that it has in the whole image (D. Padfield, IEEE Transactions on Image
    Processing 21, 2012, for one channel).

    Parameters
    ----------
    fixed, moving
        Channels (C, z, y, x) and what is known of them (z, y, x); the sizes of the two may differ.

    Returns
    -------
    score, overlap
        By the index that voxel 0 of the moving image has on the fixed one, modulo their shape:
        the correlation, −1 where too few voxels lie on each other, and how many do, of the most.
    """
    (a, in_a), (b, in_b) = (_centred(*image) for image in (fixed, moving))
    size = [
        fft.next_fast_len(m + n - 1, real=True) for m, n in zip(in_a.shape, in_b.shape, strict=True)
    ]

    def spectrum(array: np.ndarray) -> np.ndarray:
        return fft.rfftn(array, size)

    def at_all(product: np.ndarray) -> np.ndarray:
        return fft.irfftn(product, size)

    mask_a, mask_b = spectrum(in_a), spectrum(in_b)
    count = at_all(mask_a * mask_b.conj())
    common = sum(spectrum(x) * spectrum(y).conj() for x, y in zip(a, b, strict=True))
    of_a = at_all(spectrum(np.square(a).sum(0)) * mask_b.conj())
    of_b = at_all(mask_a * spectrum(np.square(b).sum(0)).conj())
    energy = np.sqrt(np.maximum(of_a, 0) * np.maximum(of_b, 0))
    # Where one image is constant in the overlap, rounding must not decide.
    score = at_all(common) / (energy + 1e-6 * float(energy.max()) + 1e-12)
    overlap = count / max(min(float(in_a.sum()), float(in_b.sum())), 1.0)
    return np.where(overlap < LEAST_OVERLAP, -1.0, score), overlap


def displaced(index: tuple[int, ...], sizes: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The shift of an index of `likeness`: far ones are moves backwards."""
    at = np.asarray(index)
    return np.where(at >= np.asarray(shape), at - np.asarray(sizes), at)


def _centred(channels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels of mean 0 over what is known, and 0 elsewhere."""
    mean = (channels * known).sum(axis=(1, 2, 3)) / max(float(known.sum()), 1e-6)
    return (channels - mean[:, None, None, None]) * known, known
