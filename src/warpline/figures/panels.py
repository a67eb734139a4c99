"""What figures of slices share: places in inches, grey windows, letters, bars, Jacobians."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import TwoSlopeNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from warpline.fields.physical import DisplacementField
from warpline.figures.style import FRAME
from warpline.images.views import View

LINES = 26  # of a deformation grid along the window's longer side
JACOBIAN_RANGE = (0.0, 2.0)
FOLD = "#000000"
Window = tuple[float, float, float, float]
"""Left, right, bottom, top of what is shown of a slice, in mm."""


def size_of(window: Window) -> tuple[float, float]:
    """Width and height of a window in mm."""
    left, right, bottom, top = window
    return right - left, bottom - top


def place(figure: Figure, left: float, top: float, wide: float, high: float) -> Axes:
    """Axes at a place given in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + high) / down, wide / across, high / down))


def frame(axes: Axes, window: Window) -> None:
    """Show the window alone, without ticks, in a thin grey frame."""
    axes.set(xticks=[], yticks=[], xlim=window[:2], ylim=window[2:])
    axes.spines[:].set(visible=True, color=FRAME, linewidth=0.6)


def limits(plane: np.ndarray) -> tuple[float, float]:
    """The grey window of a slice: its percentiles 0.5 and 99.5."""
    low, high = np.percentile(plane, (0.5, 99.5))
    return float(low), float(high if high > low else low + 1)


def orient(axes: Axes, view: View) -> None:
    """Write the anatomical directions at the four sides."""
    places = {"left": (0.03, 0.5), "right": (0.97, 0.5), "top": (0.5, 0.97), "bottom": (0.5, 0.03)}
    for side, letter in view.letters.items():
        axes.text(
            *places[side],
            letter,
            transform=axes.transAxes,
            color="#FFD92F",
            weight="bold",
            path_effects=stroke(),
            ha=side if side in ("left", "right") else "center",
            va=side if side in ("top", "bottom") else "center",
        )


def scale_bar(axes: Axes, window: Window, unit: str) -> None:
    """Draw a bar of a round length, at most a third of the window, at the lower left."""
    width = window[1] - window[0]
    length = max(n for n in (1, 2, 5, 10, 20, 50, 100) if n <= max(width / 3, 1))
    x, y = window[0] + 0.05 * width, window[2] - 0.05 * (window[2] - window[3])
    for shade, thickness in (("black", 4.0), ("white", 2.0)):
        axes.plot([x, x + length], [y, y], color=shade, linewidth=thickness, solid_capstyle="butt")
    axes.annotate(
        f"{length} {unit}",
        (x, y),
        (0, 4),
        textcoords="offset points",
        color="white",
        size=8,
        path_effects=stroke(),
    )


def write(axes: Axes, text: str, *, x: float = 0.03, ha: str = "left") -> None:
    """Write into the upper part of a panel, readable on any grey."""
    axes.text(
        x,
        0.97,
        text,
        transform=axes.transAxes,
        color="white",
        size=8,
        ha=ha,
        va="top",
        path_effects=stroke(),
    )


def stroke(width: float = 2, shade: str = "black") -> list[withStroke]:
    """The rim that keeps text and lines readable over an image."""
    return [withStroke(linewidth=width, foreground=shade)]


def beside(figure: Figure, text: str, left: float, top: float) -> None:
    """Write a row's name upwards, centred at a place in inches from the upper left corner."""
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - top / down, text, rotation=90, ha="center", va="center", size=10)


def draw_grid(axes: Axes, view: View, field: DisplacementField, window: Window) -> None:
    """Draw lines of fixed voxels at ``T(x)``, projected on the plane."""
    where = view.cut(field.grid.index_to_physical(field.grid.indices()) + field.vectors)
    points = view.project(field.grid.physical_to_index(where))
    steps = [max(1, round(max(size_of(window)) / LINES / spacing)) for spacing in view.spacing]
    lines = [*points[:: steps[0]], *np.swapaxes(points[:, :: steps[1]], 0, 1)]
    axes.add_collection(LineCollection(lines, colors="#1B3A5C", linewidths=0.7))


def draw_jacobian(axes: Axes, view: View, field: DisplacementField) -> ScalarMappable:
    """Draw the slice's Jacobian determinant, white at 1, black where it is not positive."""
    determinant = np.pad(field.jacobian_determinant(), 1, constant_values=1.0)
    plane = view.cut(determinant)
    low, high = JACOBIAN_RANGE
    norm = TwoSlopeNorm(1.0, low, high)
    drawn = axes.imshow(plane, cmap="PuOr_r", norm=norm, extent=view.extent)
    folds = np.zeros((*plane.shape, 4))
    folds[plane <= 0] = (*to_rgb(FOLD), 1.0)
    axes.imshow(folds, extent=view.extent, interpolation="nearest")
    return drawn


def bar_within(figure: Figure, drawn: ScalarMappable, axes: Axes, label: str, **more) -> Colorbar:
    """A colour bar that fills `axes`; `more` goes to `Figure.colorbar`."""
    return _finished(figure.colorbar(drawn, cax=axes, **more), label)


def bar_below(
    figure: Figure, drawn: ScalarMappable, axes: Axes | Sequence[Axes], label: str, **more
) -> Colorbar:
    """A small colour bar below a panel or a column of panels; `more` goes to `Figure.colorbar`."""
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, **more)
    return _finished(bar, label)


def _finished(bar: Colorbar, label: str) -> Colorbar:
    bar.set_label(label, size=7)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set(edgecolor=FRAME, linewidth=0.6)
    return bar
