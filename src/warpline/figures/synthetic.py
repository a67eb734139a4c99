"""Synthetic deformations, how large and how fine: figure 2.2 of Sokooti et al. 2017."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from warpline.cases.case import read_case
from warpline.figures.entry import FigureEntry
from warpline.figures.panels import orient, scale_bar
from warpline.figures.style import colour, new_figure, save, style
from warpline.images.grid import Grid, Image
from warpline.images.views import View
from warpline.registration.synthetic.pairs import FREQUENCIES, field_statistics, random_field

WINDOW = (-1000.0, 400.0)  # HU
PANEL = 2.15  # inches, width of a map


def draw(figure: FigureEntry, stem: str | os.PathLike, *, folder: str) -> None:
    """The figure of a paper file; `folder` is of the case that the fields are drawn for."""
    case = read_case(folder)
    print(f"case: {case.id}", flush=True)
    fields = {
        name: random_field(case.grid, frequency=name, seed=figure.seed) for name in FREQUENCIES
    }
    mask = None if case.mask is None else case.mask.array
    synthetic_figure(case.image, fields, stem, plane=figure.plane, mask=mask)


def synthetic_figure(
    image: Image,
    fields: Mapping[str, np.ndarray],
    stem: str | os.PathLike,
    *,
    plane: str = "coronal",
    mask: np.ndarray | None = None,
) -> list[Path]:
    """Magnitude maps over a slice, the distribution of ``|u|`` and the spectrum of each field.

    Parameters
    ----------
    image
        HU.
    fields
        Name → voxel displacement (3, z, y, x) on the image's grid.
    stem
        The files' path without suffix.
    plane, mask
        The slice goes through the mask's centre of mass, or through the image's centre.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    view = View.through(image.grid, plane, mask)
    magnitudes = {name: magnitude(field, image.grid) for name, field in fields.items()}
    with style():
        return save(_compose(image, view, fields, magnitudes), stem)


def magnitude(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Length in mm, (z, y, x), of a voxel displacement (3, z, y, x)."""
    squares = ((part * step) ** 2 for part, step in zip(field, grid.spacing[::-1], strict=True))
    return np.sqrt(sum(squares))


def _compose(
    image: Image,
    view: View,
    fields: Mapping[str, np.ndarray],
    magnitudes: Mapping[str, np.ndarray],
) -> Figure:
    width, height = (side * n for side, n in zip(view.spacing[::-1], view.shape[::-1], strict=True))
    tall = PANEL * height / width
    figure = new_figure(PANEL * len(fields) + 0.9, tall + 2.6)
    top, bottom = figure.subfigures(2, 1, height_ratios=[tall + 0.45, 2.15])
    limit = float(np.ceil(max(part.max() for part in magnitudes.values())))
    axes = top.subplots(1, len(fields), squeeze=False)[0]
    for position, (place, name) in enumerate(zip(axes, fields, strict=True)):
        drawn = _map(place, image, view, magnitudes[name], limit)
        place.set_title(f"{name} frequency")
        if position == 0:
            orient(place, view)
            scale_bar(place, view.extent, "mm")
            place.set(xlim=view.extent[:2], ylim=view.extent[2:])
            place.set_ylabel(f"{view.plane} slice")
    bar = top.colorbar(drawn, ax=list(axes), shrink=0.9, pad=0.01)
    bar.set_label("|u| in mm")
    bar.outline.set_visible(False)
    histogram, spectrum = bottom.subplots(1, 2)
    for position, (name, field) in enumerate(fields.items()):
        found = field_statistics(field, image.grid, limit=limit)
        histogram.stairs(
            found.density, found.edges, color=colour(position), label=name, linewidth=1.4
        )
        spectrum.semilogy(found.frequencies * 1000, found.power, color=colour(position), label=name)
    histogram.set(xlabel="|u| in mm", ylabel="density in 1/mm", xlim=(0, limit))
    histogram.set_yscale("log")
    histogram.set_ylim(1e-4, None)
    spectrum.set(xlabel="spatial frequency in 1/m", ylabel="power (share)", xlim=(0, 40))
    spectrum.set_ylim(1e-6, None)
    histogram.legend()
    return figure


def _map(axes: Axes, image: Image, view: View, lengths: np.ndarray, limit: float):
    """Colours over the slice in grey; returns what the colour bar shows."""
    plane = view.cut(lengths)
    axes.imshow(view.cut(image.array), cmap="gray", extent=view.extent, clim=WINDOW)
    drawn = axes.imshow(
        plane,
        cmap="inferno",
        extent=view.extent,
        clim=(0, limit),
        alpha=0.62,
        interpolation="bilinear",
    )
    height, width = view.spacing
    x, y = np.arange(plane.shape[1]) * width, np.arange(plane.shape[0]) * height
    levels = [level for level in (2, 4, 6, 8, 10) if level < plane.max()]
    lines = axes.contour(x, y, plane, levels, colors="white", linewidths=0.5)
    axes.clabel(lines, fontsize=6, fmt="%g")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return drawn
