"""The backgrounds of a CT scan: the empty air inside the scanner's field of view, and constants
that stand for what lies outside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.images.grid import Image

# Air is −1000 HU; scanners are off by some tens, and lung begins above.
AIR = (-1100, -960)
NEAR = 30  # HU about the value of air that still count as air
APART = 15  # HU to either side in which a peak of air is the highest
SMOOTHING = 9  # HU
LEAST_CONSTANT = 1e-3  # of the voxels: what a constant has at least
LEAST_AIR = 2e-3  # of the voxels: a windpipe has less
LEAST_EDGE = 0.02  # of the voxels at the edge of the slices
SLICES = 48  # looked at for what needs more than the histogram
LOWEST = np.iinfo(np.int16).min


@dataclass(frozen=True)
class Background:
    """One background value.

    Attributes
    ----------
    value
        In HU: a constant outside the field of view, or the most frequent value of the air inside.
    fraction
        Of the scan's voxels: those with the constant, or within 30 HU of the air.
    inside
        Whether it is the air inside the field of view.
    """

    value: float
    fraction: float
    inside: bool


def histogram(array: np.ndarray) -> np.ndarray:
    """Counts of the values −32768 … 32767, rounded to integers and cut to that range.

    Made slice by slice, so that the memory it takes does not depend on the scan's size.
    """
    counts = np.zeros(1 << 16, np.int64)
    for plane in array:
        counts += np.bincount(_int16(plane).view(np.uint16).ravel(), minlength=1 << 16)
    return np.roll(counts, 1 << 15)  # from the order of unsigned integers to that of signed ones


def find_backgrounds(image: Image, counts: np.ndarray | None = None) -> list[Background]:
    """The backgrounds of a CT scan in HU, the lowest first; at most one of them is inside.

    Below −1100 HU nothing is real but noise, so a single value that many voxels have is a constant
    outside the field of view. A constant in the range of air is air itself, saturated, unless there
    is a peak of air apart from it; then it is outside too, if it fills whole regions, and otherwise
    where the noise is cut off. Air is the highest peak between −1100 and −960 HU, if it is more
    than a windpipe; where nothing marks the outside, it has to reach the edge of the slices.

    Parameters
    ----------
    image
        The scan; the axis nearest to the patient's height is taken for that of the slices.
    counts
        Its `histogram`, if it is there already.
    """
    counts = histogram(image.array) if counts is None else counts
    total = int(counts.sum())
    planes = _some_planes(image)
    constants = _constants(counts, LOWEST, AIR[0])
    rest = _without(counts, *constants)
    air = _peak(rest, total)
    for value in _constants(counts, *AIR):
        others = _without(rest, value)
        beside = _peak(others, total)
        if beside is None or not _apart(others, value, beside):
            air = value
            continue
        air = beside
        if _fills_regions(planes, value):
            constants.append(value)
            rest = others
    if air is not None and not constants and not _reaches_the_edge(planes, air):
        air = None
    found = [Background(float(v), float(counts[v - LOWEST] / total), False) for v in constants]
    if air is not None:
        near = rest[air - NEAR - LOWEST : air + NEAR + 1 - LOWEST].sum()
        found.append(Background(float(air), float(near / total), True))
    return sorted(found, key=lambda background: background.value)


def _int16(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.int16:
        limits = np.iinfo(np.int16)
        array = np.clip(np.rint(array), limits.min, limits.max).astype(np.int16)
    return np.ascontiguousarray(array)


def _some_planes(image: Image) -> np.ndarray:
    """At most `SLICES` slices across the patient's height, (slice, row, column), int16."""
    axis = image.grid.nearest_axis(2)[0]
    step = -(-image.array.shape[axis] // SLICES)
    return _int16(np.moveaxis(image.array, axis, 0)[::step])


def _constants(counts: np.ndarray, low: int, high: int) -> list[int]:
    """Values in [low, high) that many voxels have, and far more than have a value beside."""
    part = np.pad(counts, 5)[low - LOWEST : high - LOWEST + 10]
    own = part[5:-5]
    windows = np.lib.stride_tricks.sliding_window_view(part, 11)
    beside = np.maximum(windows[:, :5].max(axis=1), windows[:, 6:].max(axis=1))
    chosen = (own >= LEAST_CONSTANT * counts.sum()) & (own > 3 * beside)
    return [low + int(k) for k in np.flatnonzero(chosen)]


def _without(counts: np.ndarray, *values: int) -> np.ndarray:
    counts = counts.copy()
    counts[[value - LOWEST for value in values]] = 0
    return counts


def _smooth(counts: np.ndarray) -> np.ndarray:
    return np.convolve(counts, np.full(SMOOTHING, 1 / SMOOTHING), mode="same")


def _peak(counts: np.ndarray, total: int) -> int | None:
    """The highest peak in the range of air, if enough voxels lie about it."""
    start, stop = AIR[0] - LOWEST, AIR[1] - LOWEST
    smooth = _smooth(counts[start - 100 : stop + 100])[100 - APART : -(100 - APART)]
    highest = np.lib.stride_tricks.sliding_window_view(smooth, 2 * APART + 1).max(axis=1)
    own = smooth[APART:-APART]
    peaks = np.flatnonzero((own == highest) & (own > 0))
    if not peaks.size:
        return None
    value = AIR[0] + int(peaks[np.argmax(own[peaks])])
    near = counts[value - NEAR - LOWEST : value + NEAR + 1 - LOWEST].sum()
    return value if near >= LEAST_AIR * total else None


def _apart(counts: np.ndarray, constant: int, air: int) -> bool:
    """Whether a peak of air is more than what is left of air that mostly saturates at the constant.

    It is if there is a valley between them, or if there is air below the constant.
    """
    constant, air = constant - LOWEST, air - LOWEST
    smooth = _smooth(counts)
    towards = 1 if air > constant else -1
    beside = counts[constant + towards : constant + 4 * towards : towards].mean()
    between = smooth[constant + SMOOTHING * towards : air : towards]
    valley = min([beside, *between]) < 0.5 * smooth[air]
    below = counts[constant - 2 * NEAR : constant].sum()
    about = counts[air - NEAR : air + NEAR].sum()
    return bool((valley and abs(air - constant) > SMOOTHING) or below > 0.02 * about)


def _fills_regions(planes: np.ndarray, value: int) -> bool:
    """Whether voxels of this value mostly lie between two of the same: no noise."""
    same = planes == value
    padded = np.pad(same, ((0, 0), (0, 0), (1, 1)), mode="edge")
    between = same & padded[..., :-2] & padded[..., 2:]
    return np.count_nonzero(between) > 0.75 * np.count_nonzero(same)


def _reaches_the_edge(planes: np.ndarray, air: int) -> bool:
    """Whether the edge of the slices, two voxels wide, holds air."""
    edges = [planes[:, :2], planes[:, -2:], planes[:, :, :2], planes[:, :, -2:]]
    values = np.concatenate([edge.ravel() for edge in edges])
    return bool(np.mean(np.abs(values.astype(np.int32) - air) <= 2 * NEAR) >= LEAST_EDGE)
