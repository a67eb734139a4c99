"""How a training went."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.figures.entry import FigureEntry
from warpline.figures.style import colour, legend_columns, new_figure, save, style

COLUMNS = ("step", "epoch", "seconds", "split", "name", "value")
AXES = {"step": "step", "epoch": "epoch", "seconds": "time (hours)"}
MANY = 60  # beyond so many points a running mean is drawn over them
PER_ROW = 3


def draw(figure: FigureEntry, stem: str | os.PathLike, /, **logs: Sequence[str]) -> None:
    """The learning curves of a paper; `logs` by the title of the training."""
    learning_curves(logs, stem, against="epoch")


def learning_curves(
    logs: Mapping[str, Sequence[str | os.PathLike]],
    stem: str | os.PathLike,
    *,
    against: str = "step",
    title: str = "",
) -> list[Path]:
    """Draw the training's loss, its parts and the validation, one panel each, one line a training.

    Parameters
    ----------
    logs
        Model's title → CSVs with the columns `step, epoch, seconds, split, name, value`; `split`
        is ``train`` or ``val``. Several, of the folds of a cross-validation, share a colour.
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
    models = {name: [_read(path) for path in paths] for name, paths in logs.items()}
    tables = [table for own in models.values() for table in own]
    pairs = {
        (row.split, row.name)
        for table in tables
        for row in table[["split", "name"]].drop_duplicates().itertuples(index=False)
    }
    order = _first_seen(tables)
    # Of what is recorded label by label ("dice liver") the mean is enough.
    pairs = [(split, name) for split, name in pairs if " " not in name]
    panels = sorted(pairs, key=lambda pair: (pair[0] == "val", order.index(pair)))

    with style():
        columns = min(PER_ROW, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = new_figure(0.4 + 2.7 * columns, 0.7 + 2.1 * rows)
        for position, (split, name) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, position + 1)
            for k, own in enumerate(models.values()):
                for table in own:
                    chosen = table[(table["split"] == split) & (table["name"] == name)]
                    _line(axes, chosen, against, colour(k))
            axes.set_title(f"{'validation' if split == 'val' else 'training'}: {name}", loc="left")
            axes.grid(color="#E2E2E2", linewidth=0.7)
            axes.margins(x=0.02)
            if position + columns >= len(panels):
                axes.set_xlabel(AXES[against])
        if title:
            figure.suptitle(title, x=0.01, ha="left")
        if len(models) > 1:
            handles = [
                axes.plot([], [], color=colour(k), label=name)[0] for k, name in enumerate(models)
            ]
            figure.legend(
                handles=handles,
                loc="outside lower center",
                ncols=legend_columns(list(models), figure.get_figwidth()),
            )
        return save(figure, stem)


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


def _first_seen(tables: Sequence[pd.DataFrame]) -> list[tuple[str, str]]:
    seen: dict[tuple[str, str], None] = {}
    for table in tables:
        seen.update(dict.fromkeys(zip(table["split"], table["name"], strict=True)))
    return list(seen)


def _line(axes, table: pd.DataFrame, against: str, shade: str) -> None:
    means = table.groupby(against)["value"].mean()  # of an epoch's steps, where there are several
    x = means.index.to_numpy(float) / (3600.0 if against == "seconds" else 1.0)
    y = means.to_numpy(float)
    if x.size <= MANY:
        axes.plot(x, y, color=shade, linewidth=1.4, marker="." if x.size < 25 else None)
        return
    axes.plot(x, y, color=shade, linewidth=0.6, alpha=0.3)
    width = max(3, x.size // 40)
    smooth = pd.Series(y).rolling(width, center=True, min_periods=1).mean()
    axes.plot(x, np.asarray(smooth), color=shade, linewidth=1.6)
