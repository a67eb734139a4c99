"""Landmarks before and after, the field, its Jacobian and how sure a network is of it.

For Hu et al. 2020, who show no field; one pair, a row a method.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import (
    OfPairs,
    announce,
    choose_pairs,
    records_of_figure,
    view_and_window,
)
from warpline.figures.panels import (
    bar_below,
    draw_jacobian,
    frame,
    limits,
    orient,
    scale_bar,
    size_of,
    write,
)
from warpline.figures.style import new_figure, save, style
from warpline.images.files import read_image
from warpline.images.grid import Image
from warpline.images.views import View

PANEL = 2.3  # inches
COLUMNS = ("Landmarks", "Displacement", "Jacobian determinant", "Spread")
UNITS = ("", "length (mm)", "1: volume kept, black: ≤ 0", "standard deviation (mm)")
GOAL, FOUND = "#F0E442", "#56B4E9"  # of the moving landmarks, and of where the fixed ones are taken


@dataclass(frozen=True)
class Registered:
    """A method's `title`, its `field`, and if it has one the `spread` of its field (mm)."""

    title: str
    field: DisplacementField
    spread: Image | None


def draw(figure: FigureEntry, stem: str | os.PathLike, **sources: Any) -> None:
    """The figure of a paper file; `sources`: the fields of `OfPairs`."""
    given = OfPairs(**sources)
    records = records_of_figure(figure, given.records)
    (pair,) = choose_pairs(records, figure.last, [figure.pair]).values()
    announce(figure.pair, pair)
    fixed, moving = given.read(pair)
    rows = []
    for shown in figure.experiments:
        spread = given.file(shown.method, pair, "-spread.nii.gz")
        rows.append(
            Registered(
                shown.title,
                given.field(shown.method, pair, fixed.grid),
                read_image(spread) if spread.exists() else None,
            )
        )
    landmarks_figure(fixed, moving, rows, stem, plane=figure.plane)


def landmarks_figure(
    fixed: Case,
    moving: Case,
    rows: Sequence[Registered],
    stem: str | os.PathLike,
    *,
    plane: str = "coronal",
) -> list[Path]:
    """Draw a pair as each method registers it, in the slice nearest to the landmarks' centre.

    All landmarks are projected on the slice. The moving image lies behind them, seen on the fixed
    grid as it was before registration.

    Parameters
    ----------
    fixed, moving
        Cases with landmarks, in a common frame; what the mask of the fixed one fills, if it has
        any, is shown.
    rows
        The methods.
    stem
        The files' path without suffix.
    plane
        ``sagittal``, ``coronal`` or ``axial``.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If the cases share no landmarks.
    """
    with style():
        return save(compose(fixed, moving, rows, plane), stem)


def compose(fixed: Case, moving: Case, rows: Sequence[Registered], plane: str) -> Figure:
    """The figure of `landmarks_figure`, before it is written."""
    points, goals = _shared(fixed, moving)
    view, window = view_and_window(fixed, plane)
    before = view.cut(DisplacementField.identity(fixed.grid).warp_image(moving.image).array)
    grey = limits(before)
    lengths = [np.linalg.norm(row.field.vectors, axis=-1) for row in rows]
    longest = max(max(float(np.percentile(length, 99.5)) for length in lengths), 1e-3)
    spreads = [row.spread.array for row in rows if row.spread is not None]
    widest = max((float(np.percentile(spread, 99.5)) for spread in spreads), default=0.0)
    names = COLUMNS if spreads else COLUMNS[:-1]

    wide, high = size_of(window)
    size = (len(names) * PANEL + 0.4, len(rows) * PANEL * (high / wide) + 1.1)
    figure = new_figure(*size)
    axes = figure.subplots(len(rows), len(names), squeeze=False)
    keys: list[ScalarMappable | None] = [None] * len(names)
    for row, length, panels in zip(rows, lengths, axes, strict=True):
        panels[0].imshow(before, cmap="gray", extent=view.extent, clim=grey)
        found = row.field.transform_points(points)
        _draw_landmarks(panels[0], view, found, goals)
        keys[1] = panels[1].imshow(
            view.cut(length), cmap="inferno", vmin=0, vmax=longest, extent=view.extent
        )
        keys[2] = draw_jacobian(panels[2], view, row.field)
        if row.spread is not None:
            keys[3] = panels[3].imshow(
                view.cut(row.spread.array), cmap="viridis", vmin=0, vmax=widest, extent=view.extent
            )
        elif spreads:
            panels[3].text(0.5, 0.5, "none", transform=panels[3].transAxes, ha="center")
        panels[0].set_ylabel(row.title, size=10)
        for panel in panels:
            frame(panel, window)
            panel.set_aspect("equal")
    for panel, name in zip(axes[0], names, strict=True):
        panel.set_title(name)
    orient(axes[0, 0], view)
    scale_bar(axes[0, 0], window, "mm")
    for column, (key, unit) in enumerate(zip(keys, UNITS, strict=False)):
        if key is not None:
            bar_below(figure, key, list(axes[:, column]), unit, pad=0.02, aspect=16)
    handles = [
        axes[0, 0].scatter([], [], s=16, color=FOUND, label="fixed landmark, where it is taken"),
        axes[0, 0].scatter(
            [], [], s=22, facecolors="none", edgecolors=GOAL, label="moving landmark"
        ),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=2,
        frameon=True,
        facecolor="#333333",  # the landmarks' colours are made for grey images
        labelcolor="white",
    )
    return figure


def _shared(fixed: Case, moving: Case) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of the same id in both cases, (n, 3) each, mm."""
    tables = [case.landmarks for case in (fixed, moving)]
    if any(table is None for table in tables):
        raise WarplineError("A case of the figure has no landmarks.", where="key 'experiments'")
    first, second = tables
    both = first.merge(second, on="id", suffixes=("", "_moving"))
    if both.empty:
        raise WarplineError(
            "The two cases of the figure share no landmark.",
            where=f"{fixed.id}, {moving.id}",
            do="Give the same place the same id in every case.",
        )
    columns = (["x", "y", "z"], ["x_moving", "y_moving", "z_moving"])
    return tuple(both[names].to_numpy(float) for names in columns)


def _draw_landmarks(axes: Axes, view: View, found: np.ndarray, goals: np.ndarray) -> None:
    ends = [view.project(view.grid.physical_to_index(points)) for points in (found, goals)]
    axes.add_collection(LineCollection(np.stack(ends, axis=1), colors=FOUND, linewidths=1.0))
    axes.scatter(*ends[0].T, s=9, color=FOUND, linewidths=0, zorder=3)
    axes.scatter(*ends[1].T, s=20, facecolors="none", edgecolors=GOAL, linewidths=1.0, zorder=4)
    error = float(np.linalg.norm(found - goals, axis=1).mean())
    write(axes, f"{error:.1f} mm", x=0.97, ha="right")
