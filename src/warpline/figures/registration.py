"""Moving, fixed, deformed and the deformation: figure 2 of Estienne et al. 2020."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.evaluation.records import read_records
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.figures.style import colour, in_words, legend_columns, new_figure, save, style
from warpline.images.grid import Image
from warpline.images.views import View
from warpline.plan.pairs import pair_name

PANEL = 2.1  # inches, the longer side of a panel
GAP, LEFT, HEADING, BOTTOM, RIGHT = 0.06, 0.42, 0.3, 0.4, 0.95
ROW = 0.2  # of the legend, beyond its first
LINES = 26  # of the deformation grid along the window's longer side
JACOBIAN_RANGE = (0.0, 2.0)
FOLD = "#000000"
Panel = Callable[[Axes], ScalarMappable | None]


def draw(spec: Mapping[str, Any], sources: Mapping[str, Any], stem: str | os.PathLike) -> None:
    """The figure of a paper file.

    `sources`: ``records`` (file), ``folders`` (of the cases, by id), ``fields`` (method → pair's
    name → folder of its field), ``labels`` (value → name), ``unit`` (of the prepared grids).
    """
    first, last = spec["experiments"][0], spec["experiments"][-1]
    frame = read_records(sources["records"])
    own = frame[
        (frame["dataset"] == first["dataset"])
        & (frame["split"] == first["split"])
        & (frame["method"] == last["method"])
    ]
    pair = choose_pair(own, spec["pair"])
    name = pair_name(pair)
    print(f"pair: fixed {pair[0]}, moving {pair[1]}", flush=True)
    fields = {
        entry["title"]: read_field(
            Path(sources["fields"][entry["method"]][name]) / f"{name}.nii.gz"
        )
        for entry in spec["experiments"]
    }
    fixed, moving = (vars(read_case(sources["folders"][case])) for case in pair)
    labels = {int(value): title for value, title in sources["labels"].items()}
    registration_figure(
        fixed, moving, fields, labels, stem, plane=spec["plane"], unit=sources["unit"]
    )


def choose_pair(records: pd.DataFrame, rule: str) -> tuple[str, str]:
    """(fixed, moving) of the first pair, or of the one with the median Dice (the lower of two)."""
    pairs = records.groupby(["fixed", "moving"], sort=False)
    if rule == "first":
        return next(iter(pairs.groups))
    chosen = records[records["metric"] == "dice"]
    if chosen.empty:
        raise WarplineError(
            "No pair has a Dice, so none has the median.",
            where="key 'pair' of the figure",
            do="Set it to 'first'.",
        )
    means = chosen.groupby(["fixed", "moving"], sort=False)["value"].mean().sort_values()
    return means.index[(len(means) - 1) // 2]


def registration_figure(
    fixed: Mapping[str, Any],
    moving: Mapping[str, Any],
    fields: Mapping[str, DisplacementField],
    labels: Mapping[int, str],
    stem: str | os.PathLike,
    *,
    plane: str = "sagittal",
    unit: str = "mm",
) -> list[Path]:
    """Draw what each method makes of one pair.

    One method, as in the paper: moving, fixed and deformed image and the deformed grid; below, the
    images with their labels (outlines: the fixed case's, in all three) and the Jacobian
    determinant. Several methods: moving and fixed once, then a row a method. The moving image is
    shown in the fixed slice plane, before registration. The grid's lines are lines of fixed
    voxels, drawn where ``T(x)`` takes them, seen along the slice's normal.

    Parameters
    ----------
    fixed, moving
        Cases: `image`, and optionally `labels` and `mask`.
    fields
        Method's title → field on the fixed image's grid.
    labels
        Label value → name.
    stem
        The files' path without suffix.
    plane
        ``sagittal``, ``coronal`` or ``axial``; the slice goes through the fixed labels' centre of
        mass (of the mask, if there are no labels).
    unit
        What a length of 1 on the cases' grids is.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    scene = _Scene(fixed, moving, labels, plane, unit)
    moving_panels, fixed_panels = scene.before(), scene.target()
    if len(fields) == 1:
        title, field = next(iter(fields.items()))
        deformed, overlaid, grid, jacobian = scene.registered(field)
        rows = [
            [moving_panels[0], fixed_panels[0], deformed, grid],
            [moving_panels[1], fixed_panels[1], overlaid, jacobian],
        ]
        headings = {0: ("Moving", "Fixed", "Deformed", "Deformation grid")}
        names = [title, ""]
    else:
        rows = [[moving_panels[0], fixed_panels[0], moving_panels[1], fixed_panels[1]]]
        rows += [scene.registered(field) for field in fields.values()]
        headings = {
            0: ("Moving", "Fixed", "Moving, labels", "Fixed, labels"),
            1: ("Deformed", "Deformed, labels", "Deformation grid", "Jacobian"),
        }
        names = ["", *fields]
    with style():
        return save(_compose(scene, rows, headings, names), stem)


class _Scene:
    """One slice of a pair, and what is drawn of it: each panel is a function of its axes."""

    def __init__(
        self,
        fixed: Mapping[str, Any],
        moving: Mapping[str, Any],
        labels: Mapping[int, str],
        plane: str,
        unit: str,
    ):
        self.moving, self.names, self.unit = moving, labels, unit
        self.unmoved = DisplacementField.identity(fixed["image"].grid)
        self.fixed_labels = _labels(fixed, None)
        self.moving_labels = _labels(moving, self.unmoved)
        anatomy = _anatomy(fixed, self.fixed_labels)
        self.view = View.through(fixed["image"].grid, plane, anatomy)
        before = self.unmoved.warp_image(moving["image"]).array
        after = fixed["image"].array
        if self.fixed_labels is not None and self.moving_labels is not None:
            anatomy = anatomy | (self.moving_labels > 0)
        # Padding around both images is nothing to look at.
        filled = (before > before.min()) | (after > after.min())
        self.window = _intersection(self.view.window(anatomy), self.view.window(filled, margin=0.0))
        self.source, self.goal = self.view.cut(before), self.view.cut(after)

    def before(self) -> tuple[Panel, Panel]:
        return self._image(self.source, self.source), self._overlay(
            self.source, self.source, self.moving_labels
        )

    def target(self) -> tuple[Panel, Panel]:
        return self._image(self.goal, self.goal), self._overlay(
            self.goal, self.goal, self.fixed_labels
        )

    def registered(self, field: DisplacementField) -> list[Panel]:
        deformed = self.view.cut(field.warp_image(self.moving["image"]).array)
        return [
            self._image(deformed, self.source),
            self._overlay(deformed, self.source, _labels(self.moving, field)),
            lambda axes: _draw_grid(axes, self.view, field, self.window),
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


def _compose(
    scene: _Scene,
    rows: Sequence[Sequence[Panel]],
    headings: Mapping[int, Sequence[str]],
    names: Sequence[str],
) -> Figure:
    """Panels edge to edge, in inches: every panel has the window's own proportions."""
    window = scene.window
    width, height = window[1] - window[0], window[2] - window[3]
    unit = PANEL / max(width, height)
    w, h = width * unit, height * unit
    tops, down = [], 0.0
    for position in range(len(rows)):
        down += HEADING if position in headings else 0.0
        tops.append(down)
        down += h + GAP
    across = LEFT + 4 * w + 3 * GAP + RIGHT
    handles = _legend(scene.shown_labels())
    columns = legend_columns([h.get_label() for h in handles], across) if handles else 1
    total = (across, down + BOTTOM + ROW * max(0, math.ceil(len(handles) / columns) - 1))
    figure = new_figure(*total, layout=None)

    def place(left: float, top: float, wide: float, high: float) -> Axes:
        box = (left / total[0], 1 - (top + high) / total[1], wide / total[0], high / total[1])
        return figure.add_axes(box)

    mappable = None
    for position, panels in enumerate(rows):
        for column, draw in enumerate(panels):
            axes = place(LEFT + column * (w + GAP), tops[position], w, h)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="#AAAAAA", linewidth=0.6)
            drawn = draw(axes)
            axes.set(xlim=window[:2], ylim=window[2:])
            if position in headings:
                axes.set_title(headings[position][column], pad=5)
            if position == column == 0:
                orient(axes, scene.view)
                scale_bar(axes, window, scene.unit)
            if drawn is not None and mappable is None:
                mappable = drawn
                left = LEFT + 4 * w + 3 * GAP + 0.07
                _colour_bar(figure, place(left, tops[position], 0.1, h), mappable)
        single = len(rows) == 2 and not names[1]
        span = 2 * h + GAP if single else h
        figure.text(
            0.5 * LEFT / total[0],
            1 - (tops[position] + span / 2) / total[1],
            names[position],
            rotation=90,
            ha="center",
            va="center",
            size=10,
        )
    if handles:
        figure.legend(
            handles=handles,
            loc="lower center",
            ncols=columns,
            handlelength=1.2,
            borderaxespad=0.2,
        )
    return figure


def _legend(present: Mapping[int, str]) -> list[Patch]:
    """One patch a label, and the outline's; none without labels."""
    handles = [Patch(color=colour(k), label=in_words(name)) for k, name in present.items()]
    if handles:
        handles.append(Patch(facecolor="none", edgecolor="black", label="outline: fixed"))
    return handles


def _intersection(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    return (
        max(first[0], second[0]),
        min(first[1], second[1]),
        min(first[2], second[2]),
        max(first[3], second[3]),
    )


def _labels(case: Mapping[str, Any], field: DisplacementField | None) -> np.ndarray | None:
    labels: Image | None = case.get("labels")
    if labels is None:
        return None
    return labels.array if field is None else field.warp_labels(labels).array


def _anatomy(case: Mapping[str, Any], labels: np.ndarray | None) -> np.ndarray:
    """Where the anatomy is: labels, else the mask, else all that is not the lowest intensity."""
    if labels is not None and labels.any():
        return labels > 0
    if case.get("mask") is not None:
        return case["mask"].array > 0
    image = case["image"].array
    return image > image.min()


def limits(plane: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(plane, (0.5, 99.5))
    return float(low), float(high if high > low else low + 1)


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
        shade[plane == value] = (*to_rgb(colour(k)), 0.55)
        if outlines is not None and (outlines == value).any():
            inside = (outlines == value).astype(float)
            axes.contour(x, y, inside, [0.5], colors="white", linewidths=1.6)
            axes.contour(x, y, inside, [0.5], colors="black", linewidths=0.7)
    axes.imshow(shade, extent=view.extent, interpolation="nearest")


def orient(axes: Axes, view: View) -> None:
    places = {"left": (0.03, 0.5), "right": (0.97, 0.5), "top": (0.5, 0.97), "bottom": (0.5, 0.03)}
    for side, letter in view.letters.items():
        axes.text(
            *places[side],
            letter,
            transform=axes.transAxes,
            color="#FFD92F",
            weight="bold",
            path_effects=[withStroke(linewidth=2, foreground="black")],
            ha=side if side in ("left", "right") else "center",
            va=side if side in ("top", "bottom") else "center",
        )


def scale_bar(axes: Axes, window: tuple[float, float, float, float], unit: str) -> None:
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
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )


def _draw_grid(
    axes: Axes,
    view: View,
    field: DisplacementField,
    window: tuple[float, float, float, float],
) -> None:
    """Lines of fixed voxels at ``T(x)``, projected on the plane."""
    where = view.cut(field.grid.index_to_physical(field.grid.indices()) + field.vectors)
    points = view.project(field.grid.physical_to_index(where))
    longer = max(window[1] - window[0], window[2] - window[3])
    steps = [max(1, round(longer / LINES / spacing)) for spacing in view.spacing]
    lines = [*points[:: steps[0]], *np.swapaxes(points[:, :: steps[1]], 0, 1)]
    axes.add_collection(LineCollection(lines, colors="#1B3A5C", linewidths=0.7))


def draw_jacobian(axes: Axes, view: View, field: DisplacementField) -> ScalarMappable:
    """The slice's Jacobian determinant, white at 1, black where it is not positive."""
    determinant = np.pad(field.jacobian_determinant(), 1, constant_values=1.0)
    plane = view.cut(determinant)
    low, high = JACOBIAN_RANGE
    norm = TwoSlopeNorm(1.0, low, high)
    drawn = axes.imshow(plane, cmap="PuOr_r", norm=norm, extent=view.extent)
    folds = np.zeros((*plane.shape, 4))
    folds[plane <= 0] = (*to_rgb(FOLD), 1.0)
    axes.imshow(folds, extent=view.extent, interpolation="nearest")
    return drawn


def _colour_bar(figure: Figure, axes: Axes, drawn: ScalarMappable) -> None:
    bar = figure.colorbar(drawn, cax=axes, extend="max", ticks=[0, 0.5, 1, 1.5, 2])
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label("Jacobian determinant\n(black: ≤ 0)", size=7)
    bar.outline.set_visible(False)
