"""A registration by displacement embedding, step by step: after figure 1 of Hansen 2020."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import (
    OfPairs,
    announce,
    choose_pairs,
    records_of_figure,
    view_and_window,
)
from warpline.figures.panels import Window, bar_below, limits, orient, scale_bar, size_of
from warpline.figures.style import new_figure, save, style
from warpline.images.grid import Grid
from warpline.images.views import View

SLAB = 12.0  # mm to either side of the slice, whose keypoints are shown
PANEL = 2.6  # inches


@dataclass(frozen=True)
class Steps:
    """What is shown of one pair; images are (rows, columns) of one slice.

    Attributes
    ----------
    view, window
        The slice, and the part of it that is shown (left, right, bottom, top in mm).
    fixed, deformed
        The fixed and the deformed moving image.
    places, lengths
        Of the keypoints near the slice: (n, 2) in the slice, and how far each is moved, mm.
    displacement_map, reconstruction
        (rows, columns): the slice of the most distinctive keypoint's map through its least
        difference, and of what its regularised embedding says.
    reach
        Left, right, bottom, top of these, in mm from the first displacement's.
    magnitude
        Length of the dense field in the slice, mm.
    """

    view: View
    window: Window
    fixed: np.ndarray
    deformed: np.ndarray
    places: np.ndarray
    lengths: np.ndarray
    displacement_map: np.ndarray
    reconstruction: np.ndarray
    reach: tuple[float, float, float, float]
    magnitude: np.ndarray


def draw(figure: FigureEntry, stem: str | os.PathLike, **sources: Any) -> None:
    """The figure of a paper file, of its last experiment; `sources`: the fields of `OfPairs`."""
    given = OfPairs(**sources)
    records = records_of_figure(figure, given.records)
    (pair,) = choose_pairs(records, figure.last, [figure.pair]).values()
    announce(figure.pair, pair)
    fixed, moving = given.read(pair)
    field = given.field(figure.last, pair, fixed.grid)
    with np.load(given.file(figure.last, pair, ".npz")) as kept:
        steps = steps_of(fixed, moving, field, kept, plane=figure.plane)
    embedding_figure(steps, stem)


def steps_of(
    fixed: Case,
    moving: Case,
    field: DisplacementField,
    kept: Mapping[str, np.ndarray],
    *,
    plane: str,
) -> Steps:
    """The steps of one registration in the slice through the centre of its landmarks.

    Parameters
    ----------
    fixed, moving
        The cases; their landmarks and masks need not be there.
    field
        On the fixed image's grid.
    kept
        Arrays of `warpline.registration.embedding.registration.Diagnostics`.
    plane
        ``sagittal``, ``coronal`` or ``axial``.
    """
    grid = fixed.grid
    view, window = view_and_window(fixed, plane)
    index = grid.physical_to_index(kept["points"])
    away = np.abs(index[:, view.normal] - view.position) * grid.spacing[2 - view.normal]
    near = away < SLAB
    # A map's axes are those of the lungs' box, which lies along the fixed grid's.
    shape = kept["displacement_map"].shape
    spacing = 2 * kept["reach"][::-1] / (np.array(shape[::-1]) - 1)
    moves = Grid(shape, tuple(map(float, spacing)), direction=grid.direction)
    least = np.unravel_index(kept["displacement_map"].argmin(), shape)
    through = View(moves, plane, int(least[view.normal]))
    return Steps(
        view=view,
        window=window,
        fixed=view.cut(fixed.image.array).astype(np.float32),
        deformed=view.cut(field.warp_image(moving.image).array).astype(np.float32),
        places=view.project(index[near]),
        lengths=np.linalg.norm(kept["regularised"], axis=1)[near],
        displacement_map=through.cut(kept["displacement_map"]),
        reconstruction=through.cut(kept["reconstruction"]),
        reach=through.extent,
        magnitude=view.cut(np.linalg.norm(field.vectors, axis=-1)),
    )


def embedding_figure(steps: Steps, stem: str | os.PathLike) -> list[Path]:
    """Draw keypoints, a displacement map, its reconstruction, the field and the deformed image."""
    with style():
        return save(_compose(steps), stem)


def _compose(steps: Steps) -> Figure:
    wide, high = size_of(steps.window)
    figure = new_figure(5 * PANEL, max(PANEL * abs(high / wide), PANEL) + 1.2)
    axes = figure.subplots(1, 5)
    grey = limits(steps.fixed)
    shown = {}
    for panel, image, title in (
        (axes[0], steps.fixed, "Keypoints, displaced by"),
        (axes[3], steps.fixed, "Dense field"),
        (axes[4], steps.deformed, "Deformed moving image"),
    ):
        shown[panel] = panel.imshow(
            image, cmap="gray", vmin=grey[0], vmax=grey[1], extent=steps.view.extent
        )
        panel.set(xticks=[], yticks=[], xlim=steps.window[:2], ylim=steps.window[2:], title=title)
    orient(axes[0], steps.view)
    scale_bar(axes[0], steps.window, "mm")
    top = float(max(steps.magnitude.max(), steps.lengths.max(initial=0.0)))
    dots = axes[0].scatter(
        *steps.places.T, c=steps.lengths, s=9, cmap="inferno", vmin=0, vmax=top,
        edgecolors="white", linewidths=0.2,
    )  # fmt: skip
    bar_below(figure, dots, axes[0], "mm", pad=0.03)
    low, high_value = steps.displacement_map.min(), steps.displacement_map.max()
    for panel, values, title in (
        (axes[1], steps.displacement_map, "Displacement map"),
        (axes[2], steps.reconstruction, "… from its embedding"),
    ):
        left, right, bottom, upper = steps.reach
        wide, high = (right - left) / 2, (bottom - upper) / 2
        colours = panel.imshow(
            values, cmap="viridis_r", vmin=low, vmax=high_value, extent=(-wide, wide, high, -high)
        )
        row, column = np.unravel_index(values.argmin(), values.shape)
        rows, columns = values.shape
        panel.plot(
            ((column + 0.5) / columns * 2 - 1) * wide, ((row + 0.5) / rows * 2 - 1) * high, "+",
            color="white", markersize=9, markeredgewidth=1.5,
        )  # fmt: skip
        panel.set(title=title, xlabel="displacement (mm)")
        bar_below(figure, colours, panel, "difference of the features, to scale", pad=0.03)
    shade = axes[3].imshow(
        steps.magnitude, cmap="inferno", vmin=0, vmax=top, alpha=0.6, extent=steps.view.extent
    )
    bar_below(figure, shade, axes[3], "mm", pad=0.03)
    bar_below(figure, shown[axes[4]], axes[4], "HU", pad=0.03)
    return figure
