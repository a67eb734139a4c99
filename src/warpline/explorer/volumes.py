"""Volumes made for looking: small arrays in bytes, on one grid for all that is seen of a pair."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np

VOXELS = 1_000_000  # of a volume at the most
LEVELS = 256
# HU at which the levels of CT change their distance: lungs, soft tissue, bone. Between the middle
# two a level is 4 HU, so that a narrow window still shows a smooth picture.
CT_KNOTS = ((0, -1100.0), (50, -250.0), (188, 300.0), (255, 2400.0))
CT_BELOW = -300.0  # only CT in HU has such values
UNKNOWN = 255  # the level of a distance that is not known
JACOBIAN_STEP = 0.01  # of a level; the lowest is a fold


@dataclass(frozen=True)
class Scale:
    """What each of the 256 levels of an image stands for; ascending.

    ``hu`` says that they are Hounsfield units.
    """

    levels: np.ndarray
    hu: bool

    @classmethod
    def of(cls, *images: np.ndarray) -> Scale:
        """For images that are compared: of CT levels that favour soft tissue, else even ones.

        Even levels end at the percentiles 0.05 and 99.95, so that one bright voxel dims nothing.
        """
        low = min(float(image.min()) for image in images)
        if low < CT_BELOW:
            at, values = zip(*CT_KNOTS, strict=True)
            return cls(np.interp(np.arange(LEVELS), at, values), True)
        ends = [np.percentile(image, (0.05, 99.95)) for image in images]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        return cls(np.linspace(low, high if high > low else low + 1, LEVELS), False)

    def encode(self, image: np.ndarray) -> np.ndarray:
        """The nearest level of every voxel, uint8."""
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        return np.searchsorted(middles, image).astype(np.uint8)


def encode_jacobian(determinant: np.ndarray) -> np.ndarray:
    """Level 0 for a fold (0 or less), else hundredths from 1 to 255, uint8."""
    levels = np.clip(np.rint(determinant / JACOBIAN_STEP), 1, LEVELS - 1)
    return np.where(determinant <= 0, 0, levels).astype(np.uint8)


def encode_distances(distances: np.ndarray) -> tuple[np.ndarray, float]:
    """Levels 0 to 254, uint8, and the largest distance; 255 for NaN.

    Level n stands for ``largest · (n / 254)²``: a few long distances leave the short ones apart.
    """
    known = np.isfinite(distances)
    largest = float(distances[known].max()) if known.any() else 0.0
    parts = np.where(known, distances, 0.0) / (largest or 1.0)
    levels = np.rint((UNKNOWN - 1) * np.sqrt(parts)).astype(np.uint8)
    return np.where(known, levels, np.uint8(UNKNOWN)), largest


def encode_vectors(vectors: np.ndarray, finest: float) -> tuple[np.ndarray, float]:
    """Vectors (z, y, x, 3) as int16 and the length of one step; no step is shorter than `finest`.

    The lower bytes of each component come first, then the upper ones, which packs better.
    """
    step = max(float(np.abs(vectors).max()) / 32767, finest)
    planes = np.ascontiguousarray(np.rint(np.moveaxis(vectors, -1, 0) / step).astype("<i2"))
    parts = planes.reshape(3, -1).view(np.uint8).reshape(3, -1, 2)
    return np.ascontiguousarray(parts.transpose(0, 2, 1)), step


def pack(array: np.ndarray) -> str:
    """Bytes as gzip in base64; the same for the same array."""
    return base64.b64encode(gzip.compress(array.tobytes(), 6, mtime=0)).decode()


def script(kind: str, name: str, content: Any) -> str:
    """JSON as a script that hands it to the page: a page from a folder may read nothing else."""
    import json

    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"warpline.take({json.dumps(kind)},{json.dumps(name)},{text});\n"
