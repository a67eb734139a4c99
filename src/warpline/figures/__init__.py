"""Figures, each written as PNG (200 dpi) and SVG.

A kind of figure is one module here with a function ``draw(spec, sources, stem)``: `spec` is the
figure's entry in the paper file, `sources` what its line in `KINDS` asks for.
Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes
    ----------
    draw
        The function that draws it, ``module:function``.
    sources
        What it draws from: each name in `draw`'s ``sources``, and the question to the run that
        answers it (`warpline.plan.inputs.figures.SOURCES`).
    """

    draw: str
    sources: Mapping[str, str]


def _kind(module: str, **sources: str) -> Kind:
    return Kind(f"warpline.figures.{module}:draw", sources)


_OF_FIELDS = {
    "records": "records",
    "folders": "case folders",
    "fields": "fields",
    "unit": "unit",
}
KINDS = {
    "architecture": _kind("architecture", network="network", shape="grid shape"),
    "axis_scatter": _kind("axis_scatter", records="records", published="published, each axis"),
    "boxplot": _kind("boxplots", records="records", published="published"),
    "differences": _kind("differences", **_OF_FIELDS),
    "distributions": _kind("distributions", records="records", published="published, each metric"),
    "embedding": _kind("embedding", **_OF_FIELDS),
    "exploration": _kind("exploration", exploration="exploration", slices="slices"),
    "landmarks": _kind("landmarks", **_OF_FIELDS),
    "noisy_labels": _kind(
        "noisy_labels",
        folders="case folders",
        tables="tables of organs",
        limits="limits of organs",
    ),
    "registration": _kind("registration", **_OF_FIELDS, labels="labels"),
    "residuals": _kind("residuals", records="records", published="published, landmarks"),
    "synthetic": _kind("synthetic", folder="case folder"),
}
