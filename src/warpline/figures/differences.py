"""Deformed images and what is left between them and the fixed one: figure 2.5 of Sokooti 2017."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import (
    METRICS,
    OfPairs,
    announce,
    choose_pairs,
    records_of_figure,
    scores,
    view_and_window,
)
from warpline.figures.panels import (
    Window,
    bar_within,
    beside,
    frame,
    limits,
    orient,
    place,
    scale_bar,
    size_of,
    write,
)
from warpline.figures.style import new_figure, save, style
from warpline.images.views import View

PANEL = 1.75  # inches, the width of a panel
GAP, LEFT, HEADING, BOTTOM, RIGHT = 0.05, 0.46, 0.28, 0.12, 0.85
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
    window: Window
    fixed: np.ndarray
    moving: np.ndarray
    deformed: Mapping[str, np.ndarray]
    notes: Mapping[str, str]

    def differences(self) -> Iterator[np.ndarray]:
        """Deformed minus fixed, method by method."""
        return (image - self.fixed for image in self.deformed.values())


def draw(figure: FigureEntry, stem: str | os.PathLike, *, intensity: str, **sources: Any) -> None:
    """The figure of a paper file; `intensity`: the images' unit, `sources`: those of `OfPairs`."""
    given, titles = OfPairs(**sources), figure.titles
    records = records_of_figure(figure, given.records)
    examples = []
    for rule, pair in choose_pairs(records, figure.last, figure.pairs).items():
        announce(rule, pair)
        fixed, moving = given.read(pair)
        fields = {title: given.field(method, pair, fixed.grid) for method, title in titles.items()}
        said = scores(records, pair, ["tre"])
        notes = {title: said[method] for method, title in titles.items() if method in said}
        name = rule if rule == "first" else f"{rule} {METRICS['tre']} by\n{titles[figure.last]}"
        examples.append(example(name, fixed, moving, fields, plane=figure.plane, notes=notes))
    difference_figure(examples, stem, unit=given.unit, intensity=intensity)


def example(
    name: str,
    fixed: Case,
    moving: Case,
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
        The cases; their landmarks and masks need not be there.
    fields
        Method's title → field on the fixed image's grid.
    plane
        ``sagittal``, ``coronal`` or ``axial``.
    notes
        Method's title → what is written into its difference image.
    """
    view, window = view_and_window(fixed, plane)
    unmoved = DisplacementField.identity(fixed.grid)
    return Example(
        name=name,
        view=view,
        window=window,
        fixed=view.cut(fixed.image.array).astype(np.float32),
        moving=view.cut(unmoved.warp_image(moving.image).array),
        deformed={
            title: view.cut(field.warp_image(moving.image).array).astype(np.float32)
            for title, field in fields.items()
        },
        notes=notes or {},
    )


def difference_figure(
    examples: Sequence[Example], stem: str | os.PathLike, *, unit: str = "mm", intensity: str = ""
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
    intensity
        The unit of the images' values, if they have one.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    with style():
        return save(_compose(examples, unit, intensity), stem)


def difference_range(examples: Sequence[Example]) -> float:
    """The largest difference that the grey scale tells apart.

    At least a hundredth of the images' own grey window: rounding is nothing to look at.
    """
    first = [np.abs(next(e.differences())).ravel() for e in examples]
    least = max(np.ptp(limits(e.fixed)) for e in examples) / 100
    return max(float(np.percentile(np.concatenate(first), 99)), float(least))


def _compose(examples: Sequence[Example], unit: str, intensity: str) -> Figure:
    """Panels edge to edge, in inches: every pair has its window's own proportions."""
    titles = list(examples[0].deformed)
    sizes = [size_of(e.window) for e in examples]
    heights = [PANEL * tall / wide for wide, tall in sizes]
    width = LEFT + (1 + len(titles)) * (PANEL + GAP) + RIGHT
    height = HEADING + sum(2 * h + GAP for h in heights) + BETWEEN * (len(heights) - 1) + BOTTOM
    figure = new_figure(width, height, layout=None)

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
                axes = place(figure, left, top + row * (high + GAP), PANEL, high)
                axes.imshow(image, cmap="gray", norm=scale, extent=shown.view.extent)
                frame(axes, shown.window)
                if row == column == 0:
                    orient(axes, shown.view)
                    scale_bar(axes, shown.window, unit)
                if row == 0 and number == 0:
                    axes.set_title(["Fixed", *titles][column], pad=5)
                if row == 1:
                    note = shown.notes.get(titles[column - 1], "") if column else "Moving"
                    write(axes, note)
        beside(figure, shown.name, 0.5 * LEFT, top + high + GAP / 2)
        top += 2 * high + GAP + BETWEEN
    left = LEFT + (1 + len(titles)) * (PANEL + GAP) + 0.03
    first = heights[0]
    within = place(figure, left, HEADING + first + GAP, 0.1, first)
    label = "deformed − fixed" + (f" ({intensity})" if intensity else "")
    bar_within(figure, ScalarMappable(norm, "gray"), within, label, extend="both")
    return figure
