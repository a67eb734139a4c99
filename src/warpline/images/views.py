"""Slices shown as a radiologist expects them, whatever the orientation of the array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.images.grid import Grid

# Plane → physical (LPS) axis along its normal; axis and sense of its columns (left to right);
# axis and sense of its rows (top to bottom).
PLANES = {
    "sagittal": (0, (1, 1), (2, -1)),
    "coronal": (1, (0, 1), (2, -1)),
    "axial": (2, (0, 1), (1, 1)),
}
LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True)
class View:
    """One slice of a grid.

    Oblique grids are shown along their own axes, under the names of the nearest anatomical ones.

    Attributes
    ----------
    grid
        The grid.
    plane
        ``sagittal``, ``coronal`` or ``axial``.
    position
        Index of the slice along the array axis nearest to the plane's normal.
    """

    grid: Grid
    plane: str
    position: int

    @classmethod
    def through(cls, grid: Grid, plane: str, mask: np.ndarray | None = None) -> View:
        """The slice through a mask's centre of mass, or through the grid's centre."""
        axis = grid.nearest_axis(PLANES[plane][0])[0]
        if mask is not None and mask.any():
            others = tuple(k for k in range(3) if k != axis)
            profile = np.count_nonzero(mask, axis=others)
            position = round(float(np.average(np.arange(len(profile)), weights=profile)))
        else:
            position = grid.shape[axis] // 2
        return cls(grid, plane, position)

    @property
    def normal(self) -> int:
        """Array axis along the normal."""
        return self.grid.nearest_axis(PLANES[self.plane][0])[0]

    @property
    def _sides(self) -> tuple[tuple[int, bool], tuple[int, bool]]:
        """(array axis, whether it runs against the display) of the rows and of the columns."""
        _, columns, rows = PLANES[self.plane]
        result = []
        for physical, sense in (rows, columns):
            axis, sign = self.grid.nearest_axis(physical)
            result.append((axis, sign != sense))
        return tuple(result)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of (rows, columns)."""
        return tuple(self.grid.shape[axis] for axis, _ in self._sides)

    @property
    def spacing(self) -> tuple[float, float]:
        """Distance of (rows, columns) in mm."""
        return tuple(self.grid.spacing[2 - axis] for axis, _ in self._sides)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in mm, for `imshow` with its origin at the top."""
        (rows, columns), (height, width) = self.shape, self.spacing
        return -0.5 * width, (columns - 0.5) * width, (rows - 0.5) * height, -0.5 * height

    @property
    def letters(self) -> dict[str, str]:
        """Anatomical direction towards the `left`, `right`, `top` and `bottom`."""
        _, (column, column_sense), (row, row_sense) = PLANES[self.plane]
        left, right = LETTERS[column][::column_sense]
        top, bottom = LETTERS[row][::row_sense]
        return {"left": left, "right": right, "top": top, "bottom": bottom}

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The slice of an array (z, y, x, …) as (rows, columns, …)."""
        (rows, rows_flip), (columns, columns_flip) = self._sides
        plane = np.take(array, self.position, axis=self.normal)
        if rows > columns:
            plane = np.swapaxes(plane, 0, 1)
        return plane[:: -1 if rows_flip else 1, :: -1 if columns_flip else 1]

    def project(self, indices: np.ndarray) -> np.ndarray:
        """(right, down) in mm of continuous indices (…, 3) in (z, y, x)."""
        result = []
        for (axis, flipped), spacing in zip(self._sides, self.spacing, strict=True):
            along = np.asarray(indices)[..., axis]
            along = self.grid.shape[axis] - 1 - along if flipped else along
            result.append(along * spacing)
        return np.stack(result[::-1], axis=-1)

    def window(self, mask: np.ndarray, margin: float = 0.3) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in mm around a mask (z, y, x), with a margin, on the grid.

        The margin is a part of the mask's larger side; an empty mask gives the whole slice.
        """
        left, right, bottom, top = self.extent
        flat = mask.any(axis=self.normal)
        flat = self.cut(
            np.expand_dims(flat, self.normal).repeat(mask.shape[self.normal], self.normal)
        )
        rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        if rows.size == 0:
            return self.extent
        height, width = self.spacing
        box = np.array(
            [
                (columns[0] - 0.5) * width,
                (columns[-1] + 0.5) * width,
                (rows[-1] + 0.5) * height,
                (rows[0] - 0.5) * height,
            ]
        )
        pad = margin * max(box[1] - box[0], box[2] - box[3])
        return (
            max(left, box[0] - pad),
            min(right, box[1] + pad),
            min(bottom, box[2] + pad),
            max(top, box[3] - pad),
        )
