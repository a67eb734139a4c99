"""Random deformations and the image pairs made with them (Sokooti et al. 2017, section 2.2.2).

Fields are voxel displacements (3, z, y, x), components (z, y, x): voxel ``i`` of the fixed image
shows what stands at ``i + u(i)`` in the moving image.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.registry import suggestion

# Voxels handled at a time: what is computed besides the volumes themselves stays small.
SLAB = 1_000_000

Seed = int | tuple[int, ...] | np.random.SeedSequence | np.random.Generator


@dataclass(frozen=True)
class Frequency:
    """How a random field is drawn.

    Attributes
    ----------
    sigma
        Standard deviation in mm of the Gaussian that smooths it.
    points
        Number of points with a random vector.
    amplitude
        θ, mm: the largest displacement along each axis.
    """

    sigma: float
    points: int
    amplitude: float


FREQUENCIES = {
    "low": Frequency(sigma=35, points=80, amplitude=8),
    "medium": Frequency(sigma=25, points=100, amplitude=8),
    "high": Frequency(sigma=20, points=100, amplitude=8),
}
# What the moving image itself is deformed by: of low frequency alone, or it would blur.
OF_MOVING = Frequency(sigma=35, points=100, amplitude=8)


@dataclass(frozen=True)
class SyntheticPair:
    """Two images and the field between them, which is exact.

    Attributes
    ----------
    fixed, moving
        float32, on the same grid.
    displacement
        (3, z, y, x) float32, voxels: the moving image sampled at ``i + displacement(i)`` is the
        fixed one, but for its noise.
    mask
        The mask that was given, deformed as the fixed image is; bool.
    """

    fixed: Image
    moving: Image
    displacement: np.ndarray
    mask: Image | None = None


@dataclass(frozen=True)
class FieldStatistics:
    """How large and how fine a field is.

    Attributes
    ----------
    edges, density
        Histogram of ``|u|``: (bins + 1,) mm and (bins,) per mm; it integrates to 1.
    frequencies, power
        Radial spectrum: (n,) cycles per mm, and the share of the field's power in the shell about
        each; all shells together have 1.
    """

    edges: np.ndarray
    density: np.ndarray
    frequencies: np.ndarray
    power: np.ndarray


def field_statistics(
    displacement: np.ndarray, grid: Grid, *, bins: int = 60, limit: float | None = None
) -> FieldStatistics:
    """The distribution of a field's length, and its spectrum.

    Parameters
    ----------
    displacement
        (3, z, y, x), voxels.
    bins, limit
        Of the histogram: how many up to how many mm; by default up to the longest vector.
    """
    spacing = np.asarray(grid.spacing[::-1])
    mm = displacement * spacing[:, None, None, None].astype(np.float32)
    lengths = np.linalg.norm(mm, axis=0)
    limit = float(lengths.max()) if limit is None else limit
    density, edges = np.histogram(lengths, bins=bins, range=(0.0, limit), density=True)
    # A window, or the jump from one face to the opposite one would fill the high frequencies.
    window = np.ones(1)
    for n in grid.shape:
        window = np.multiply.outer(window, np.hanning(n + 2)[1:-1])
    power = sum(np.abs(np.fft.rfftn(part * window[0].astype(np.float32))) ** 2 for part in mm)
    power[..., 1 : (grid.shape[2] + 1) // 2] *= 2  # their conjugates are not stored
    axes = [np.fft.fftfreq(n, step) for n, step in zip(grid.shape[:2], spacing[:2], strict=True)]
    axes.append(np.fft.rfftfreq(grid.shape[2], spacing[2]))
    radius = np.sqrt(sum(np.square(a) for a in np.meshgrid(*axes, indexing="ij", sparse=True)))
    width = 1 / float((np.asarray(grid.shape) * spacing).max())  # the finest that can be told apart
    shell = np.rint(radius / width).astype(int)
    shares = np.bincount(shell.ravel(), power.ravel()) / max(power.sum(), np.finfo(float).tiny)
    return FieldStatistics(edges, density, np.arange(len(shares)) * width, shares)


def random_field(grid: Grid, *, frequency: str | Frequency, seed: Seed) -> np.ndarray:
    """Random vectors at random points, smoothed by a Gaussian.

    Each component is rescaled after smoothing so that its largest value is the amplitude, as the
    authors' code does (there the positive and the negative values apart, which puts a kink where
    the field changes sign; here by one factor). The Gaussians are summed in closed form, so
    nothing is wrapped or cut off at the borders.

    Parameters
    ----------
    grid
        Sizes are in mm, so the field is the same on a finer grid; the points lie anywhere in it.
    frequency
        ``low``, ``medium`` or ``high``, or a setting of one's own.
    seed
        Whatever `numpy.random.default_rng` takes.

    Returns
    -------
    numpy.ndarray
        (3, z, y, x) float32, voxels, components (z, y, x).

    Raises
    ------
    WarplineError
        If the frequency is unknown.
    """
    points = drawn_points(grid, frequency, seed)
    z, y, x = points.weights
    field = np.empty((3, *grid.shape), np.float32)
    for part in slabs(grid.shape):
        # A Gaussian is a product of three; the sum over the points is one matrix product.
        rows = np.einsum("pz,py->zyp", z[:, part], y).reshape(-1, len(points.vectors))
        for component, values in zip(field, points.vectors.T, strict=True):
            np.matmul(rows, values[:, None] * x, out=component[part].reshape(-1, grid.shape[2]))
    for component, amplitude in zip(field, points.amplitudes, strict=True):
        largest = max(float(component.max()), -float(component.min()))
        component *= amplitude / largest
    return field


@dataclass(frozen=True)
class Points:
    """What a random field is made of, before anything is computed of every voxel.

    Attributes
    ----------
    weights
        Along z, y and x the Gaussian of each point, (points, n), float32.
    vectors
        (points, 3), float32.
    amplitudes
        The largest displacement along each axis, voxels.
    """

    weights: tuple[np.ndarray, ...]
    vectors: np.ndarray
    amplitudes: np.ndarray


def drawn_points(grid: Grid, frequency: str | Frequency, seed: Seed) -> Points:
    """The points of a random field; parameters and errors are those of `random_field`."""
    setting = _setting(frequency)
    rng = np.random.default_rng(seed)
    spacing = np.asarray(grid.spacing[::-1])
    extent = (np.asarray(grid.shape) - 1) * spacing
    places = rng.uniform(0, 1, (setting.points, 3)) * extent
    vectors = rng.uniform(-1, 1, (setting.points, 3)).astype(np.float32)
    weights = tuple(
        np.exp(-(((np.arange(n) * step - places[:, k : k + 1]) / setting.sigma) ** 2) / 2).astype(
            np.float32
        )
        for k, (n, step) in enumerate(zip(grid.shape, spacing, strict=True))
    )
    return Points(weights, vectors, setting.amplitude / spacing)


def synthetic_pair(
    image: Image,
    mask: Image | None = None,
    *,
    frequency: str | Frequency,
    seed: Seed,
    deform_moving: bool = True,
    noise: float = 5.0,
    moving_noise: float = 3.0,
    threads: int = 1,
) -> SyntheticPair:
    """A moving image, and the fixed image made of it by a random field.

    The moving image is the given one, itself deformed first by a field of low frequency, with
    noise. The fixed image is the moving one, noise and all, sampled at ``i + u(i)`` by a cubic
    B-spline, with noise. So `displacement` is `u` itself: neither of the two fields has to be
    inverted or composed.

    Parameters
    ----------
    image
        Any real type. Beyond its border it goes on with the border's value.
    mask
        Deformed along, linearly.
    frequency
        Of the field between the two images.
    seed
        The field between the images does not depend on `deform_moving`.
    deform_moving
        Whether the moving image is deformed, and gets noise; else it is the given one.
    noise, moving_noise
        Standard deviations of the Gaussian noise, in units of the image (HU in the paper).
    threads
        To sample with; the result does not depend on it.
    """
    field_rng, noise_rng, moving_rng, moving_noise_rng = np.random.default_rng(seed).spawn(4)
    moving = image.array.astype(np.float32)
    warped_mask = None if mask is None else (mask.array != 0).astype(np.float32)
    if deform_moving:
        first = random_field(image.grid, frequency=OF_MOVING, seed=moving_rng)
        moving = warp_cubic(moving, first, threads=threads)
        _add_noise(moving, moving_noise, moving_noise_rng)
        if warped_mask is not None:
            warped_mask = _warp(warped_mask, first, 1, threads)
        del first
    displacement = random_field(image.grid, frequency=frequency, seed=field_rng)
    fixed = warp_cubic(moving, displacement, threads=threads)
    _add_noise(fixed, noise, noise_rng)
    if warped_mask is not None:
        warped_mask = _warp(warped_mask, displacement, 1, threads)
    return SyntheticPair(
        fixed=image.with_array(fixed),
        moving=image.with_array(moving),
        displacement=displacement,
        mask=None if warped_mask is None else image.with_array(warped_mask >= 0.5),
    )


def field_of_pair(grid: Grid, *, frequency: str | Frequency, seed: Seed) -> np.ndarray:
    """The `displacement` of the `synthetic_pair` of a seed, (3, z, y, x) in voxels."""
    return random_field(grid, frequency=frequency, seed=np.random.default_rng(seed).spawn(1)[0])


def warp_cubic(volume: np.ndarray, displacement: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """A volume sampled at ``i + u(i)`` by the cubic B-spline through its voxels.

    Parameters
    ----------
    volume
        (z, y, x); points outside take the value of the nearest border point.
    displacement
        (3, z, y, x), voxels, components (z, y, x).

    Returns
    -------
    numpy.ndarray
        (z, y, x) float32. Beside a sharp edge the spline overshoots the values of the volume.
    """
    coefficients = ndimage.spline_filter(volume, 3, output=np.float32, mode="mirror")
    return _warp(coefficients, displacement, 3, threads)


def _warp(source: np.ndarray, displacement: np.ndarray, order: int, threads: int) -> np.ndarray:
    """Sample spline coefficients (of degree 1: the values themselves) at ``i + u(i)``."""
    shape = displacement.shape[1:]
    last = np.asarray(source.shape, np.float32).reshape(3, 1, 1, 1) - 1
    result = np.empty(shape, np.float32)

    def fill(part: slice) -> None:
        axes = [np.arange(n, dtype=np.float32) for n in shape]
        axes[0] = axes[0][part]
        index = displacement[:, part] + np.stack(np.meshgrid(*axes, indexing="ij"))
        # Clipped here: the coefficients hold up to the border if it is a mirror, not beyond.
        np.clip(index, 0, last, out=index)
        ndimage.map_coordinates(
            source, index, output=result[part], order=order, mode="mirror", prefilter=False
        )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, slabs(shape)))
    return result


def _add_noise(array: np.ndarray, deviation: float, rng: np.random.Generator) -> None:
    for part in slabs(array.shape):
        array[part] += deviation * rng.standard_normal(array[part].shape, np.float32)


def slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """The z axis cut into slabs of at most `SLAB` voxels (at least one slice each)."""
    step = max(1, SLAB // (shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _setting(frequency: str | Frequency) -> Frequency:
    if isinstance(frequency, Frequency):
        return frequency
    if frequency not in FREQUENCIES:
        raise WarplineError(
            f"There is no frequency '{frequency}' of synthetic fields.",
            do=suggestion(frequency, FREQUENCIES),
        )
    return FREQUENCIES[frequency]
