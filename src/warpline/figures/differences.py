"""Deformed images and what is left between them and the fixed one: figure 2.5 of Sokooti 2017."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.figures.registration import limits, orient, scale_bar
from warpline.figures.residuals import records_of_figure
from warpline.figures.style import new_figure, save, style
from warpline.images.grid import Grid
from warpline.images.views import PLANES, View
from warpline.plan.pairs import pair_name

PANEL = 1.75  # inches, the width of a panel
GAP, LEFT, HEADING, BOTTOM, RIGHT = 0.05, 0.3, 0.28, 0.12, 0.85
BETWEEN = 0.14  # two pairs


@dataclass(frozen=True)
class Example:
    """One pair in one slice; images are (rows, columns).

    Attributes
    ----------
    name
        What is written beside it.
    view, window
        The slice, and the part of it that is shown (left, right, bottom, top in mm).
    fixed, moving
        The fixed image, and the moving one as it lies in the same space.
    deformed
        Method's title → deformed moving image.
    notes
        Method's title → what is written into its difference image.
    """

    name: str
    view: View
    window: tuple[float, float, float, float]
    fixed: np.ndarray
    moving: np.ndarray
    deformed: Mapping[str, np.ndarray]
    notes: Mapping[str, str]

    def differences(self) -> Iterator[np.ndarray]:
        """Deformed minus fixed, method by method."""
        return (image - self.fixed for image in self.deformed.values())


def draw(spec: Mapping[str, Any], sources: Mapping[str, Any], stem: str | os.PathLike) -> None:
    """The figure of a paper file.

    `sources`: ``records`` (file), ``folders`` (of the cases, by id), ``fields`` (method → pair's
    name → folder of its field), ``unit`` (of the prepared grids).
    """
    records = records_of_figure(spec, sources["records"])
    titles = {entry["method"]: entry["title"] for entry in spec["experiments"]}
    examples = []
    for rule, pair in choose_pairs(records, list(titles)[-1], spec["pairs"]).items():
        print(f"{rule} pair: fixed {pair[0]}, moving {pair[1]}", flush=True)
        name = pair_name(pair)
        fixed, moving = (vars(read_case(sources["folders"][case])) for case in pair)
        fields = {
            title: read_field(Path(sources["fields"][method][name]) / f"{name}.nii.gz")
            for method, title in titles.items()
        }
        own = records[(records["fixed"] == pair[0]) & (records["moving"] == pair[1])]
        means = own[own["metric"] == "tre"].groupby("method")["value"].mean()
        notes = {
            title: f"TRE {means[method]:.1f} mm"
            for method, title in titles.items()
            if method in means
        }
        examples.append(example(rule, fixed, moving, fields, plane=spec["plane"], notes=notes))
    difference_figure(examples, stem, unit=sources["unit"])


def choose_pairs(
    records: pd.DataFrame, method: str, rules: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Rule → (fixed, moving); a pair that two rules name stands once, under the first of them.

    ``first``: of the records; ``best``, ``median`` (the lower of two) and ``worst``: by the mean
    TRE of a method.

    Raises
    ------
    WarplineError
        If the method has no TRE for any rule but ``first``.
    """
    own = records[records["method"] == method]
    means = own[own["metric"] == "tre"].groupby(["fixed", "moving"])["value"].mean().dropna()
    order = list(means.sort_values(kind="stable").index)
    found: dict[str, tuple[str, str]] = {}
    for rule in rules:
        if rule == "first":
            pair = tuple(own[["fixed", "moving"]].iloc[0])
        elif not order:
            raise WarplineError(
                f"No pair has a TRE for {method}, so none is the {rule} one.",
                where="key 'pairs' of the figure",
                do="Set it to [first].",
            )
        else:
            pair = order[{"best": 0, "median": (len(order) - 1) // 2, "worst": -1}[rule]]
        if pair not in found.values():
            found[rule] = pair
    return found


def example(
    name: str,
    fixed: Mapping[str, Any],
    moving: Mapping[str, Any],
    fields: Mapping[str, DisplacementField],
    *,
    plane: str,
    notes: Mapping[str, str] | None = None,
) -> Example:
    """One pair in the slice through the centre of its landmarks (of the mask, of the grid).

    Parameters
    ----------
    name
        What is written beside it.
    fixed, moving
        Cases: `image`, and optionally `landmarks` and `mask`.
    fields
        Method's title → field on the fixed image's grid.
    plane
        ``sagittal``, ``coronal`` or ``axial``.
    notes
        Method's title → what is written into its difference image.
    """
    grid: Grid = fixed["image"].grid
    mask = None if fixed.get("mask") is None else fixed["mask"].array > 0
    view = View.through(grid, plane, mask)
    landmarks = fixed.get("landmarks")
    if landmarks is not None and len(landmarks):
        view = through_landmarks(grid, plane, landmarks)
    window = view.extent if mask is None else view.window(mask, margin=0.08)
    unmoved = DisplacementField.identity(grid)
    return Example(
        name=name,
        view=view,
        window=window,
        fixed=view.cut(fixed["image"].array).astype(np.float32),
        moving=view.cut(unmoved.warp_image(moving["image"]).array),
        deformed={
            title: view.cut(field.warp_image(moving["image"]).array).astype(np.float32)
            for title, field in fields.items()
        },
        notes=notes or {},
    )


def through_landmarks(grid: Grid, plane: str, landmarks: pd.DataFrame) -> View:
    """The slice nearest to the centre of landmarks (columns `x`, `y`, `z`; mm, LPS)."""
    centre = landmarks[["x", "y", "z"]].to_numpy(float).mean(axis=0)
    axis = grid.nearest_axis(PLANES[plane][0])[0]
    position = round(float(grid.physical_to_index(centre[None])[0, axis]))
    return View(grid, plane, min(max(position, 0), grid.shape[axis] - 1))


def difference_figure(
    examples: Sequence[Example], stem: str | os.PathLike, *, unit: str = "mm"
) -> list[Path]:
    """Draw two rows a pair: fixed and deformed images; moving image and differences.

    Images of a pair share the grey window of its fixed image. Differences are deformed minus fixed
    in one range for the whole figure, grey where there is none: the 99th percentile of what the
    first method leaves.

    Parameters
    ----------
    examples
        The pairs, all with the same methods.
    stem
        The files' path without suffix.
    unit
        What a length of 1 on the cases' grids is.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    with style():
        return save(_compose(examples, unit), stem)


def difference_range(examples: Sequence[Example]) -> float:
    """The largest difference that the grey scale tells apart.

    At least a hundredth of the images' own grey window: rounding is nothing to look at.
    """
    first = [np.abs(next(e.differences())).ravel() for e in examples]
    least = max(np.ptp(limits(e.fixed)) for e in examples) / 100
    return max(float(np.percentile(np.concatenate(first), 99)), float(least))


def _compose(examples: Sequence[Example], unit: str) -> Figure:
    """Panels edge to edge, in inches: every pair has its window's own proportions."""
    titles = list(examples[0].deformed)
    heights = [PANEL * _height(e.window) / _width(e.window) for e in examples]
    width = LEFT + (1 + len(titles)) * (PANEL + GAP) + RIGHT
    height = HEADING + sum(2 * h + GAP for h in heights) + BETWEEN * (len(heights) - 1) + BOTTOM
    figure = new_figure(width, height, layout=None)

    def place(left: float, top: float, wide: float, high: float) -> Axes:
        box = (left / width, 1 - (top + high) / height, wide / width, high / height)
        return figure.add_axes(box)

    norm = Normalize(*(sign * difference_range(examples) for sign in (-1, 1)))
    top = HEADING
    for number, (shown, high) in enumerate(zip(examples, heights, strict=True)):
        grey = Normalize(*limits(shown.fixed))
        rows = [
            [(shown.fixed, grey), *((image, grey) for image in shown.deformed.values())],
            [(shown.moving, grey), *((image, norm) for image in shown.differences())],
        ]
        for row, panels in enumerate(rows):
            for column, (image, scale) in enumerate(panels):
                left = LEFT + column * (PANEL + GAP)
                axes = place(left, top + row * (high + GAP), PANEL, high)
                axes.imshow(image, cmap="gray", norm=scale, extent=shown.view.extent)
                axes.set(xticks=[], yticks=[], xlim=shown.window[:2], ylim=shown.window[2:])
                axes.spines[:].set(visible=True, color="#AAAAAA", linewidth=0.6)
                if row == column == 0:
                    orient(axes, shown.view)
                    scale_bar(axes, shown.window, unit)
                if row == 0 and number == 0:
                    axes.set_title(["Fixed", *titles][column], pad=5)
                if row == 1:
                    note = shown.notes.get(titles[column - 1], "") if column else "Moving"
                    _write(axes, note)
        _beside(figure, shown.name, 0.5 * LEFT / width, 1 - (top + high + GAP / 2) / height)
        top += 2 * high + GAP + BETWEEN
    left = LEFT + (1 + len(titles)) * (PANEL + GAP) + 0.03
    first = heights[0]
    _colour_bar(figure, place(left, HEADING + first + GAP, 0.1, first), norm)
    return figure


def _width(window: Sequence[float]) -> float:
    return window[1] - window[0]


def _height(window: Sequence[float]) -> float:
    return window[2] - window[3]


def _write(axes: Axes, text: str) -> None:
    axes.text(
        0.03,
        0.97,
        text,
        transform=axes.transAxes,
        color="white",
        size=8,
        va="top",
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )


def _beside(figure: Figure, text: str, x: float, y: float) -> None:
    figure.text(x, y, text, rotation=90, ha="center", va="center", size=10)


def _colour_bar(figure: Figure, axes: Axes, norm: Normalize) -> None:
    bar = figure.colorbar(ScalarMappable(norm, "gray"), cax=axes, extend="both")
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label("deformed − fixed", size=7)
    bar.outline.set(edgecolor="#AAAAAA", linewidth=0.6)
