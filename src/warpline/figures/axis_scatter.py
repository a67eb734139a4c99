"""What a method finds along each axis against what is true: figure 2.4 of Sokooti et al. 2017."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.figures.boxplots import methods_legend
from warpline.figures.entry import FigureEntry
from warpline.figures.pairs import records_of_figure
from warpline.figures.residuals import REFERENCE_LINE, boxes, by_landmark, points
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
    axis_scatter(
        records_of_figure(figure, records),
        figure.titles,
        stem,
        before=figure.before,
        capture_range=figure.capture_range,
        published=published,
        colours=colours,
    )


def axis_scatter(
    records: pd.DataFrame,
    methods: Mapping[str, str],
    stem: str | os.PathLike,
    *,
    before: str,
    capture_range: float,
    published: Mapping[str, Mapping[str, float]] | None = None,
    colours: Mapping[str, int] | None = None,
) -> list[Path]:
    """Landmarks within a capture range: boxes, and the last method's displacements by axis.

    The last method is drawn from where `before` leaves off: true is what a landmark still has to
    move, estimated what the method moves it. Their difference is the error that TRE measures.

    Parameters
    ----------
    records
        Tidy records; those of one dataset and split.
    methods
        Method id → title, in the order of drawing; the last is the one of the scatter plots.
    stem
        The files' path without suffix.
    before
        The method (one of `methods`, not the last) that the others start from.
    capture_range
        Only landmarks whose TRE under `before` is at most so many mm.
    published
        Metric (``tre``, ``tre_x``, …) → method id → published mean.
    colours
        Method id → its place among the colours; in the order of drawing, if None.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If no landmark lies within the range or a method has none.
    """
    published, own_shades = published or {}, shades(methods, colours)
    distances = by_landmark(records, "tre", list(methods))
    distances = distances[distances[before] <= capture_range]
    if distances.empty:
        raise WarplineError(
            f"No landmark lies within {capture_range:g} mm after {methods[before]}.",
            where="key 'capture_range' of the figure",
            do="Raise it.",
        )
    last = list(methods)[-1]
    with style():
        figure = new_figure(2.2 + 0.35 * len(methods) + 2.5 * 3, 3.1)
        widths = [1.2 + 0.35 * len(methods), *[2.5] * 3]
        panels = figure.subplots(1, 4, width_ratios=widths)
        boxes(panels[0], distances, published.get("tre", {}), own_shades)
        panels[0].set_title(f"≤ {capture_range:g} mm, n = {len(distances)}", loc="left")
        found = {axis: displacements(records, axis, before, last) for axis in "xyz"}
        found = {axis: frame.loc[distances.index] for axis, frame in found.items()}
        limit = 1.06 * max(float(np.abs(frame.to_numpy()).max()) for frame in found.values())
        for axes, (axis, frame) in zip(panels[1:], found.items(), strict=True):
            axes.plot([-limit, limit], [-limit, limit], **REFERENCE_LINE)
            true, estimated = frame["true"].to_numpy(), frame["estimated"].to_numpy()
            points(axes, true, estimated, own_shades[last])
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            axes.set(xlabel=f"true {axis} (mm)", ylabel=f"estimated {axis} (mm)")
            axes.set_title(f"{methods[last]}, {axis}", loc="left")
            text = f"mean error {np.abs(estimated - true).mean():.2f} mm"
            if last in published.get(f"tre_{axis}", {}):
                text += f"\npublished {published[f'tre_{axis}'][last]:.2f} mm"
            axes.text(0.04, 0.97, text, transform=axes.transAxes, va="top", size=8)
        methods_legend(figure, methods, own_shades, bool(published.get("tre")))
        return save(figure, stem)


def displacements(records: pd.DataFrame, axis: str, before: str, method: str) -> pd.DataFrame:
    """Along one axis, in mm with sign, from where `before` leaves off: `true` and `estimated`.

    A row a landmark of a pair, as in `by_landmark`.
    """
    moved = by_landmark(records, f"displacement_{axis}", [before, method])
    target = by_landmark(records, f"target_{axis}", [before])[before]
    start = moved[before]
    return pd.DataFrame({"true": target - start, "estimated": moved[method] - start}).dropna()
