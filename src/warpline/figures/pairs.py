"""Which pair a figure shows, and what is read of it: the opening of every figure of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from warpline.cases.case import Case, read_case
from warpline.errors import WarplineError
from warpline.evaluation.records import first_seed, read_records
from warpline.fields.halved import read_kept
from warpline.fields.physical import DisplacementField
from warpline.figures.entry import FigureEntry
from warpline.figures.panels import Window
from warpline.images.grid import Grid
from warpline.images.views import PLANES, View
from warpline.plan.pairs import pair_name

METRICS = {"tre": "TRE", "dice": "Dice"}
WORDS = {"tre": "TRE {:.1f} mm", "dice": "Dice {:.2f}"}


@dataclass(frozen=True)
class OfPairs:
    """What figures of registered pairs are drawn from.

    Attributes
    ----------
    records
        The paper's file.
    folders
        Of every case.
    fields
        Method → pair's name → folder of its field and of what else was kept of the registration.
    unit
        Of the prepared grids, ``mm`` or ``voxels``.
    """

    records: str
    folders: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    unit: str

    def read(self, pair: tuple[str, str]) -> tuple[Case, Case]:
        """The fixed and the moving case."""
        fixed, moving = (read_case(self.folders[case]) for case in pair)
        return fixed, moving

    def field(self, method: str, pair: tuple[str, str], grid: Grid) -> DisplacementField:
        """A method's field of a pair, on the fixed grid."""
        return read_kept(self.file(method, pair, ".nii.gz"), grid)

    def file(self, method: str, pair: tuple[str, str], suffix: str) -> Path:
        """A file of a method's registration of a pair.

        `suffix` comes after the pair's name: ``.nii.gz`` is the field.
        """
        name = pair_name(pair)
        return Path(self.fields[method][name]) / f"{name}{suffix}"


def records_of_figure(figure: FigureEntry, path: str | os.PathLike) -> pd.DataFrame:
    """The records of the dataset and split that a figure shows; of several seeds the first's."""
    (dataset, split), frame = figure.place, first_seed(read_records(path))
    return frame[(frame["dataset"] == dataset) & (frame["split"] == split)]


def choose_pairs(
    records: pd.DataFrame, method: str, rules: Sequence[str], metric: str = "tre"
) -> dict[str, tuple[str, str]]:
    """Rule → (fixed, moving); a pair that two rules name stands once, under the first of them.

    ``first``: of the records; ``best``, ``median`` (the lower of two) and ``worst``: by a pair's
    mean of a method's metric, lowest first (``tre``, or ``dice`` for the median alone).

    Raises
    ------
    WarplineError
        If the method has no value of the metric for any rule but ``first``.
    """
    own = records[records["method"] == method]
    means = own[own["metric"] == metric].groupby(["fixed", "moving"])["value"].mean().dropna()
    order = list(means.sort_values(kind="stable").index)
    found: dict[str, tuple[str, str]] = {}
    for rule in rules:
        if rule == "first":
            pair = tuple(own[["fixed", "moving"]].iloc[0])
        elif not order:
            raise WarplineError(
                f"No pair has a {METRICS[metric]} for {method}, so none is the {rule} one.",
                where="key 'pairs' or 'pair' of the figure",
                do="Set it to first.",
            )
        else:
            pair = order[{"best": 0, "median": (len(order) - 1) // 2, "worst": -1}[rule]]
        if pair not in found.values():
            found[rule] = pair
    return found


def scores(records: pd.DataFrame, pair: tuple[str, str], metrics: Sequence[str]) -> dict[str, str]:
    """Method → a pair's mean of the first of the metrics that it has, in words."""
    own = records[(records["fixed"] == pair[0]) & (records["moving"] == pair[1])]
    found: dict[str, str] = {}
    for metric in metrics:
        means = own[own["metric"] == metric].groupby("method")["value"].mean().dropna()
        for method, mean in means.items():
            found.setdefault(str(method), WORDS[metric].format(mean))
    return found


def announce(rule: str, pair: tuple[str, str]) -> None:
    """Say in the log which pair is drawn."""
    print(f"{rule} pair: fixed {pair[0]}, moving {pair[1]}", flush=True)


def view_and_window(case: Case, plane: str) -> tuple[View, Window]:
    """The slice nearest to a case's landmarks (its mask, its middle), and what the mask fills."""
    mask = None if case.mask is None else case.mask.array > 0
    if case.landmarks is not None and len(case.landmarks):
        view = through_landmarks(case.grid, plane, case.landmarks)
    else:
        view = View.through(case.grid, plane, mask)
    return view, view.extent if mask is None else view.window(mask, margin=0.08)


def through_landmarks(grid: Grid, plane: str, landmarks: pd.DataFrame) -> View:
    """The slice nearest to the centre of landmarks (columns `x`, `y`, `z`; mm, LPS)."""
    centre = landmarks[["x", "y", "z"]].to_numpy(float).mean(axis=0)
    axis = grid.nearest_axis(PLANES[plane][0])[0]
    position = round(float(grid.physical_to_index(centre[None])[0, axis]))
    return View(grid, plane, min(max(position, 0), grid.shape[axis] - 1))
