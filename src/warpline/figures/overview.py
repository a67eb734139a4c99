"""A registration at a glance: the images before and after, the deformation, its Jacobian."""

from __future__ import annotations

import os

import numpy as np

from warpline.figures import style
from warpline.files import atomic_path

COLUMNS = ("fixed", "moving, before", "moving, after", "difference before", "difference after", "J")
PLANES = (("axial", 0), ("coronal", 1), ("sagittal", 2))
RANGE = (1.0, 99.0)  # per cent of the values that grey shades span


def draw_overview(
    fixed: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    jacobian: np.ndarray,
    spacing: tuple[float, float, float],
    path: str | os.PathLike,
) -> None:
    """Draw three planes through the middle of the fixed image into a PNG.

    Parameters
    ----------
    fixed, before, after
        (z, y, x): the fixed image, and the moving one on its grid without and with the field. Each
        image's shades go from its 1st to its 99th percentile.
    jacobian
        (z, y, x), determinants of the field; folds are drawn black.
    spacing
        mm along x, y, z.
    """
    shaded = [_unit(image) for image in (fixed, before, after)]
    differences = [moving - shaded[0] for moving in shaded[1:]]
    pictures = [*shaded, *differences, np.log2(np.maximum(jacobian, 1e-3))]
    sizes = np.array(fixed.shape) * np.array(spacing[::-1])
    heights = [_extent(sizes, axis)[0] / _extent(sizes, axis)[1] for _, axis in PLANES]
    with style.style():
        figure = style.new_figure(12, 2 * sum(heights) + 0.5)
        axes = figure.subplots(
            len(PLANES), len(COLUMNS), squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for row, (plane, axis) in enumerate(PLANES):
            middle = fixed.shape[axis] // 2
            for column, picture in enumerate(pictures):
                place = axes[row, column]
                cut = np.take(picture, middle, axis=axis)
                aspect = _aspect(spacing, axis)
                origin = "upper" if axis == 0 else "lower"
                if column < 3:
                    place.imshow(cut, cmap="gray", vmin=0, vmax=1, aspect=aspect, origin=origin)
                else:
                    place.imshow(cut, cmap="RdBu_r", vmin=-1, vmax=1, aspect=aspect, origin=origin)
                if column == 5:
                    folds = np.take(jacobian, middle, axis=axis) <= 0
                    marked = np.ma.masked_where(~folds, folds.astype(float))
                    place.imshow(marked, cmap="gray", vmin=1, vmax=2, aspect=aspect, origin=origin)
                place.set_xticks([])
                place.set_yticks([])
                if row == 0:
                    place.set_title(COLUMNS[column] + (" (log₂)" if column == 5 else ""))
                if column == 0:
                    place.set_ylabel(plane)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=style.DPI, metadata={"Software": None})


def _unit(image: np.ndarray) -> np.ndarray:
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, RANGE) if finite.size else (0.0, 1.0)
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def _extent(sizes: np.ndarray, axis: int) -> tuple[float, float]:
    """(height, width) in mm of a plane across an axis."""
    height, width = (size for k, size in enumerate(sizes) if k != axis)
    return float(height), float(width)


def _aspect(spacing: tuple[float, float, float], axis: int) -> float:
    """Height of a voxel by its width, in a plane across an axis."""
    height, width = (mm for k, mm in enumerate(spacing[::-1]) if k != axis)
    return height / width
