"""How a training went."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from warpline.errors import WarplineError
from warpline.figures.entry import FigureEntry
from warpline.figures.style import colour, new_figure, save, style

COLUMNS = ("step", "epoch", "seconds", "split", "name", "value")
AXES = {"step": "step", "epoch": "epoch", "seconds": "time (hours)"}
MANY = 60  # beyond so many points a running mean is drawn over them
LEFT_OUT = ("mae_x", "mae_y", "mae_z")  # of what is recorded axis by axis the whole is enough
TITLES = {
    ("train", "loss"): "training: loss",
    ("train", "dice"): "training: Dice loss",
    ("val", "dice"): "validation: Dice",
    ("val", "mae"): "validation: error (mm)",
}
DASHES = ((4, 1.2), (2, 1), (1, 1), (6, 1.5, 1, 1.5))  # folds, over and over


@dataclass(frozen=True)
class Training:
    """A recipe trained on a dataset.

    Attributes
    ----------
    dataset, title
        As one reads them.
    colour
        The recipe's place among the colours.
    logs, folds
        CSVs with the columns `step, epoch, seconds, split, name, value`; `split` is ``train`` or
        ``val``. `logs`: one a seed; `folds`: those that leave out a fold each.
    """

    dataset: str
    title: str
    colour: int
    logs: Sequence[str | os.PathLike]
    folds: Sequence[str | os.PathLike]


def draw(
    figure: FigureEntry, stem: str | os.PathLike, *, trainings: Sequence[Mapping[str, Any]]
) -> None:
    """The learning curves of a paper; `trainings`: the fields of `Training`."""
    learning_curves([Training(**each) for each in trainings], stem)


def learning_curves(
    trainings: Sequence[Training], stem: str | os.PathLike, *, against: str = "epoch"
) -> list[Path]:
    """Draw losses, their parts and the validation: a row a dataset, a line a training.

    Trainings that leave out a fold are dashed.

    Parameters
    ----------
    trainings
        Of one recipe on one dataset each.
    stem
        The files' path without suffix.
    against
        ``step``, ``epoch`` or ``seconds``.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If a log is missing, lacks a column or holds no line.
    """
    if against not in AXES:
        raise ValueError(f"{against!r} is none of {', '.join(AXES)}")
    rows: dict[str, list[tuple[Training, list[pd.DataFrame], list[pd.DataFrame]]]] = {}
    for each in trainings:
        logs, folds = ([_read(path) for path in paths] for paths in (each.logs, each.folds))
        rows.setdefault(each.dataset, []).append((each, logs, folds))
    tables = [t for row in rows.values() for _, logs, folds in row for t in (*logs, *folds)]
    panels = _panels(tables)
    with style():
        figure = new_figure(1.9 + 2.0 * len(panels), 0.3 + 1.75 * len(rows))
        grid = figure.subplots(len(rows), len(panels), squeeze=False)
        for axes, (dataset, row) in zip(grid, rows.items(), strict=True):
            for place, panel in zip(axes, panels, strict=True):
                _panel(place, panel, row, against)
            axes[0].set_ylabel("\n".join(textwrap.wrap(dataset, 24)))
            _legend(axes[-1], row)
        return save(figure, stem)


def _panels(tables: Sequence[pd.DataFrame]) -> list[tuple[str, str]]:
    """(split, name) of what is drawn, in the order of recording, the training's first."""
    seen: dict[tuple[str, str], None] = {}
    for table in tables:
        seen.update(dict.fromkeys(zip(table["split"], table["name"], strict=True)))
    # Of what is recorded label by label ("dice liver") the mean is enough.
    shown = [pair for pair in seen if " " not in pair[1] and pair[1] not in LEFT_OUT]
    return sorted(shown, key=lambda pair: pair[0] == "val")


def _panel(place: Axes, panel: tuple[str, str], row: Sequence[tuple], against: str) -> None:
    split, name = panel
    for each, logs, folds in row:
        looks = [{} for _ in logs] + [
            {"dashes": DASHES[k % len(DASHES)]} for k in range(len(folds))
        ]
        for table, look in zip((*logs, *folds), looks, strict=True):
            chosen = table[(table["split"] == split) & (table["name"] == name)]
            if len(chosen):
                _line(place, chosen, against, color=colour(each.colour), **look)
    if not place.lines:
        place.set_axis_off()
        return
    place.set_title(
        TITLES.get(panel, f"{'validation' if split == 'val' else 'training'}: {name}"), loc="left"
    )
    place.grid(color="#E2E2E2", linewidth=0.7)
    place.margins(x=0.02)
    place.set_xlabel(AXES[against])
    if against != "seconds":
        place.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        low, high = place.get_xlim()
        if high - low < 1:  # a single epoch
            place.set_xlim(round((low + high) / 2) - 1, round((low + high) / 2) + 1)


def _legend(place: Axes, row: Sequence[tuple]) -> None:
    """At the right of a row: its trainings, and what is dashed."""
    handles = [
        Line2D([], [], color=colour(each.colour), label="\n".join(textwrap.wrap(each.title, 28)))
        for each, _, _ in row
    ]
    if any(folds for _, _, folds in row):
        handles.append(Line2D([], [], color="black", dashes=DASHES[0], label="without one fold"))
    place.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)


def _read(path: str | os.PathLike) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise WarplineError(
            f"The training log cannot be read ({error}).", where=path, do="Train this model."
        ) from error
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise WarplineError(f"The training log lacks {', '.join(missing)}.", where=path)
    if table.empty:
        raise WarplineError("The training log holds no line.", where=path, do="Train this model.")
    return table


def _line(axes: Axes, table: pd.DataFrame, against: str, **look: Any) -> None:
    means = table.groupby(against)["value"].mean()  # of an epoch's steps, where there are several
    x = means.index.to_numpy(float) / (3600.0 if against == "seconds" else 1.0)
    y = means.to_numpy(float)
    if x.size <= MANY:
        axes.plot(x, y, linewidth=1.4, marker="." if x.size < 25 else None, **look)
        return
    axes.plot(x, y, linewidth=0.6, alpha=0.3, color=look["color"])
    width = max(3, x.size // 40)
    smooth = pd.Series(y).rolling(width, center=True, min_periods=1).mean()
    axes.plot(x, np.asarray(smooth), linewidth=1.6, **look)
