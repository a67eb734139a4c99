"""What all figures share: fonts, colours, files. No figure touches pyplot's global state."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from warpline.files import atomic_path

DPI = 200
# Methods, and all else that is a line or a point on white: at least 3:1 against it, and told apart
# with any colour vision by the first eight, which few figures go beyond.
METHODS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#C46A9C",
    "#332288",
    "#8A6D00",
    "#882255",
    "#3A96B4",
    "#5A1E00",
    "#7A7AFF",
    "#117733",
    "#AA4499",
)
UNREGISTERED = "#6E6E6E"
FRAME = "#8C8C8C"
# Labels over images, where areas are told apart on grey: Okabe and Ito 2008, then Tol's muted
# scheme.
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#332288",
    "#882255",
    "#117733",
    "#999933",
    "#AA4499",
    "#88CCEE",
    "#DDDDDD",
)
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "warpline",
}


@contextmanager
def style() -> Iterator[None]:
    """The house style, for the time of drawing and saving."""
    with mpl.rc_context(STYLE):
        yield


def colour(position: int) -> str:
    """The colours of methods, over and over; grey at -1."""
    return UNREGISTERED if position < 0 else METHODS[position % len(METHODS)]


def shades(methods: Iterable[str], places: Mapping[str, int] | None = None) -> dict[str, str]:
    """Method → colour, by its place of `warpline.plan.colours`, or in the order given."""
    return {name: colour(places[name] if places else k) for k, name in enumerate(methods)}


def label_colour(position: int) -> str:
    """The colours of labels, over and over."""
    return PALETTE[position % len(PALETTE)]


def area(shade: str, label: str, **more: Any) -> Patch:
    """A legend's patch of a colour that may be pale: with a dark rim."""
    return Patch(facecolor=shade, edgecolor="#444444", linewidth=0.5, label=label, **more)


def legend_columns(names: Sequence[str], width: float) -> int:
    """Columns of a legend that fits into `width` inches, with its rows evenly filled."""
    entry = 0.45 + 0.075 * max(map(len, names))
    rows = math.ceil(len(names) / max(1, int(width / entry)))
    return math.ceil(len(names) / rows)


def in_words(name: str) -> str:
    """A label's name as one reads it, in one spelling whatever the dataset's."""
    words = name.replace("_", " ").split(" ")
    return " ".join({"esophagus": "oesophagus"}.get(word, word) for word in words)


def new_figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """A figure of that size in inches, without a window."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, stem: str | os.PathLike) -> list[Path]:
    """Write ``<stem>.png`` and ``<stem>.svg``, atomically, and the same bytes each time."""
    paths = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        path = Path(f"{os.fspath(stem)}{suffix}")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata=metadata)
        paths.append(path)
    return paths
