"""A contact sheet of noisy labels, for the eye that looked at every case in Estienne et al. 2020.

What the rules found worst comes first.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from warpline.cases.organs import NUMBER, ORGANS
from warpline.errors import WarplineError
from warpline.figures.registration import orient, scale_bar
from warpline.figures.style import PALETTE, legend_columns, new_figure, save, style
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.images.views import View
from warpline.segmentation.noisy_labels import ANNOTATED, PREDICTED, Limits, verdicts

MOST = 24  # panels
WINDOW = (-160.0, 240.0)  # HU: centre 40, width 400
WIDTH, GAP, EDGE, LINE = 7.2, 0.12, 0.06, 0.1  # inches; LINE of text of TEXT points
TEXT = 6.5
MARGIN = 0.08  # about the labels, of their longer side
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


def draw(spec: Mapping[str, Any], sources: Mapping[str, Any], stem: str | os.PathLike) -> None:
    """The figure of a paper file.

    `spec`: ``plane``, coronal if not given. `sources`: ``folders`` (of the cases, by id),
    ``tables`` (files with the rows of
    `warpline.segmentation.noisy_labels.noisy_labels`), ``limits`` (keyword arguments of `Limits`).
    """
    contact_sheet(
        read_tables(sources["tables"]),
        sources["folders"],
        stem,
        limits=Limits(**sources["limits"]),
        plane=spec.get("plane", "coronal"),
    )


def read_tables(paths: Sequence[str | os.PathLike]) -> pd.DataFrame:
    """The rows of all tables.

    Raises
    ------
    WarplineError
        If a table has no rows.
    """
    tables = []
    for path in paths:
        try:
            table = pd.read_csv(path, dtype={"case": str})
        except pd.errors.EmptyDataError:
            table = pd.DataFrame()
        if table.empty:
            raise WarplineError(
                "The table of noisy labels is empty: there is no case to show.",
                where=path,
                do="Predict the labels of at least one case.",
            )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def contact_sheet(
    table: pd.DataFrame,
    folders: Mapping[str, str | os.PathLike],
    stem: str | os.PathLike,
    *,
    limits: Limits,
    plane: str = "coronal",
) -> list[Path]:
    """Draw what became of the labels of each case.

    A panel is the CT slice through the middle of a case's labels, all at one scale in mm. A
    dropped organ is a red outline, as it was predicted; where the slice misses it, that of all of
    it seen along the slice's normal. A case that is left out has a red frame.

    Parameters
    ----------
    table
        Rows of `warpline.segmentation.noisy_labels.noisy_labels`, of any number of cases.
    folders
        Case id → folder with the files of `FILES`: HU, the organs that were kept, and all that was
        predicted; both label maps in common numbers, on the image's grid.
    stem
        The files' path without suffix.
    limits
        Those that the table was made with.
    plane
        ``sagittal``, ``coronal`` or ``axial``.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If a case has no folder, a folder lacks a file, or a label map lies on another grid.
    """
    cases = worst_first(verdicts(table, limits))
    shown = cases.head(MOST)
    rows = dict(iter(table.groupby("case", sort=False)))
    panels = []
    for row in shown.itertuples():
        if row.case not in folders:
            raise WarplineError("The table has a case without a folder.", where=f"case {row.case}")
        panels.append(_panel(row.case, rows[row.case], Path(folders[row.case]), row.kept, plane))
    with style():
        return save(_compose(panels, _count(cases, shown)), stem)


def worst_first(cases: pd.DataFrame) -> pd.DataFrame:
    """Rows of `verdicts`: cases that are left out, then by the number of organs dropped."""
    return cases.sort_values(["kept", "dropped"], ascending=[True, False], kind="stable")


def _count(cases: pd.DataFrame, shown: pd.DataFrame) -> str:
    """How many are shown of how many, of each sort."""

    def of(sort: str) -> str:
        return f"{shown.eval(sort).sum()} of {cases.eval(sort).sum()}"

    return (
        f"Shown: {len(shown)} of {len(cases)} cases ({of('~kept')} left out, "
        f"{of('kept and dropped > 0')} others with dropped organs, "
        f"{of('kept and dropped == 0')} with none)."
    )


# One case ---------------------------------------------------------------------------------------

FILES = ("image.nii.gz", "labels.nii.gz", "predicted.nii.gz")


@dataclass(frozen=True)
class _Panel:
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
    window: tuple[float, float, float, float]

    @property
    def title(self) -> str:
        return self.case if self.kept else f"{self.case}: left out"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        left, right, bottom, top = self.window
        return right - left, bottom - top

    def organs(self) -> set[int]:
        """Numbers of the organs that are kept and in the slice."""
        return set(np.unique(self.labels).tolist()) & set(self.sources)


def _panel(case: str, rows: pd.DataFrame, folder: Path, kept: bool, plane: str) -> _Panel:
    image, labels, predicted = _read(folder, case)
    numbers = rows["organ"].map(NUMBER)
    lost = numbers[~rows["kept"]]
    removed = np.where(np.isin(predicted.array, lost), predicted.array, 0)
    every = (labels.array > 0) | (removed > 0)
    view = View(image.grid, plane, _position(image.grid, plane, labels, every))
    dropped = {}
    for number in lost:
        mask = removed == number
        if mask.any():
            own = view.cut(mask)
            beside = View(image.grid, plane, 0).cut(mask.any(axis=view.normal, keepdims=True))
            dropped[int(number)] = (own, True) if own.any() else (beside, False)
    return _Panel(
        case=case,
        kept=kept,
        view=view,
        image=view.cut(image.array),
        labels=view.cut(labels.array),
        sources=dict(zip(numbers[rows["kept"]], rows.loc[rows["kept"], "source"], strict=True)),
        dropped=dropped,
        notes=_notes(rows[~rows["kept"]]),
        window=view.window(every, MARGIN),
    )


def _position(grid: Grid, plane: str, labels: Image, every: np.ndarray) -> int:
    """The slice at the mean of the organs' middles: the liver alone does not choose it."""
    masks = [labels.array == n for n in np.unique(labels.array) if n] or [every]
    return round(float(np.mean([View.through(grid, plane, mask).position for mask in masks])))


