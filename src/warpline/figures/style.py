"""What all figures share: fonts, colours, files. No figure touches pyplot's global state."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from warpline.files import atomic_path

DPI = 200
# Okabe and Ito 2008, then Tol's muted scheme: told apart with any colour vision.
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
    """The palette's colours, over and over."""
    return PALETTE[position % len(PALETTE)]


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
