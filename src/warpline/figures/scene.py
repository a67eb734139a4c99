"""One slice of a registered pair, panel by panel: images, labels, the deformed grid, Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgb

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.panels import Window, draw_grid, draw_jacobian, limits
from warpline.figures.style import label_colour
from warpline.images.views import View

Panel = Callable[[Axes], ScalarMappable | None]


class Scene:
    """One slice of a pair, and what is drawn of it: each panel is a function of its axes.

    The slice goes through the fixed labels' centre of mass (of the mask, if there are no labels).

    Attributes
    ----------
    view, window
        The slice, and the part of it that is shown.
    unit
        What a length of 1 on the cases' grids is.
    """

    def __init__(
        self,
        fixed: Case,
        moving: Case,
        labels: Mapping[int, str],
        plane: str,
        unit: str,
    ):
        self.moving, self.names, self.unit = moving, labels, unit
        unmoved = DisplacementField.identity(fixed.grid)
        self.fixed_labels = _labels(fixed, None)
        self.moving_labels = _labels(moving, unmoved)
        anatomy = _anatomy(fixed, self.fixed_labels)
        self.view = View.through(fixed.grid, plane, anatomy)
        before = unmoved.warp_image(moving.image).array
        after = fixed.image.array
        if self.fixed_labels is not None and self.moving_labels is not None:
            anatomy = anatomy | (self.moving_labels > 0)
        # Padding around both images is nothing to look at.
        filled = (before > before.min()) | (after > after.min())
        self.window = _intersection(self.view.window(anatomy), self.view.window(filled, margin=0.0))
        self.source, self.goal = self.view.cut(before), self.view.cut(after)

    def before(self) -> tuple[Panel, Panel]:
        """The moving image in the fixed slice, before registration; the same with its labels."""
        return self._image(self.source, self.source), self._overlay(
            self.source, self.source, self.moving_labels
        )

    def target(self) -> tuple[Panel, Panel]:
        """The fixed image; the same with its labels."""
        return self._image(self.goal, self.goal), self._overlay(
            self.goal, self.goal, self.fixed_labels
        )

    def registered(self, field: DisplacementField) -> list[Panel]:
        """The deformed image, the same with its labels, the deformed grid and the Jacobian."""
        deformed = self.view.cut(field.warp_image(self.moving.image).array)
        return [
            self._image(deformed, self.source),
            self._overlay(deformed, self.source, _labels(self.moving, field)),
            lambda axes: draw_grid(axes, self.view, field, self.window),
            lambda axes: draw_jacobian(axes, self.view, field),
        ]

    def shown_labels(self) -> dict[int, str]:
        """Position in the palette → name, of the labels that the fixed case has."""
        if self.fixed_labels is None:
            return {}
        return {
            k: name
            for k, (value, name) in enumerate(self.names.items())
            if (self.fixed_labels == value).any()
        }

    def _image(self, plane: np.ndarray, contrast: np.ndarray) -> Panel:
        def draw(axes: Axes) -> None:
            axes.imshow(plane, cmap="gray", extent=self.view.extent, clim=limits(contrast))

        return draw

    def _overlay(self, plane: np.ndarray, contrast: np.ndarray, labels: np.ndarray | None) -> Panel:
        def draw(axes: Axes) -> None:
            self._image(plane, contrast)(axes)
            if labels is not None:
                outlines = None if self.fixed_labels is None else self.view.cut(self.fixed_labels)
                _draw_labels(axes, self.view, self.view.cut(labels), outlines, self.names)

        return draw


def _intersection(first: Window, second: Window) -> Window:
    return (
        max(first[0], second[0]),
        min(first[1], second[1]),
        min(first[2], second[2]),
        max(first[3], second[3]),
    )


def _labels(case: Case, field: DisplacementField | None) -> np.ndarray | None:
    if case.labels is None:
        return None
    return case.labels.array if field is None else field.warp_labels(case.labels).array


def _anatomy(case: Case, labels: np.ndarray | None) -> np.ndarray:
    """Where the anatomy is: labels, else the mask, else all that is not the lowest intensity."""
    if labels is not None and labels.any():
        return labels > 0
    if case.mask is not None:
        return case.mask.array > 0
    image = case.image.array
    return image > image.min()


def _draw_labels(
    axes: Axes,
    view: View,
    plane: np.ndarray,
    outlines: np.ndarray | None,
    labels: Mapping[int, str],
) -> None:
    height, width = view.spacing
    x, y = np.arange(plane.shape[1]) * width, np.arange(plane.shape[0]) * height
    shade = np.zeros((*plane.shape, 4))
    for k, value in enumerate(labels):
        shade[plane == value] = (*to_rgb(label_colour(k)), 0.55)
        if outlines is not None and (outlines == value).any():
            inside = (outlines == value).astype(float)
            axes.contour(x, y, inside, [0.5], colors="white", linewidths=1.6)
            axes.contour(x, y, inside, [0.5], colors="black", linewidths=0.7)
    axes.imshow(shade, extent=view.extent, interpolation="nearest")
