"""What a dataset of CT scans looks like: figures 1 to 8 of Bouabid et al. 2019."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from warpline.cases.exploration import Slice, of_cases, read_slices, shown
from warpline.figures.entry import FigureEntry
from warpline.figures.sheet import WINDOW, Row, sheet, words
from warpline.figures.style import colour, new_figure, save, style

STAGES = {"before": "Before", "clipped": "After clipping"}
PLANES = ("axial", "coronal", "sagittal")


def draw(figure: FigureEntry, stem: str | os.PathLike, *, exploration: str, slices: str) -> None:
    """The figure of a paper file; `exploration` (records) and `slices` are files."""
    explore(pd.read_parquet(exploration), read_slices(slices), figure.plot, stem)


def explore(
    records: pd.DataFrame, slices: Mapping[str, Slice], plot: str, stem: str | os.PathLike
) -> list[Path]:
    """Draw one view of a dataset.

    Slices lie as a radiologist expects them, all panels of a figure at the same scale in mm. What
    no scan has is said in words.

    Parameters
    ----------
    records, slices
        Of `warpline.cases.exploration`: the table, and slices by ``<case>/<stage>/<view>``.
    plot
        One of `PLOTS`.
    stem
        The files' path without suffix.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    with style():
        return save(PLOTS[plot](records, slices), stem)


# Numbers ----------------------------------------------------------------------------------------


