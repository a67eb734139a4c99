"""Slices of scans in rows, all at one scale in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from warpline.cases.exploration import Slice
from warpline.figures.panels import orient, scale_bar
from warpline.figures.style import new_figure
from warpline.images.grid import Grid
from warpline.images.views import View

WINDOW = (-1000.0, 400.0)  # HU: air black, bone white
PANEL, WIDEST = 1.9, 7.6  # inches: a panel's longer side, a sheet's width
GAP, MARGIN, ROW_TITLE, LINE = 0.08, 0.08, 0.75, 0.15


@dataclass
class Row:
    """Panels beside each other; `notes` stand below each of them."""

    title: str
    panels: list[Slice]
    notes: list[str] = field(default_factory=list)


def sheet(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    planes: Sequence[str],
    window: tuple[float, float] = WINDOW,
    note: str = "",
    below: float = 0.0,
) -> Figure:
    """Rows of slices at one scale in mm, each in the middle of its cell.

    Parameters
    ----------
    columns
        Headings, if any.
    planes
        Of the first row's panels from the left: those get directions, the first of them a bar.
    window
        HU that are black and white.
    note
        A sentence below.
    below
        Inches left free below.
    """
    widths = [
        max(row.panels[k].size[1] for row in rows if k < len(row.panels))
        for k in range(max(len(row.panels) for row in rows))
    ]
    heights = [max(panel.size[0] for panel in row.panels) for row in rows]
    room = WIDEST - ROW_TITLE - 2 * MARGIN - GAP * (len(widths) - 1)
    unit = min(PANEL / max(*widths, *heights), room / sum(widths))
    notes = [
        LINE * max([text.count("\n") + 1 for text in row.notes], default=0) + GAP for row in rows
    ]
    heading = 0.25 if columns else 0.0
    width = ROW_TITLE + 2 * MARGIN + GAP * (len(widths) - 1) + unit * sum(widths)
    width = max(width, 0.075 * len(note) + 2 * MARGIN)
    height = 2 * MARGIN + heading + unit * sum(heights) + sum(notes) + below + (LINE if note else 0)
    figure = new_figure(width, height, layout=None)
    top = MARGIN + heading
    for row, tallest, text in zip(rows, heights, notes, strict=True):
        left = MARGIN + ROW_TITLE
        middle = 1 - (top + tallest * unit / 2) / height
        figure.text(
            (MARGIN + ROW_TITLE / 2 - 0.03) / width, middle, row.title,
            ha="center", va="center", size=8.5, linespacing=1.3,
        )  # fmt: skip
        for k, panel in enumerate(row.panels):
            high, wide = (unit * n for n in panel.size)
            x, y = left + (unit * widths[k] - wide) / 2, top + (unit * tallest - high) / 2
            axes = figure.add_axes(
                (x / width, 1 - (y + high) / height, wide / width, high / height)
            )
            axes.imshow(
                panel.pixels, cmap="gray", clim=window, aspect="auto",
                extent=(0, panel.size[1], panel.size[0], 0),
            )  # fmt: skip
            axes.set_axis_off()
            if row is rows[0] and k < len(planes):
                _mark(axes, panel, planes[k], scale=k == 0)
            centre = (left + unit * widths[k] / 2) / width
            if k < len(row.notes):
                figure.text(
                    centre, 1 - (top + unit * tallest + 0.03) / height, row.notes[k],
                    ha="center", va="top", size=7.5,
                )  # fmt: skip
            if row is rows[0] and columns:
                figure.text(centre, 1 - (MARGIN + 0.1) / height, columns[k], ha="center",
                            va="center", size=9)  # fmt: skip
            left += unit * widths[k] + GAP
        top += unit * tallest + text
    if note:
        figure.text(0.5, MARGIN / height, note, ha="center", va="bottom", size=9)
    return figure


def _mark(axes: Axes, panel: Slice, plane: str, scale: bool) -> None:
    """Write which way is which, and how long a centimetre or more is."""
    orient(axes, View(Grid((1, 1, 1)), plane, 0))
    window = (0.0, panel.size[1], panel.size[0], 0.0)
    if scale:
        scale_bar(axes, window, "mm")
    axes.set(xlim=window[:2], ylim=window[2:])


def words(text: str) -> Figure:
    """A figure that says why there is nothing to show."""
    figure = new_figure(5.0, 1.2)
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure
