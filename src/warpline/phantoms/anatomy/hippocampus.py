"""A phantom of the hippocampus in a T1-weighted crop, as in the Decathlon's Task 4.

The anatomy is analytic, in mm about the middle of the hippocampus: z up, y forward, x to the side.
The hippocampus is a bent, tapered tube along y with a bulbous head; around it lie the temporal horn
(dark fluid above and beside it), white matter under it, folded cortex below, the amygdala before
its head, bright deep structures above and a cistern at the inner side. Subjects differ in the
anatomy's parameters, in their pose and by a random diffeomorphism; images differ in scale, bias
field and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy.deformation import random_diffeomorphism

HEAD, BODY = 1, 2
LABELS = {HEAD: "head", BODY: "body"}
# The Decathlon's crops have this orientation.
DIRECTION = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
WORK_SHAPE = (56, 68, 56)  # voxels of 1 mm in which the anatomy is drawn before it is cropped

# Signal of the tissues relative to white matter.
WHITE, DEEP, GREY, HIPPOCAMPUS, AMYGDALA, FLUID, VESSEL = 1.0, 0.9, 0.6, 0.55, 0.64, 0.13, 1.15


@dataclass(frozen=True)
class Subject:
    """A phantom subject: `image` float32 and `labels` uint8 (1 head, 2 body) on one grid."""

    image: Image
    labels: Image


@dataclass(frozen=True)
class Anatomy:
    """Parameters of the anatomy of one subject; lengths in mm, angles in radians.

    The defaults are the mean anatomy.
    """

    length: float = 39.5
    width: float = 6.9
    height: float = 4.1
    head: float = 1.26
    rise: float = 17.0
    bend: float = 2.6
    inward: float = 6.0
    tilt: float = 0.25
    border: float = 2.6
    horn: float = 1.0
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> Anatomy:
        """An anatomy drawn around the mean; `variation` scales all standard deviations."""

        def around(mean: float, deviation: float) -> float:
            return mean + variation * deviation * np.clip(rng.standard_normal(), -2, 2)

        mean = cls()
        return cls(
            length=around(mean.length, 2.2),
            width=around(mean.width, 0.45),
            height=around(mean.height, 0.3),
            head=around(mean.head, 0.07),
            rise=around(mean.rise, 3.4),
            bend=around(mean.bend, 0.9),
            inward=around(mean.inward, 1.4),
            tilt=around(mean.tilt, 0.1),
            border=around(mean.border, 1.6),
            horn=around(mean.horn, 0.3),
            rotation=tuple(around(0.0, 0.06) for _ in range(3)),
            shift=tuple(around(0.0, 0.8) for _ in range(3)),
        )


def subject(
    seed: int | tuple[int, ...],
    *,
    variation: float = 1.0,
    amplitude: float = 3.0,
    smoothness: float = 9.0,
    noise: float = 0.035,
    bias: float = 0.15,
) -> Subject:
    """One subject, the same for the same arguments.

    Parameters
    ----------
    variation
        Scale of the differences in anatomy and pose between subjects; 0: none.
    amplitude, smoothness
        Of the random diffeomorphism, mm.
    noise
        Standard deviation of the Rician noise, relative to white matter.
    bias
        Amplitude of the smooth multiplicative bias field.
    """
    rng = np.random.default_rng(seed)
    anatomy = Anatomy.random(rng, variation)
    grid = Grid(WORK_SHAPE)
    points = _points(anatomy, grid, rng, amplitude, smoothness)
    signal, inside = draw(anatomy, points)
    labels = np.where(inside < 0, np.where(points[1] > anatomy.border, HEAD, BODY), 0)
    labels = labels.astype(np.uint8)
    image = acquire(signal, rng, noise, bias)
    crop = _crop(labels, rng)
    cropped = image[crop].astype(np.float32)
    grid = Grid(cropped.shape, origin=(-1.0, -1.0, 1.0), direction=DIRECTION)
    return Subject(Image(cropped, grid), Image(np.ascontiguousarray(labels[crop]), grid))


def _points(
    anatomy: Anatomy, grid: Grid, rng: np.random.Generator, amplitude: float, smoothness: float
) -> np.ndarray:
    """Where in the anatomy (3: z, y, x in mm) each voxel of the subject lies."""
    centre = (np.asarray(grid.shape) - 1) / 2
    points = np.indices(grid.shape, dtype=np.float64) - centre[:, None, None, None]
    if amplitude > 0:
        points += random_diffeomorphism(
            grid, amplitude=amplitude, smoothness=smoothness, seed=rng
        ).displacement
    points -= np.asarray(anatomy.shift)[:, None, None, None]
    return np.einsum("ij,jzyx->izyx", rotation_matrix(anatomy.rotation), points)


def rotation_matrix(angles: tuple[float, float, float]) -> np.ndarray:
    """Turns about z, y and x, (3, 3), one after the other; angles in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def _fill(signal: np.ndarray, distance: np.ndarray, value: float | np.ndarray) -> None:
    """Lay a tissue over the signal where `distance` (mm, negative inside) says, softly."""
    weight = 0.5 - 0.5 * np.tanh(np.clip(distance / 0.5, -20, 20))
    signal += weight * (value - signal)