def _heights(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    figure = new_figure(6.6, 2.9)
    left, right = figure.subplots(1, 2, sharey=True)
    _histogram(left, of_cases(records, "slices"), "Height (slices)", 0)
    _histogram(right, of_cases(records, "height"), "Height (mm)", 1)
    left.set_ylabel("Scans")
    return figure


def _norms(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    figure = new_figure(6.6, 2.9)
    left, right = figure.subplots(1, 2, sharey=True)
    _histogram(left, of_cases(records, "frobenius") / 1000, "Frobenius norm (10³ HU)", 0)
    _histogram(right, of_cases(records, "infinity"), "Inf norm (HU)", 1)
    left.set_ylabel("Scans")
    return figure


def _norm_by_height(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    figure = new_figure(6.6, 3.1)
    height = of_cases(records, "height")
    for k, (axes, (name, scale, title)) in enumerate(
        zip(
            figure.subplots(1, 2),
            (
                ("frobenius", 1000, "Frobenius norm (10³ HU)"),
                ("infinity", 1, "Inf norm (HU)"),
            ),
            strict=True,
        )
    ):
        norm = of_cases(records, name)[height.index] / scale
        axes.scatter(height, norm, s=14, color=colour(k), alpha=0.7, linewidths=0)
        axes.set(xlabel="Height (mm)", ylabel=title, ylim=(0, None))
        axes.grid(color="#E2E2E2", linewidth=0.7)
        text = _scans(len(height))
        if len(height) >= 5 and height.nunique() > 1 and norm.nunique() > 1:
            text += f", Spearman ρ = {spearmanr(height, norm).statistic:.2f}".replace("-", "−")
        axes.set_title(text, loc="left", size=9)
    return figure


def _histogram(axes: Axes, values: pd.Series, title: str, shade: int) -> None:
    bins = int(np.clip(2 * np.sqrt(len(values)), 6, 40))
    axes.hist(values, bins=bins, color=colour(shade), edgecolor="white", linewidth=0.5)
    axes.set_xlabel(title)
    axes.grid(axis="y", color="#E2E2E2", linewidth=0.7)
    axes.yaxis.get_major_locator().set_params(integer=True)
    low, high = values.min(), values.max()
    text = f"{_scans(len(values))}: {low:,.0f}–{high:,.0f}"
    if low > 0 and high > low:
        text += f", factor {high / low:.1f}"
    axes.set_title(text, loc="left", size=9)


def _scans(number: int) -> str:
    return "1 scan" if number == 1 else f"{number} scans"


# Slices -----------------------------------------------------------------------------------------


def _examples(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    cases = shown(records)["examples"]
    levels = {"high": "70 %", "axial": "50 %", "low": "30 %"}
    rows = [
        Row(f"{part}\nof height", [slices[f"{case}/before/{level}"] for case in cases])
        for level, part in levels.items()
    ]
    return sheet(rows, [_short(case) for case in cases], planes=["axial"])


def _axes(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    rows = [
        Row(_short(case), [slices[f"{case}/before/{plane}"] for plane in PLANES])
        for case in shown(records)["axes"]
    ]
    return sheet(rows, ["z (axial)", "y (coronal)", "x (sagittal)"], planes=PLANES)


def _extremes(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    cases, norms = shown(records)["extremes"], of_cases(records, "frobenius")
    names = ("Least\nintense", "Most\nintense") if len(cases) > 1 else ("The only\nscan",)
    rows = [
        Row(
            f"{name}\n{norms[case] / 1000:,.0f}·10³ HU",
            [slices[f"{case}/before/{plane}"] for plane in PLANES],
        )
        for name, case in zip(names, cases, strict=True)
    ]
    return sheet(rows, ["Axial", "Coronal", "Sagittal"], planes=PLANES)


def _backgrounds(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    numbers, cases = of_cases(records, "backgrounds"), shown(records)["backgrounds"]
    rows = []
    for number, count in numbers.value_counts().sort_index().items():
        own = [case for case in cases if numbers[case] == number]
        title = f"{number:.0f} value{'' if number == 1 else 's'}\n{_scans(count)}"
        panels = [slices[f"{case}/before/axial"] for case in own]
        rows.append(Row(title, panels, [_layout(records, case, "before") for case in own]))
    absent = [word for k, word in ((1, "one"), (2, "two")) if k not in set(numbers)]
    plural = "value" if absent == ["one"] else "values"
    note = f"No scan has {' or '.join(absent)} background {plural}." if absent else ""
    return sheet(rows, [], planes=["axial"], window=_wide(records), note=note)


def _clipping(records: pd.DataFrame, slices: Mapping[str, Slice]) -> Figure:
    chosen = shown(records)["clipping"]
    if not chosen:
        return words("No scan has two background values that were clipped to one.")
    case = chosen[0]
    axial = {stage: slices[f"{case}/{stage}/axial"] for stage in STAGES}
    part = _telling_row(axial["before"], records, case)
    rows = [
        Row(
            title.replace(" ", "\n"),
            [slices[f"{case}/{stage}/{plane}"] for plane in PLANES],
            [_layout(records, case, stage)],
        )
        for stage, title in STAGES.items()
    ]
    figure = sheet(
        rows,
        ["Axial", "Coronal", "Sagittal"],
        planes=PLANES,
        window=_wide(records[records["case"] == case]),
        below=2.3,
    )
    for axes in figure.axes[:: len(PLANES)]:
        axes.axhline(part * axial["before"].size[0], color=colour(1), linewidth=1.0, dashes=(4, 2))
    width, height = figure.get_size_inches()
    profile = figure.add_axes((0.75 / width, 0.45 / height, (width - 0.95) / width, 1.5 / height))
    for k, (stage, title) in enumerate(STAGES.items()):
        pixels = axial[stage].pixels
        values = pixels[int(part * pixels.shape[0])]
        where = (np.arange(values.size) + 0.5) / values.size * axial[stage].size[1]
        profile.plot(where, values, color=colour(5 * k), linewidth=1.6 - 0.6 * k, label=title)
    profile.set(xlabel="Along the dashed line (mm)", ylabel="HU", xlim=(0, axial["before"].size[1]))
    profile.grid(axis="y", color="#E2E2E2", linewidth=0.7)
    figure.legend(*profile.get_legend_handles_labels(), ncols=2, loc="center right",
                  bbox_to_anchor=(1 - 0.2 / width, 2.1 / height), borderaxespad=0)  # fmt: skip
    return figure


def _telling_row(before: Slice, records: pd.DataFrame, case: str) -> float:
    """Where, as a part of the height, a row crosses outside, air and body, much of each."""
    backgrounds = _values(records, case, "before")
    crossed = [
        np.isin(before.pixels, [value for value, _, inside in backgrounds if not inside]),
        np.logical_or.reduce(
            [np.abs(before.pixels - value) < 50 for value, _, inside in backgrounds if inside]
        ),
        before.pixels > -500,
    ]
    least = np.min([part.mean(axis=1) for part in crossed], axis=0)
    return (int(np.argmax(least)) + 0.5) / before.pixels.shape[0]


def _values(records: pd.DataFrame, case: str, stage: str) -> list[tuple[float, float, bool]]:
    """(value, fraction, inside) of a scan's backgrounds."""
    own = records[(records["case"] == case) & (records["stage"] == stage) & (records["item"] != "")]
    table = own.pivot(index="item", columns="name", values="value").sort_index()
    columns = [f"background_{name}" for name in ("value", "fraction", "inside")]
    return [(v, f, bool(i)) for v, f, i in table.reindex(columns=columns).to_numpy()]


def _layout(records: pd.DataFrame, case: str, stage: str) -> str:
    """A scan's backgrounds in a line each."""
    lines = [
        f"{'inside' if inside else 'outside'} {value:.0f}".replace("-", "−") + f" ({part:.0%})"
        for value, part, inside in _values(records, case, stage)
    ]
    return "\n".join(lines or ["no background"])


def _wide(records: pd.DataFrame) -> tuple[float, float]:
    """A window down to the lowest background, so that none is cut off."""
    values = records.loc[records["name"] == "background_value", "value"]
    return min([WINDOW[0], *values]) - 50, WINDOW[1]


def _short(case: str) -> str:
    """The end of an id too long for a heading."""
    return case if len(case) <= 12 else f"…{case[-6:]}"


PLOTS: dict[str, Callable[[pd.DataFrame, Mapping[str, Slice]], Figure]] = {
    "examples": _examples,
    "axes": _axes,
    "heights": _heights,
    "norms": _norms,
    "extremes": _extremes,
    "norm_by_height": _norm_by_height,
    "backgrounds": _backgrounds,
    "clipping": _clipping,
}
