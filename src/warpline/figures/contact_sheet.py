"""A sheet of cases with their organs: which were kept, which dropped, and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from warpline.cases.organs import ORGANS
from warpline.figures.panels import Window, frame, orient, place, scale_bar, size_of, stroke
from warpline.figures.style import PALETTE, area, in_words, legend_columns, new_figure
from warpline.images.views import View
from warpline.segmentation.noisy_labels import ANNOTATED, PREDICTED

WINDOW = (-160.0, 240.0)  # HU: centre 40, width 400
WIDTH, GAP, EDGE, LINE = 7.2, 0.12, 0.06, 0.1  # inches; LINE of text of TEXT points
TEXT = 6.5
# Positions in the palette in the order of `ORGANS`: organs that touch are far apart with any colour
# vision, none is near to red, and the two that are hard to see on CT go to the adrenals.
COLOURS = (9, 2, 4, 11, 1, 12, 8, 0, 3, 10, 6, 7, 13)
RED = "#E3001B"
# Line and opacity of the filling.
LINES = {ANNOTATED: ("solid", 0.5), PREDICTED: ((0, (2.5, 1.2)), 0.3)}
# A space that no line is broken at.
GLUED = re.compile(r" (?=(?:ml|out|found|[xyz])\b)")
LOST = 0.35  # opacity of an organ that was dropped
BESIDE = (0, (1.2, 0.8))


@dataclass(frozen=True)
class CasePanel:
    """What is drawn of a case.

    Attributes
    ----------
    sources
        Number of each organ that was kept → ``annotated`` or ``predicted``.
    dropped
        Number of each organ that was not → mask of what was predicted of it in the slice, or seen
        along the slice's normal, and whether it is in the slice.
    notes
        Why, a line a reason.
    window
        Left, right, bottom, top in mm.
    """

    case: str
    kept: bool
    view: View
    image: np.ndarray
    labels: np.ndarray
    sources: Mapping[int, str]
    dropped: Mapping[int, tuple[np.ndarray, bool]]
    notes: Sequence[str]
    window: Window

    @property
    def title(self) -> str:
        """What stands above the panel."""
        return self.case if self.kept else f"{self.case}: left out"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        return size_of(self.window)

    def organs(self) -> set[int]:
        """Numbers of the organs that are kept and in the slice."""
        return set(np.unique(self.labels).tolist()) & set(self.sources)


def compose(panels: Sequence[CasePanel], count: str) -> Figure:
    """Draw panels in rows, in inches, each in the middle of its cell below its title."""
    columns = next((n for n in (3, 4) if n * n >= len(panels)), 5)
    cell = (WIDTH - 2 * EDGE - (columns - 1) * GAP) / columns
    unit = cell / max(panel.size[0] for panel in panels)
    rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
    titles = [[wrapped([panel.title], cell) for panel in row] for row in rows]
    notes = [[wrapped(panel.notes, cell) for panel in row] for row in rows]
    tops, down = [], EDGE
    for row, above, below in zip(rows, titles, notes, strict=True):
        down += LINE * max(map(len, above)) + 0.04
        tops.append(down)
        down += max(unit * p.size[1] + LINE * len(b) for p, b in zip(row, below, strict=True))
        down += 0.14
    handles = _handles(panels)
    ncols = legend_columns([handle.get_label() for handle in handles], 9 / 8 * WIDTH)
    legend = 0.17 * -(-len(handles) // ncols) + 0.1
    total = down + legend + 0.2
    figure = new_figure(WIDTH, total, layout=None)
    for k, panel in enumerate(panels):
        row, column = divmod(k, columns)
        wide, high = (unit * n for n in panel.size)
        centre = EDGE + column * (cell + GAP) + cell / 2
        axes = place(figure, centre - wide / 2, tops[row], wide, high)
        draw_case(axes, panel)
        if k == 0:
            orient(axes, panel.view)
            scale_bar(axes, panel.window, "mm")
        colour = "black" if panel.kept else RED
        weight = "normal" if panel.kept else "bold"
        for lines, y, va, how in (
            (titles[row][column], tops[row] - 0.04, "bottom", {"color": colour, "weight": weight}),
            (notes[row][column], tops[row] + high + 0.04, "top", {"color": RED}),
        ):
            figure.text(centre / WIDTH, 1 - y / total, "\n".join(lines), ha="center", va=va,
                        size=TEXT, linespacing=1.1, **how)  # fmt: skip
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - down / total),
        ncols=ncols,
        fontsize=8,
        handlelength=1.6,
        borderaxespad=0,
    )
    figure.text(0.5, 0.07 / total, count, ha="center", va="bottom", size=8)
    return figure


def _shade(number: int) -> str:
    return PALETTE[COLOURS[number - 1]]


def wrapped(lines: Sequence[str], width: float) -> list[str]:
    """Break lines to be no wider than `width` inches."""
    letters = int(width / (0.0075 * TEXT))
    glued = (GLUED.sub("\u00a0", line) for line in lines)
    parts = [part for line in glued for part in textwrap.wrap(line, letters)]
    return [part.replace("\u00a0", " ") for part in parts]


def draw_case(axes: Axes, panel: CasePanel) -> None:
    view = panel.view
    axes.imshow(panel.image, cmap="gray", clim=WINDOW, extent=view.extent)
    height, width = view.spacing
    y, x = (np.arange(n) * step for n, step in zip(view.shape, (height, width), strict=True))
    for number in sorted(panel.organs()):
        inside = (panel.labels == number).astype(float)
        line, opacity = LINES[panel.sources[number]]
        shade = {"colors": [_shade(number)]}
        axes.contourf(x, y, inside, [0.5, 1.5], alpha=opacity, **shade)
        axes.contour(x, y, inside, [0.5], linestyles=[line], linewidths=0.8, **shade)
    for number, (mask, within) in panel.dropped.items():
        inside = mask.astype(float)
        axes.contourf(x, y, inside, [0.5, 1.5], colors=[_shade(number)], alpha=LOST)
        drawn = axes.contour(x, y, inside, [0.5], colors=[RED], linewidths=1.0,
                             linestyles=["solid" if within else BESIDE])  # fmt: skip
        drawn.set_path_effects(stroke(shade="white"))
    frame(axes, panel.window)
    if not panel.kept:
        axes.spines[:].set(color=RED, linewidth=2.0)


def _handles(panels: Sequence[CasePanel]) -> list[Patch | Line2D]:
    """Organs in their order, then the kinds of lines, as far as there are any."""
    organs = set().union(*(panel.organs() | set(panel.dropped) for panel in panels))
    handles = [area(_shade(number), in_words(ORGANS[number - 1])) for number in sorted(organs)]
    sources = {panel.sources[number] for panel in panels for number in panel.organs()}
    handles += [
        Line2D([], [], color="black", linewidth=1.2, linestyle=line, label=source)
        for source, (line, _) in LINES.items()
        if source in sources
    ]
    dropped = {within for panel in panels for _, within in panel.dropped.values()}
    handles += [
        Line2D([], [], color=RED, linewidth=1.2, linestyle=line, label=label)
        for within, line, label in (
            (True, "solid", "dropped"),
            (False, BESIDE, "dropped, silhouette"),
        )
        if within in dropped
    ]
    return handles
