"""Moving, fixed, deformed and the deformation: figure 2 of Estienne et al. 2020."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import OfPairs, announce, choose_pairs, records_of_figure, scores
from warpline.figures.panels import (
    bar_within,
    beside,
    frame,
    orient,
    place,
    scale_bar,
    size_of,
    write,
)
from warpline.figures.scene import Panel, Scene
from warpline.figures.style import (
    area,
    in_words,
    label_colour,
    legend_columns,
    new_figure,
    save,
    style,
)

PANEL = 2.1  # inches, the longer side of a panel
GAP, LEFT, HEADING, BOTTOM, RIGHT = 0.06, 0.42, 0.3, 0.4, 0.95
ROW = 0.2  # of the legend, beyond its first


def draw(
    figure: FigureEntry, stem: str | os.PathLike, *, labels: Mapping[int, str], **sources: Any
) -> None:
    """The figure of a paper file; `labels`: value → name, `sources`: the fields of `OfPairs`."""
    given = OfPairs(**sources)
    records = records_of_figure(figure, given.records)
    (pair,) = choose_pairs(records, figure.last, [figure.pair], "dice").values()
    announce(figure.pair, pair)
    fixed, moving = given.read(pair)
    fields = {
        shown.title: given.field(shown.method, pair, fixed.grid) for shown in figure.experiments
    }
    names = {int(value): title for value, title in labels.items()}
    said = scores(records, pair, ["dice", "tre"])
    notes = {each.title: said[each.method] for each in figure.experiments if each.method in said}
    look = {"plane": figure.plane, "unit": given.unit, "notes": notes}
    registration_figure(fixed, moving, fields, names, stem, **look)


def registration_figure(
    fixed: Case,
    moving: Case,
    fields: Mapping[str, DisplacementField],
    labels: Mapping[int, str],
    stem: str | os.PathLike,
    *,
    plane: str = "sagittal",
    unit: str = "mm",
    notes: Mapping[str, str] | None = None,
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
        The cases; their labels and masks need not be there.
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
    notes
        Method's title → what is written into its deformed image.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    notes = notes or {}
    scene = Scene(fixed, moving, labels, plane, unit)
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
        written = {(0, 2): notes.get(title, "")}
    else:
        rows = [[moving_panels[0], fixed_panels[0], moving_panels[1], fixed_panels[1]]]
        rows += [scene.registered(field) for field in fields.values()]
        headings = {
            0: ("Moving", "Fixed", "Moving, labels", "Fixed, labels"),
            1: ("Deformed", "Deformed, labels", "Deformation grid", "Jacobian"),
        }
        names = ["", *fields]
        written = {(k + 1, 0): notes.get(title, "") for k, title in enumerate(fields)}
    with style():
        return save(_compose(scene, rows, headings, names, written), stem)


def _compose(
    scene: Scene,
    rows: Sequence[Sequence[Panel]],
    headings: Mapping[int, Sequence[str]],
    names: Sequence[str],
    written: Mapping[tuple[int, int], str],
) -> Figure:
    """Panels edge to edge, in inches: every panel has the window's own proportions."""
    width, height = size_of(scene.window)
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
    mappable = None
    for position, panels in enumerate(rows):
        for column, draw in enumerate(panels):
            axes = place(figure, LEFT + column * (w + GAP), tops[position], w, h)
            drawn = draw(axes)
            frame(axes, scene.window)
            write(axes, written.get((position, column), ""))
            if position in headings:
                axes.set_title(headings[position][column], pad=5)
            if position == column == 0:
                orient(axes, scene.view)
                scale_bar(axes, scene.window, scene.unit)
            if drawn is not None and mappable is None:
                mappable = drawn
                left = LEFT + 4 * w + 3 * GAP + 0.07
                bar = bar_within(
                    figure, mappable, place(figure, left, tops[position], 0.1, h),
                    "Jacobian determinant\n(black: ≤ 0)", extend="max", ticks=[0, 0.5, 1, 1.5, 2],
                )  # fmt: skip
                bar.outline.set_visible(False)
        single = len(rows) == 2 and not names[1]
        span = 2 * h + GAP if single else h
        beside(figure, names[position], 0.5 * LEFT, tops[position] + span / 2)
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
    handles = [area(label_colour(k), in_words(name)) for k, name in present.items()]
    if handles:
        handles.append(Patch(facecolor="none", edgecolor="black", label="outline: fixed"))
    return handles
