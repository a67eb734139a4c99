"""A network as built: every convolution, its channels and resolution, and what reaches which.

Bouabid 2019, figure 9; Estienne 2020, Sokooti 2017 and Hu 2020, figure 1 (2.1 in Sokooti's thesis).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from torch import nn

from warpline import networks
from warpline.figures.convolutions import Drawn, Layer, trace
from warpline.figures.entry import FigureEntry
from warpline.figures.style import colour, legend_columns, new_figure, save, style

STEP, BAR, LANE = 0.66, 0.3, 1.32
END_STEP, END, END_HEIGHT = 0.95, 0.56, 0.78
ACROSS, HIGH = 0.55, 1.45  # inches a unit
LEAST = 0.06  # height of a bar, of the largest image's
SHADES = {
    "plain": colour(0),
    "coarser": colour(1),
    "finer": colour(2),
    "head": colour(3),
    "point": colour(4),
}
EDGES = {"cat": "#666666", "sub": "#D55E00", "add": "#009E73"}
MEANING = {"cat": "concatenated", "sub": "moving − fixed, concatenated", "add": "added"}


@dataclass(frozen=True)
class Place:
    """Where a bar stands: its left end, its middle and its height."""

    x: float
    y: float
    height: float

    @property
    def top(self) -> tuple[float, float]:
        """Where an arc from above meets it."""
        return self.x + BAR / 2, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        """Where an arc from below meets it, below its number of channels."""
        return self.x + BAR / 2, self.y - self.height / 2 - 0.2


def draw(
    figure: FigureEntry,
    stem: str | os.PathLike,
    *,
    network: Mapping[str, Any],
    shape: Sequence[int] | None,
) -> None:
    """The figure of a paper file; `network` is the recipe's, `shape` (z, y, x)."""
    built = networks.build(network["name"], network["parameters"])
    architecture_figure(built, tuple(shape) if shape else None, stem)


def architecture_figure(
    network: nn.Module, shape: tuple[int, int, int] | None, stem: str | os.PathLike
) -> list[Path]:
    """Draw the convolutions from the images to the network's answer.

    Parameters
    ----------
    network
        Any for single-channel images.
    shape
        Grid of this run, (z, y, x); resolutions are written for it. None if there is none: sizes
        are then told as parts of the image's.
    stem
        The files' path without suffix.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If a convolution of the network does not run.
    """
    drawn = trace(network)
    shrinks = any(_shrinks(layer) for layer in drawn.layers)
    inputs, places = _places(drawn)
    every = [*inputs.values(), *places]
    left = -0.3 if shrinks else -2.3
    right = places[-1].x + BAR + END_STEP * len(drawn.ends) + 0.2
    low = min(place.y - place.height / 2 for place in every) - 0.32
    high = max(place.y + place.height / 2 for place in every) + (0.2 if shrinks else 0.45)
    shown = [_kind(drawn, number) for number in range(len(drawn.layers))]
    tall = HIGH if len(inputs) == 1 else 0.75 * HIGH
    with style():
        figure = new_figure(max(ACROSS * (right - left), 6.0), tall * (high - low) + 0.8)
        axes = figure.add_subplot()
        for names, place in inputs.items():
            name = " + ".join(drawn.inputs[n].name for n in names)
            _bar(axes, place, name, "#BBBBBB", double=_apart(drawn, names))
            size = drawn.inputs[names[0]].size
            _notes(axes, place, str(len(names)), f"{size}³" if shrinks else "")
        for layer, place, kind in zip(drawn.layers, places, shown, strict=True):
            _bar(axes, place, "", SHADES[kind[1]], double=layer.alone)
            _notes(axes, place, str(layer.outputs), f"{layer.size}³" if shrinks else "")
        joins = _edges(axes, drawn, inputs, places)
        _tail(axes, places[-1], drawn.ends)
        if not shrinks:
            _resolutions(axes, drawn.layers, shape)
        count = networks.parameter_count(network)
        axes.set_title(f"{len(drawn.layers)} convolutions, {count:,} parameters", loc="left")
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
        axes.set_axis_off()
        _legend(figure, shown, joins, any(layer.alone for layer in drawn.layers))
        return save(figure, stem)


