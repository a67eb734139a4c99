"""A metric's values by method and label, or by method and pair."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from warpline.errors import WarplineError
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import records_of_figure
from warpline.figures.style import in_words, legend_columns, new_figure, save, shades, style

PAIR = ["dataset", "split", "fixed", "moving"]
EVERY = "mean of labels"
ALL = "all"


def draw(
    figure: FigureEntry,
    stem: str | os.PathLike,
    *,
    records: str,
    colours: Mapping[str, int],
    published: Mapping[str, float],
) -> None:
    """The figure of a paper file; `records` is a file, `published` has means by method."""
    metric_boxplots(
        records_of_figure(figure, records),
        figure.metric,
        figure.titles,
        stem,
        axis_title=figure.axis,
        published=published,
        by=figure.by or "label",
        colours=colours,
    )


def metric_boxplots(
    records: pd.DataFrame,
    metric: str,
    methods: Mapping[str, str],
    stem: str | os.PathLike,
    *,
    title: str = "",
    axis_title: str | None = None,
    published: Mapping[str, float] | None = None,
    by: str = "label",
    colours: Mapping[str, int] | None = None,
) -> list[Path]:
    """Draw a box and its points for every method, label by label or pair by pair.

    Parameters
    ----------
    records
        Tidy records; those of one dataset and split.
    metric
        The metric to draw.
    methods
        Method id → title, in the order of drawing.
    stem
        The files' path without suffix.
    title, axis_title
        Of the figure and of the vertical axis (the metric with its unit, if None).
    published
        Method id → published mean over pairs and labels: a diamond in the last group.
    by
        ``label``: a box holds the pairs' values of one label; the last group their means over
        labels. ``pair``: a box holds one pair's values, of all its landmarks; the last group those
        of all pairs.
    colours
        Method id → its place among the colours; in the order of drawing, if None.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If no record has this metric for any of the methods.
    """
    chosen = records[(records["metric"] == metric) & records["method"].isin(list(methods))]
    chosen = chosen[np.isfinite(chosen["value"])]
    if chosen.empty:
        raise WarplineError(
            f"No record has a value of {metric!r} for {', '.join(methods)}.",
            do="Evaluate these methods, or choose another metric.",
        )
    column, every = ("fixed", ALL) if by == "pair" else ("label", EVERY)
    chosen = chosen.assign(group=chosen[column])
    names = list(dict.fromkeys(chosen["group"]))
    groups = [*names, every] if len(names) > 1 else [every]
    unit = chosen["unit"].iloc[0]

    own_shades = shades(methods, colours)
    with style():
        slots = len(groups) * (len(methods) + 1)
        figure = new_figure(max(3.6, min(12.0, 1.4 + 0.34 * slots)), 3.6)
        axes = figure.add_subplot()
        rng = np.random.default_rng(0)
        for g, group in enumerate(groups):
            for m, method in enumerate(methods):
                values = _values(chosen[chosen["method"] == method], group)
                if not values.size:
                    continue
                place = g * (len(methods) + 1) + m
                if by == "pair":  # hundreds of points are a blot
                    _box(axes, values, place, own_shades[method])
                else:
                    box_with_points(axes, values, place, own_shades[method], rng)
                if group == every and published and published.get(method) is not None:
                    published_mark(axes, place, published[method])
        _name_groups(axes, groups if by == "pair" else [*map(in_words, groups)], len(methods))
        axes.set_xlim(-0.8, slots - 1.2)
        axes.grid(axis="y", color="#E2E2E2", linewidth=0.7)
        axes.set_ylabel(axis_title or (f"{metric} ({unit})" if unit else metric))
        if title:
            axes.set_title(title, loc="left")
        methods_legend(figure, methods, own_shades, bool(published))
        return save(figure, stem)


def _values(own: pd.DataFrame, group: str) -> np.ndarray:
    """A method's values in a group; in the last one, of all pairs or their means over labels."""
    if group == EVERY:
        values = own.groupby(PAIR)["value"].mean()
    else:
        values = own["value"] if group == ALL else own.loc[own["group"] == group, "value"]
    return values.to_numpy(float)


def _name_groups(axes: Axes, names: Sequence[str], methods: int) -> None:
    """Write each group's name below the middle of its boxes, one a method; of one group none."""
    centres = [g * (methods + 1) + (methods - 1) / 2 for g in range(len(names))]
    axes.set_xticks(centres, names if len(names) > 1 else [""])
    axes.tick_params(axis="x", length=0)
    if len(names) > 6:
        axes.tick_params(axis="x", rotation=35)
        for tick in axes.get_xticklabels():
            tick.set_ha("right")


def box_with_points(
    axes: Axes, values: np.ndarray, place: float, shade: str, rng: np.random.Generator
) -> None:
    """A box with its values beside each other as points, at one place of the horizontal axis."""
    _box(axes, values, place, shade)
    axes.scatter(
        place + rng.uniform(-0.22, 0.22, values.size),
        values,
        s=8,
        color=shade,
        edgecolors="white",
        linewidths=0.3,
        zorder=3,
    )


def published_mark(axes: Axes, place: float, value: float) -> None:
    """A diamond where a paper puts its mean; its value with an arrow, if far outside the axis.

    Draw it after the boxes: what is far depends on them.
    """
    low, high = axes.get_ylim()
    if not low - (high - low) < value < high + (high - low):
        above = value > high
        axes.text(
            place,
            1.0 if above else 0.0,
            f"{value:g} {'↑' if above else '↓'}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top" if above else "bottom",
            size=8,
        )
        return
    axes.scatter(
        place,
        value,
        marker="D",
        s=34,
        c="white",
        edgecolors="black",
        linewidths=1.2,
        zorder=5,
    )


def methods_legend(
    figure: Figure, titles: Mapping[str, str], colours: Mapping[str, str], published: bool
) -> None:
    """Below the figure: the methods' colours by their titles, and the diamond if there is any."""
    handles = [Patch(facecolor=colours[name], label=title) for name, title in titles.items()]
    if published:
        handles.append(
            Line2D([], [], marker="D", color="black", markerfacecolor="white",
                   linestyle="none", label="published mean")
        )  # fmt: skip
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=legend_columns([h.get_label() for h in handles], figure.get_figwidth()),
        handlelength=1.2,
    )


def _box(axes, values: np.ndarray, place: float, shade: str) -> None:
    axes.boxplot(
        [values],
        positions=[place],
        widths=0.7,
        showfliers=False,
        showmeans=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": shade, "alpha": 0.3, "edgecolor": shade},
        medianprops={"color": "black", "linewidth": 1.4},
        whiskerprops={"color": shade},
        capprops={"color": shade},
    )
