"""Distances of landmarks after registration: figure 2.3 of Sokooti et al. 2017."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from warpline.errors import WarplineError
from warpline.figures.boxplots import PAIR, box_with_points, methods_legend, published_mark
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import records_of_figure
from warpline.figures.style import new_figure, save, shades, style

GRID = "#E2E2E2"
REFERENCE_LINE = {"color": "#555555", "linewidth": 0.9, "zorder": 1}


def draw(
    figure: FigureEntry,
    stem: str | os.PathLike,
    *,
    records: str,
    colours: Mapping[str, int],
    published: Mapping[str, Mapping[str, float]],
) -> None:
    """The figure of a paper file; `records` is a file, `published` has means of ``tre``."""
    residual_figure(
        records_of_figure(figure, records),
        figure.titles,
        stem,
        before=figure.before,
        capture_range=figure.capture_range,
        published=published.get("tre"),
        colours=colours,
    )


def by_landmark(records: pd.DataFrame, metric: str, methods: Sequence[str]) -> pd.DataFrame:
    """A metric at every landmark: a row a landmark of a pair, a column a method.

    Only landmarks with a finite value for all of the methods.

    Raises
    ------
    WarplineError
        If a method has no record of the metric, or the methods share no landmark.
    """
    chosen = records[(records["metric"] == metric) & np.isfinite(records["value"])]
    for method in methods:
        if not (chosen["method"] == method).any():
            raise WarplineError(
                f"No record has a value of {metric!r} for {method}.",
                do="Evaluate it on a dataset with landmarks, or leave it out of the figure.",
            )
    table = chosen[chosen["method"].isin(list(methods))].pivot(
        index=[*PAIR, "label"], columns="method", values="value"
    )
    table = table[list(methods)].dropna()
    if table.empty:
        raise WarplineError(
            f"No landmark has a value of {metric!r} for all of {', '.join(methods)}.",
            do="Evaluate the methods on the same pairs.",
        )
    return table


def residual_figure(
    records: pd.DataFrame,
    methods: Mapping[str, str],
    stem: str | os.PathLike,
    *,
    before: str,
    capture_range: float | None = None,
    published: Mapping[str, float] | None = None,
    colours: Mapping[str, int] | None = None,
) -> list[Path]:
    """Boxes of all landmarks' distances, and each method's against the distances before it.

    Parameters
    ----------
    records
        Tidy records; those of one dataset and split. Every landmark counts for itself.
    methods
        Method id → title, in the order of drawing.
    stem
        The files' path without suffix.
    before
        The method (one of `methods`) that the others start from.
    capture_range
        mm; a dashed line where distances before registration pass it.
    published
        Method id → published mean.
    colours
        Method id → its place among the colours; in the order of drawing, if None.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If a method has no landmarks, or they share none.
    """
    table = by_landmark(records, "tre", list(methods))
    others = [method for method in methods if method != before]
    own_shades = shades(methods, colours)
    with style():
        figure = new_figure(2.2 + 0.35 * len(methods) + 2.3 * len(others), 3.0)
        widths = [1.2 + 0.35 * len(methods), *[2.3] * len(others)]
        panels = np.atleast_1d(figure.subplots(1, 1 + len(others), width_ratios=widths))
        boxes(panels[0], table, published or {}, own_shades)
        panels[0].set_title(f"n = {len(table)} landmarks", loc="left")
        start, end = table[before].to_numpy(float), table[others].to_numpy(float)
        right, top = 1.04 * start.max(), 1.04 * max(end.max(initial=0.0), start.max())
        for position, (axes, method) in enumerate(zip(panels[1:], others, strict=True)):
            axes.plot([0, max(right, top)], [0, max(right, top)], **REFERENCE_LINE)
            if capture_range is not None:
                axes.axvline(capture_range, linestyle="--", **REFERENCE_LINE)
            points(axes, start, table[method].to_numpy(float), own_shades[method])
            axes.set(xlim=(0, right), ylim=(0, top), xlabel=f"before: {methods[before]} (mm)")
            axes.set_title(methods[method], loc="left")
            if position:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel("distance after registration (mm)")
        methods_legend(figure, methods, own_shades, bool(published))
        return save(figure, stem)


def boxes(
    axes: Axes,
    table: pd.DataFrame,
    published: Mapping[str, float],
    colours: Mapping[str, str],
) -> None:
    """A box and all landmarks for every column of `by_landmark`, and the published means."""
    rng = np.random.default_rng(0)
    for place, method in enumerate(table.columns):
        box_with_points(axes, table[method].to_numpy(float), place, colours[method], rng)
    for place, method in enumerate(table.columns):
        if method in published:
            published_mark(axes, place, published[method])
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.7, len(table.columns) - 0.3)
    axes.set_xticks([])
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_ylabel("distance of landmarks (mm)")


def points(axes: Axes, x: np.ndarray, y: np.ndarray, shade: str) -> None:
    """One point a landmark."""
    axes.scatter(x, y, s=10, color=shade, edgecolors="white", linewidths=0.3, zorder=3)
    axes.grid(color=GRID, linewidth=0.7)