def _shrinks(layer: Layer) -> bool:
    """Whether a layer without padding loses voxels at the border."""
    return layer.stride == 1 and layer.size < layer.read


def _kind(drawn: Drawn, number: int) -> tuple[str, str]:
    """What a bar's colour stands for: in words, and the key of its colour."""
    layer = drawn.layers[number]
    before = [drawn.layers[n].size for n in layer.sources if n >= 0]
    words = f"{layer.kernel}³"
    if number in _heads(drawn):
        return f"{words}, to a coarser field", "head"
    if layer.transposed:
        return f"{words}, transposed, stride {layer.stride}", "finer"
    if layer.stride > 1:
        return f"{words}, stride {layer.stride}", "coarser"
    if before and min(before) < layer.read:
        return f"{words}, after upsampling", "finer"
    if before and max(before) > layer.read:
        return f"{words}, after max pooling", "coarser"
    return words, "point" if layer.kernel == 1 else "plain"


def _apart(drawn: Drawn, names: Sequence[int]) -> bool:
    """Whether the images of an input are seen one by one, with the same weights."""
    return any(layer.alone and -1 - names[0] in layer.sources for layer in drawn.layers)


def _places(drawn: Drawn) -> tuple[dict[tuple[int, ...], Place], list[Place]]:
    """Where the inputs stand, those that are always read together as one, and the layers.

    A layer stands right of all that it reads, at the mean height of the inputs behind it.
    """
    behind: list[set[int]] = []
    for layer in drawn.layers:
        found = {-1 - n for n in layer.sources if n < 0}
        behind.append(found.union(*(behind[n] for n in layer.sources if n >= 0)))
    largest = max(given.size for given in drawn.inputs)
    first = {frozenset(-1 - n for n in layer.sources if n < 0) for layer in drawn.layers}
    groups = sorted(tuple(sorted(names)) for names in first if names)
    lanes = {n: -LANE * row for row, names in enumerate(groups) for n in names}
    inputs = {
        names: Place(0.0, lanes[names[0]], drawn.inputs[names[0]].size / largest)
        for names in groups
    }
    heads, columns = _heads(drawn), []
    for number, layer in enumerate(drawn.layers):
        read = {n for n in layer.sources if n >= 0}
        # What gives a coarser field has a column of its own.
        read |= {n for n in heads if n < number and read & set(drawn.layers[n].sources)}
        columns.append(1 + max((columns[n] for n in read), default=0))
    places = []
    for number, (layer, seen) in enumerate(zip(drawn.layers, behind, strict=True)):
        rows = {lanes[n] for n in seen}
        height = max(layer.size / largest, LEAST)
        middle = sum(rows) / len(rows)
        if number in heads:
            middle -= max(height / 2, 0.12) + height / 2 + 0.16
        places.append(Place(STEP * columns[number], middle, height))
    return inputs, places


def _heads(drawn: Drawn) -> set[int]:
    """The layers that no other reads, but for the last one, which gives the answer."""
    read = {n for layer in drawn.layers for n in layer.sources}
    return set(range(len(drawn.layers) - 1)) - read


def _bar(axes: Axes, place: Place, name: str, shade: str, double=False, width=BAR) -> None:
    """A bar about its middle; two, one behind the other, for what sees each image on its own."""
    for shift in (0.09, 0.0) if double else (0.0,):
        axes.add_patch(
            Rectangle(
                (place.x + shift, place.y - place.height / 2 + shift / 2), width, place.height,
                facecolor=shade, edgecolor="black", linewidth=0.6, zorder=2,
            )
        )  # fmt: skip
    axes.text(
        place.x + width / 2, place.y, name,
        ha="center", va="center", fontsize=6.5, rotation=90, zorder=3,
    )  # fmt: skip


def _notes(axes: Axes, place: Place, below: str, above: str) -> None:
    """The channels below a bar, and its size above it."""
    middle = place.x + BAR / 2
    axes.text(middle, place.y - place.height / 2 - 0.03, below, ha="center", va="top", fontsize=7)
    axes.text(
        middle, place.y + place.height / 2 + 0.02, above,
        ha="center", va="bottom", fontsize=6, color="#555555",
    )  # fmt: skip


