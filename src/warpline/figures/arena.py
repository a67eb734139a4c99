"""The arena in pictures: curves, time, ranks and what tells methods apart; a panel a dataset."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warpline.figures.style import FRAME, legend_columns, new_figure, save, shades, style
from warpline.plan.kinds import UNREGISTERED

# One more than colours, so that methods whose places differ by their number look different.
MARKERS = "osD^vP*X<>phd"
AXES = {"seconds": "time of a pair (s)", "cpu_seconds": "CPU time of a pair (s)"}
WIDTH, HEIGHT = 4.6, 3.6
HEADING = 32  # letters of a line above a panel
FAR = 4  # times the range of the areas, beyond which irregularity is shown on a log scale
ROW, ROWS = 0.19, 4  # inches of a legend's row, and rows that a panel has room for
BEYOND, MARGIN = 0.5, 0.15  # parts of what the best gains, shown beyond unregistered and around
CLOSE = 10  # numbers of ranks that stand side by side
LETTER = 0.0095  # a small letter's part of the width of a diagram


@dataclass(frozen=True)
class Panel:
    """A dataset in a figure: its `title`, the `axis` of what is shown, and which is `better`."""

    title: str
    axis: str
    better: str


@dataclass(frozen=True)
class Look:
    """How a method is shown."""

    title: str
    shade: str
    marker: str


@dataclass(frozen=True)
class Diagram:
    """Mean ranks of methods, the best first, and groups of them that are not told apart."""

    heading: str
    ranks: Mapping[str, float]
    groups: Sequence[Sequence[str]]


def looks(titles: Mapping[str, str], places: Mapping[str, int]) -> dict[str, Look]:
    """Of methods: their titles, colours by their places, and markers in their order."""
    colours = shades(titles, places)
    return {
        name: Look(title, colours[name], MARKERS[k % len(MARKERS)])
        for k, (name, title) in enumerate(titles.items())
    }


def draw_curves(
    points: pd.DataFrame,
    lines: pd.DataFrame,
    known: Mapping[str, Look],
    panels: Mapping[str, Panel],
    most: float,
    stem: str | os.PathLike,
) -> list[Path]:
    """Alignment against irregularity: a point a strength, a line of what is reached at the most.

    Parameters
    ----------
    points, lines
        From `warpline.tables.arena.curve_points` and `curve_lines`.
    known
        How each method looks.
    panels
        By dataset.
    most
        Where the range of the areas ends, which is shaded.
    """
    with style():
        figure, axes = _panels(len(panels))
        for place, (dataset, panel) in zip(axes, panels.items(), strict=True):
            here = points[points["dataset"] == dataset]
            end = max(most, here["irregularity"].max())
            for name, own in here.groupby("name", sort=False):
                look = known[name]
                x, y = own["irregularity"], own["value"]
                place.plot(x, y, look.marker, color=look.shade, markersize=5, markeredgewidth=0)
                line = lines[(lines["dataset"] == dataset) & (lines["name"] == name)]
                if len(line):
                    x, y = [*line["x"], end], [*line["y"], line["y"].iloc[-1]]
                    place.step(x, y, where="post", color=look.shade, linewidth=1)
            place.axvspan(0, most, color="#F2F2F2", zorder=0)
            if end > FAR * most:  # one rough method must not push all others together
                place.set_xscale("symlog", linthresh=most, linscale=2)
                ticks = [k * most for k in (0, 0.5, 1, 2, 5, 10, 50, 100) if k * most <= end]
                place.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                place.set_xticks([], minor=True)
            place.set_title(panel.title, loc="left")
            place.set_xlabel("irregularity (SD log J)")
            place.set_ylabel(panel.axis)
        _legend(figure, known, set(points["name"]))
        return save(figure, stem)


def draw_time(
    table: pd.DataFrame,
    time: str,
    known: Mapping[str, Look],
    panels: Mapping[str, Panel],
    stem: str | os.PathLike,
) -> list[Path]:
    """The metric, with its interval, against the time of a pair, log scale; the front as a line.

    `table` is from `warpline.tables.arena.overview`, `time` its column that is shown. Unregistered
    pairs are a dotted line. What is much worse than these stands at the edge.
    """
    with style():
        figure, axes = _panels(len(panels))
        for place, (dataset, panel) in zip(axes, panels.items(), strict=True):
            here = table[table["dataset"] == dataset]
            before = here.loc[here["method"] == UNREGISTERED, "value"]
            for value in before:
                place.axhline(value, color=FRAME, linewidth=0.8, linestyle=":")
            low, high = _worth_showing(here, panel.better)
            here = here[(here["method"] != UNREGISTERED) & (here[time] > 0)]
            for row in here.itertuples():
                look, x, y = known[row.method], getattr(row, time), np.clip(row.value, low, high)
                drawn = {"fmt": look.marker, "color": look.shade, "markersize": 6}
                drawn |= {"markeredgewidth": 0, "elinewidth": 0.8}
                error = [[max(row.value - row.low, 0)], [max(row.high - row.value, 0)]]
                error = None if y != row.value or np.isnan(error).any() else error
                place.errorbar(x, y, yerr=error, clip_on=y == row.value, **drawn)
            place.set_ylim(low, high)
            front = here[here["front"]].sort_values(time)
            line = {"color": "#888888", "linewidth": 1, "zorder": 1}
            place.step(front[time], front["value"], where="post", **line)
            place.set_xscale("log")
            place.set_title(panel.title, loc="left")
            place.set_xlabel(AXES[time])
            place.set_ylabel(panel.axis)
        _legend(figure, known, set(table["method"]) - {UNREGISTERED})
        return save(figure, stem)


def _worth_showing(table: pd.DataFrame, better: str) -> tuple[float, float]:
    """From the best value to somewhat worse than that of unregistered pairs, and a margin."""
    values = table["value"].dropna()
    best = values.max() if better == "higher" else values.min()
    (before,) = table.loc[table["method"] == UNREGISTERED, "value"]
    least, most = sorted([best, before + BEYOND * (before - best)])
    margin = MARGIN * max(most - least, 1e-9)
    return max(least - margin, 0), most + margin


def draw_depths(
    parts: pd.DataFrame,
    known: Mapping[str, Look],
    panels: Mapping[str, Panel],
    stem: str | os.PathLike,
) -> list[Path]:
    """Errors by distance from a boundary: a line a method; `parts` as by `by_part`.

    What is much worse than unregistered pairs stands at the upper edge.
    """
    with style():
        figure, axes = _panels(len(panels))
        for place, (dataset, panel) in zip(axes, panels.items(), strict=True):
            here = parts[(parts["dataset"] == dataset) & (parts["by"] == "depth")]
            bands = list(dict.fromkeys(here["part"]))
            before = here.loc[here["method"] == UNREGISTERED, "mean"].max()
            most = min(here["mean"].max(), (1 + BEYOND) * before)
            for name, own in here.groupby("method", sort=False):
                look = known[name]
                x = [bands.index(part) for part in own["part"]]
                drawn = {"marker": look.marker, "markersize": 5, "markeredgewidth": 0}
                shown = own["mean"].clip(upper=most)
                place.plot(x, shown, color=look.shade, linewidth=1, clip_on=False, **drawn)
            place.set_xticks(range(len(bands)), bands)
            place.set_ylim(0, most)
            place.set_title(panel.title, loc="left")
            place.set_xlabel("distance from the nearest boundary")
            place.set_ylabel(panel.axis)
        _legend(figure, known, set(parts["method"]))
        return save(figure, stem)


def draw_ranks(
    ranks: pd.DataFrame,
    known: Mapping[str, Look],
    names: Mapping[str, str],
    stem: str | os.PathLike,
) -> list[Path]:
    """Each method's rank by its mean, with the interval that draws cases; `names` of datasets."""
    datasets = list(dict.fromkeys(ranks["dataset"]))
    rows = max(len(ranks[ranks["dataset"] == dataset]) for dataset in datasets)
    with style():
        figure, axes = _panels(len(datasets), height=1.2 + 0.28 * rows)
        for place, dataset in zip(axes, datasets, strict=True):
            here = ranks[ranks["dataset"] == dataset].sort_values("rank", ascending=False)
            for y, row in enumerate(here.itertuples()):
                shade = known[row.method].shade
                place.plot([row.low, row.high], [y, y], color=shade, linewidth=2)
                place.plot(row.rank, y, "o", color=shade, markersize=5)
            place.set_yticks(range(len(here)), [known[name].title for name in here["method"]])
            place.set_xlim(0.7, rows + 0.3)
            place.set_xticks(_numbered(rows))
            place.set_xlabel("rank")
            place.set_title(fill(names.get(dataset) or "All datasets", HEADING), loc="left")
        return save(figure, stem)