def draw(anatomy: Anatomy, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signal of the tissues, and the signed distance (mm, about) to the hippocampus' surface.

    Parameters
    ----------
    points
        (3, …) z, y, x in mm, in the hippocampus' own frame.
    """
    z, y, x = points
    # 1 at the tip of the head, -1 at the end of the tail.
    along = np.clip(2 * y / anatomy.length, -1.6, 1.6)
    axis_z = -anatomy.rise / 2 * along + anatomy.bend * (along**2 - 0.4)
    axis_x = anatomy.inward / 2 * along - 1.5 * np.clip(-along - 0.5, 0, None) ** 2
    headness = 1 / (1 + np.exp(-(along - 0.25) / 0.12))
    taper = np.sqrt(np.clip(1 - np.abs(along) ** 5, 1e-3, None))
    size = (0.93 + 0.12 * along * (along < 0) + (anatomy.head - 0.93) * headness) * taper
    c, s = np.cos(anatomy.tilt), np.sin(anatomy.tilt)
    up = c * (z - axis_z) + s * (x - axis_x)
    side = -s * (z - axis_z) + c * (x - axis_x)
    half_width = anatomy.width * size * (1.12 - 0.12 * headness)
    half_height = anatomy.height * size
    # The under side is flatter than the upper one, and the body is curled at its inner edge.
    radius = np.sqrt(
        (side / half_width) ** 2
        + ((up + 0.06 * (1 - headness) * side**2 / half_width) / half_height) ** 2
    )
    radius = np.where(np.abs(along) < 1, radius, radius + 8 * (np.abs(along) - 1))
    inside = (radius - 1) * np.minimum(half_height, 5.0)

    # Deep structures, brighter towards the middle of the brain.
    signal = DEEP + 0.05 * np.tanh((x + z - axis_z - 8) / 6) + 0.04 * np.sin(0.5 * z + 0.3 * x)
    _fill(signal, _ellipsoid(z - axis_z - 18, y - 2, x + 6, 8, 12, 9), GREY + 0.18)
    _draw_cortex(signal, z, y, x, axis_z, anatomy)
    # White matter under the hippocampus, and the thin alveus over it.
    _fill(signal, np.maximum((radius - 1.55) * 4.3, up - 0.5), WHITE)
    _fill(signal, (radius - 1.28) * 4.3, WHITE - 0.08)
    # The temporal horn: a crescent over the head and along the outer side.
    thickness = anatomy.horn * (0.24 + 0.1 * np.sin(0.45 * y + 0.5 * side))
    horn = np.maximum((radius - 1.1 - thickness) * 4.3, side - 0.8 * up - 1.5)
    _fill(signal, np.maximum(horn, np.abs(along - 0.15) * 15 - 15), FLUID)
    # The choroid fissure over the body and the cistern at the inner side.
    fissure = np.hypot((up - 1.25 * half_height) / 1.2, (side - 0.55 * half_width) / 4.0) - 1
    _fill(signal, np.maximum(fissure * 1.5, along * 15 - 3), FLUID + 0.1)
    wave = 1.2 * np.sin(0.35 * z + 0.2 * y) + 0.6 * np.sin(0.55 * z - 0.3 * y)
    cistern = np.abs(x - axis_x - 12 - wave + 0.05 * (z - axis_z - 2) ** 2 / 2)
    cistern -= 1.3 + 0.5 * np.sin(0.4 * z + 0.25 * y)
    _fill(signal, np.maximum(cistern, z - axis_z - 6), FLUID)
    amygdala = _ellipsoid(z - axis_z - 6.5, y - anatomy.length / 2 - 1, x - axis_x + 1, 5, 7, 7)
    _fill(signal, amygdala, AMYGDALA)
    vessel = np.hypot(z - axis_z - 10, x - axis_x - 9.5 + 0.25 * y) - 1.6
    _fill(signal, vessel, VESSEL)
    lamina = np.abs(radius - 0.55) * 4 - 0.35
    _fill(
        signal,
        inside,
        HIPPOCAMPUS + 0.14 * (lamina < 0) - 0.04 * headness + 0.05 * np.sin(0.8 * side + 0.3 * y),
    )
    return signal, inside


def _length(*components: np.ndarray) -> np.ndarray:
    return np.sqrt(sum(component**2 for component in components))


def _ellipsoid(
    z: np.ndarray, y: np.ndarray, x: np.ndarray, a: float, b: float, c: float
) -> np.ndarray:
    return (_length(z / a, y / b, x / c) - 1) * min(a, b, c)


def _draw_cortex(
    signal: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    axis_z: np.ndarray,
    anatomy: Anatomy,
) -> None:
    """Bands of white matter, grey matter and fluid below the hippocampus, folded."""
    fold = (
        1.3 * np.sin(0.33 * x + 0.16 * y + 0.6)
        + 0.8 * np.sin(0.27 * y - 0.2 * x)
        + 0.6 * np.sin(0.5 * x - 0.45 * y + 0.2 * z)
    )
    depth = -(z - axis_z) - 1.3 * anatomy.height + fold + 0.012 * x**2
    for start, value in (
        (1.0, WHITE),
        (3.4, GREY),
        (6.6, FLUID + 0.12),
        (8.0, GREY),
        (11.2, WHITE),
        (15.0, GREY),
        (18.2, FLUID),
        (20.5, GREY),
    ):
        _fill(signal, start - depth, value)


def acquire(signal: np.ndarray, rng: np.random.Generator, noise: float, bias: float) -> np.ndarray:
    """An image of the tissues as a scanner gives it: partial volume, texture, bias, noise, scale.

    Scales follow the real task: some scanners' values are below 200, others' in the thousands.
    """
    image = ndimage.gaussian_filter(signal, 0.45)
    texture = ndimage.gaussian_filter(rng.standard_normal(signal.shape), 1.2)
    image *= 1 + 0.06 * texture / texture.std()
    axes = [np.linspace(-1, 1, n) for n in signal.shape]
    slope = rng.uniform(-1, 1, 3)
    ramp = sum(
        s * axis.reshape([-1 if i == k else 1 for i in range(3)])
        for k, (s, axis) in enumerate(zip(slope, axes, strict=True))
    )
    image = image * np.exp(bias * ramp)
    real, imaginary = noise * rng.standard_normal((2, *signal.shape))
    image = np.hypot(image + real, imaginary)
    return np.rint(image * np.exp(rng.uniform(np.log(80), np.log(1500))))


def _crop(labels: np.ndarray, rng: np.random.Generator) -> tuple[slice, ...]:
    """A box around the label map with margins as they vary in the real task."""
    low_mean, high_mean = (5, 5, 6), (5, 6, 7)
    low_sd, high_sd = (0.8, 0.8, 1.5), (0.9, 1.1, 1.7)
    crop = []
    for axis in range(3):
        where = np.flatnonzero(labels.any(axis=tuple(k for k in range(3) if k != axis)))
        low = max(3, round(rng.normal(low_mean[axis], low_sd[axis])))
        high = max(3, round(rng.normal(high_mean[axis], high_sd[axis])))
        crop.append(slice(max(0, where[0] - low), where[-1] + high + 1))
    return tuple(crop)
