"""Several scores of the same pairs side by side: figures 11 and 12 of Bouabid et al. 2019."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.figures.boxplots import PAIR, box_with_points, methods_legend, published_mark
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import records_of_figure
from warpline.figures.style import new_figure, save, shades, style


def draw(
    figure: FigureEntry,
    stem: str | os.PathLike,
    *,
    records: str,
    colours: Mapping[str, int],
    published: Mapping[str, Mapping[str, float]],
) -> None:
    """The figure of a paper file; `records` is a file, `published` see below."""
    score_distributions(
        records_of_figure(figure, records),
        figure.metrics,
        figure.titles,
        stem,
        published=published,
        colours=colours,
    )


def score_distributions(
    records: pd.DataFrame,
    metrics: Mapping[str, str],
    methods: Mapping[str, str],
    stem: str | os.PathLike,
    *,
    published: Mapping[str, Mapping[str, float]] | None = None,
    colours: Mapping[str, int] | None = None,
) -> list[Path]:
    """A panel a metric, in it a box and the pairs' points for every method.

    Parameters
    ----------
    records
        Tidy records; those of one dataset and split. Labels of a pair are averaged.
    metrics
        Metric → title of its panel.
    methods
        Method id → title, in the order of drawing.
    stem
        The files' path without suffix.
    published
        Metric → method id → published mean.
    colours
        Method id → its place among the colours; in the order of drawing, if None.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If no record has one of the metrics for any of the methods.
    """
    published, own_shades = published or {}, shades(methods, colours)
    with style():
        width = max(0.9, 0.34 * len(methods)) + 1.0
        figure = new_figure(max(5.0, width * len(metrics)), 3.2)
        rng = np.random.default_rng(0)
        for axes, (metric, title) in zip(
            np.atleast_1d(figure.subplots(1, len(metrics))), metrics.items(), strict=True
        ):
            chosen = records[(records["metric"] == metric) & np.isfinite(records["value"])]
            chosen = chosen[chosen["method"].isin(list(methods))]
            if chosen.empty:
                raise WarplineError(
                    f"No record has a value of {metric!r} for {', '.join(methods)}.",
                    do="Evaluate these methods, or choose another metric.",
                )
            for place, method in enumerate(methods):
                values = chosen[chosen["method"] == method].groupby(PAIR)["value"].mean()
                if len(values):
                    box_with_points(axes, values.to_numpy(float), place, own_shades[method], rng)
            for place, method in enumerate(methods):
                if method in published.get(metric, {}):
                    published_mark(axes, place, published[metric][method])
            axes.set_xticks([])
            axes.set_xlim(-0.7, len(methods) - 0.3)
            axes.grid(axis="y", color="#E2E2E2", linewidth=0.7)
            axes.set_title(title)
        methods_legend(figure, methods, own_shades, any(map(bool, published.values())))
        return save(figure, stem)