def _read(folder: Path, case: str) -> list[Image]:
    """Image, labels and prediction of a case."""
    missing = [name for name in FILES if not (folder / name).exists()]
    if missing:
        raise WarplineError(
            f"The folder of case {case} has no {' and no '.join(missing)}.",
            where=folder,
            do="Predict its labels again.",
        )
    image, *maps = (read_image(folder / name) for name in FILES)
    for name, labels in zip(FILES[1:], maps, strict=True):
        if not labels.grid.close_to(image.grid):
            raise WarplineError("The label map does not lie on the scan's grid.",
                                where=folder / name, do="Predict its labels again.")  # fmt: skip
    return [image, *maps]


def _notes(dropped: pd.DataFrame) -> list[str]:
    return [
        f"{', '.join(map(_name, own['organ']))}: {reason}"
        for reason, own in dropped.groupby("reason", sort=False)
    ]


def _name(organ: str) -> str:
    return organ.replace("_", " ")


# The sheet --------------------------------------------------------------------------------------


def _compose(panels: Sequence[_Panel], count: str) -> Figure:
    """Panels in rows, in inches, each in the middle of its cell below its title."""
    columns = next((n for n in (3, 4) if n * n >= len(panels)), 5)
    cell = (WIDTH - 2 * EDGE - (columns - 1) * GAP) / columns
    unit = cell / max(panel.size[0] for panel in panels)
    rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
    titles = [[_wrapped([panel.title], cell) for panel in row] for row in rows]
    notes = [[_wrapped(panel.notes, cell) for panel in row] for row in rows]
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
        axes = figure.add_axes(
            ((centre - wide / 2) / WIDTH, 1 - (tops[row] + high) / total, wide / WIDTH,
             high / total)
        )  # fmt: skip
        _draw(axes, panel)
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


def _wrapped(lines: Sequence[str], width: float) -> list[str]:
    """Lines no wider than `width` inches."""
    letters = int(width / (0.0075 * TEXT))
    glued = (GLUED.sub("\u00a0", line) for line in lines)
    parts = [part for line in glued for part in textwrap.wrap(line, letters)]
    return [part.replace("\u00a0", " ") for part in parts]


def _draw(axes: Axes, panel: _Panel) -> None:
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
        drawn.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
    left, right, bottom, top = panel.window
    axes.set(xticks=[], yticks=[], xlim=(left, right), ylim=(bottom, top))
    frame = ("#AAAAAA", 0.6) if panel.kept else (RED, 2.0)
    axes.spines[:].set(visible=True, color=frame[0], linewidth=frame[1])


def _handles(panels: Sequence[_Panel]) -> list[Patch | Line2D]:
    """Organs in their order, then the kinds of lines, as far as there are any."""
    organs = set().union(*(panel.organs() | set(panel.dropped) for panel in panels))
    handles = [
        Patch(color=_shade(number), label=_name(ORGANS[number - 1])) for number in sorted(organs)
    ]
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