def _edges(
    axes: Axes,
    drawn: Drawn,
    inputs: Mapping[tuple[int, ...], Place],
    places: Sequence[Place],
) -> set[str]:
    """A line to the next bar, an arc over others; returns which joins were drawn.

    What is added to what a later layer made of it is an arc below, from the one to the other; it
    is not told again where their sum is read.
    """
    joins: set[str] = set()
    sums: set[tuple[int, int]] = set()
    for target, layer in zip(places, drawn.layers, strict=True):
        added = sorted(n for n, marks in layer.sources.items() if "add" in marks)
        sums |= {(n, added[-1]) for n in added[:-1]}
        starts = [(places[n], layer.sources[n]) for n in layer.sources if n >= 0]
        starts = [s for s in starts if s[0] not in [places[n] for n in added[:-1]]]
        given = {n for n in layer.sources if n < 0}
        starts += [
            (place, frozenset({"cat"} if target.x > STEP else ()))
            for names, place in inputs.items()
            if given & {-1 - n for n in names}
        ]
        for start, marks in starts:
            between = any(start.x < p.x < target.x and p.y == start.y for p in places)
            if start.y != target.y or not between:
                _line(axes, start, target)
            else:
                join = "sub" if "sub" in marks else "cat"
                joins.add(join)
                _arc(axes, start.top, target.top, 0.3, EDGES[join])
    for start, end in sorted(sums):
        joins.add("add")
        _arc(axes, places[start].bottom, places[end].bottom, -0.12, EDGES["add"])
    return joins


def _line(axes: Axes, start: Place, end: Place) -> None:
    axes.plot([start.x + BAR, end.x], [start.y, end.y], color="#808080", linewidth=0.8, zorder=1)


def _arc(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], most: float, shade: str
) -> None:
    """An arrow over what is between, by `most` inches at the most, below if negative."""
    across = ACROSS * (end[0] - start[0])
    bend = -min(2 * abs(most) / across, 0.35) * (1 if most > 0 else -1)
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", connectionstyle=f"arc3,rad={bend}", mutation_scale=7,
            linewidth=0.9, color=shade, shrinkA=1, shrinkB=1,
        )
    )  # fmt: skip


def _tail(axes: Axes, last: Place, ends: Sequence[str]) -> None:
    """What becomes of the last convolution's answer."""
    before = last
    for number, name in enumerate(ends):
        x = last.x + BAR + END_STEP * (number + 1) - END
        place = Place(x, last.y, END_HEIGHT)
        axes.plot(
            [before.x + (END if number else BAR), x], [last.y] * 2, color="#808080", linewidth=0.8,
            zorder=1,
        )  # fmt: skip
        _bar(axes, place, name, "#DDDDDD", width=END)
        before = place


def _resolutions(axes: Axes, layers: Sequence[Layer], shape: tuple | None) -> None:
    """The voxels of every resolution, at the left, fine to coarse."""
    scales = sorted({1, *(layer.scale for layer in layers)})
    for row, scale in enumerate(scales):
        if shape is None:
            size = f"1 / {scale}" if scale > 1 else "image"
        else:
            size = " × ".join(str(-(-n // scale)) for n in shape)
        axes.text(
            -0.2, 0.42 - 0.17 * row, size, ha="right", va="center", fontsize=7, color="#555555"
        )


def _legend(figure: Any, kinds: list[tuple[str, str]], joins: set[str], alone: bool) -> None:
    handles = [
        Patch(facecolor=SHADES[shade], edgecolor="black", linewidth=0.6, label=words)
        for words, shade in dict.fromkeys(kinds)
    ]
    handles += [
        Line2D([], [], color=EDGES[join], linewidth=1.2, label=MEANING[join])
        for join in EDGES
        if join in joins
    ]
    if alone:
        label = "double: each image on its own, same weights"
        handles.append(Patch(facecolor="white", edgecolor="black", linewidth=0.6, label=label))
    columns = legend_columns([h.get_label() for h in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=7)