def draw_differences(
    found: Sequence[Diagram], titles: Mapping[str, str], stem: str | os.PathLike
) -> list[Path]:
    """Mean ranks over pairs on a line; methods under one bar are not told apart (Demšar 2006)."""
    most = max(len(each.ranks) for each in found)
    with style():
        figure, axes = _panels(len(found), width=7.0, height=1.6 + 0.24 * most)
        for place, each in zip(axes, found, strict=True):
            _difference(place, each, titles)
            place.set_title(fill(each.heading, 2 * HEADING), loc="center")
        return save(figure, stem)


def _numbered(ranks: int) -> range:
    """Of so many ranks those whose numbers have room."""
    return range(1, ranks + 1, 1 if ranks <= CLOSE else 2)


def _difference(place: Axes, each: Diagram, titles: Mapping[str, str]) -> None:
    number = len(each.ranks)
    half = math.ceil(number / 2)
    place.hlines(0, 1, number, color="black", linewidth=1)
    for tick in range(1, number + 1):
        place.vlines(tick, 0, 0.15, color="black", linewidth=1)
    for tick in _numbered(number):
        place.text(tick, 0.3, str(tick), ha="center", va="bottom", size=8)
    for k, (name, rank) in enumerate(each.ranks.items()):
        left = k < half
        level = -0.9 - 0.7 * (k if left else number - 1 - k) - 0.35 * len(each.groups)
        end, side = (0.6, "right") if left else (number + 0.4, "left")
        place.plot([rank, rank, end], [0, level, level], color="#555555", linewidth=0.8)
        text = f"{titles[name]} ({rank:.2f})"
        place.text(end, level, text, ha=side, va="center", size=8)
    for k, group in enumerate(each.groups):
        ends = [each.ranks[group[0]] - 0.05, each.ranks[group[-1]] + 0.05]
        place.plot(ends, [-0.35 * (k + 1)] * 2, color="#D55E00", linewidth=3)
    # The longest name beside the line, of what is there for both sides and the line.
    share = min(0.42, LETTER * max(len(titles[name]) + 7 for name in each.ranks))
    beside = max(0.45, share / (1 - 2 * share)) * number
    place.set_xlim(1 - beside, number + beside)
    place.set_ylim(top=1.8)  # the numbers of the ranks stay below the heading
    place.set_axis_off()


def _panels(number: int, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    columns = min(number, 2)
    rows = math.ceil(number / columns)
    figure = new_figure(width * columns + 0.4, height * rows + 0.6)
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for place in axes[number:]:
        place.set_axis_off()
    return figure, axes[:number]


def _legend(figure: Figure, known: Mapping[str, Look], shown: set[str]) -> None:
    handles = []
    for name, look in known.items():
        if name in shown:
            drawn = {"linestyle": "none", "marker": look.marker, "markeredgewidth": 0}
            handles.append(Line2D([], [], label=look.title, color=look.shade, **drawn))
    columns = legend_columns([handle.get_label() for handle in handles], figure.get_figwidth())
    rows = math.ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + ROW * max(0, rows - ROWS))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
