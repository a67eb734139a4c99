"""A contact sheet of noisy labels, for the eye that looked at every case in Estienne et al. 2020.

What the rules found worst comes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.cases.organs import NUMBER
from warpline.cases.tables import read_table
from warpline.errors import WarplineError
from warpline.figures.contact_sheet import CasePanel, compose
from warpline.figures.entry import FigureEntry
from warpline.figures.style import in_words, save, style
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.images.views import View
from warpline.segmentation.noisy_labels import Limits, verdicts

FILES = ("image.nii.gz", "labels.nii.gz", "predicted.nii.gz")
MOST = 24  # panels
MARGIN = 0.08  # about the labels, of their longer side


def draw(
    figure: FigureEntry,
    stem: str | os.PathLike,
    *,
    folders: Mapping[str, str],
    tables: Sequence[str],
    limits: Mapping[str, float],
) -> None:
    """The figure of a paper file.

    `folders` are the cases', by id, `tables` files with the rows of
    `warpline.segmentation.noisy_labels.noisy_labels`, `limits` the keyword arguments of `Limits`.
    """
    contact_sheet(read_tables(tables), folders, stem, limits=Limits(**limits), plane=figure.plane)


def read_tables(paths: Sequence[str | os.PathLike]) -> pd.DataFrame:
    """The rows of all tables.

    Raises
    ------
    WarplineError
        If a table has no rows.
    """
    tables = []
    for path in paths:
        try:
            table = read_table(path, "case")
        except pd.errors.EmptyDataError:
            table = pd.DataFrame()
        if table.empty:
            raise WarplineError(
                "The table of noisy labels is empty: there is no case to show.",
                where=path,
                do="Predict the labels of at least one case.",
            )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def contact_sheet(
    table: pd.DataFrame,
    folders: Mapping[str, str | os.PathLike],
    stem: str | os.PathLike,
    *,
    limits: Limits,
    plane: str = "coronal",
) -> list[Path]:
    """Draw what became of the labels of each case.

    A panel is the CT slice through the middle of a case's labels, all at one scale in mm. A
    dropped organ is a red outline, as it was predicted; where the slice misses it, that of all of
    it seen along the slice's normal. A case that is left out has a red frame.

    Parameters
    ----------
    table
        Rows of `warpline.segmentation.noisy_labels.noisy_labels`, of any number of cases.
    folders
        Case id → folder with the files of `FILES`: HU, the organs that were kept, and all that was
        predicted; both label maps in common numbers, on the image's grid.
    stem
        The files' path without suffix.
    limits
        Those that the table was made with.
    plane
        ``sagittal``, ``coronal`` or ``axial``.

    Returns
    -------
    list of Path
        The PNG and the SVG.

    Raises
    ------
    WarplineError
        If a case has no folder, a folder lacks a file, or a label map lies on another grid.
    """
    cases = worst_first(verdicts(table, limits))
    shown = cases.head(MOST)
    rows = dict(iter(table.groupby("case", sort=False)))
    panels = []
    for row in shown.itertuples():
        if row.case not in folders:
            raise WarplineError("The table has a case without a folder.", where=f"case {row.case}")
        panels.append(_panel(row.case, rows[row.case], Path(folders[row.case]), row.kept, plane))
    with style():
        return save(compose(panels, _count(cases, shown)), stem)


def worst_first(cases: pd.DataFrame) -> pd.DataFrame:
    """Rows of `verdicts`: cases that are left out, then by the number of organs dropped."""
    return cases.sort_values(["kept", "dropped"], ascending=[True, False], kind="stable")


def _count(cases: pd.DataFrame, shown: pd.DataFrame) -> str:
    """How many are shown of how many, of each sort."""

    def of(sort: str) -> str:
        return f"{shown.eval(sort).sum()} of {cases.eval(sort).sum()}"

    return (
        f"Shown: {len(shown)} of {len(cases)} cases ({of('~kept')} left out, "
        f"{of('kept and dropped > 0')} others with dropped organs, "
        f"{of('kept and dropped == 0')} with none)."
    )


def _panel(case: str, rows: pd.DataFrame, folder: Path, kept: bool, plane: str) -> CasePanel:
    image, labels, predicted = _read(folder, case)
    numbers = rows["organ"].map(NUMBER)
    lost = numbers[~rows["kept"]]
    removed = np.where(np.isin(predicted.array, lost), predicted.array, 0)
    every = (labels.array > 0) | (removed > 0)
    view = View(image.grid, plane, _position(image.grid, plane, labels, every))
    dropped = {}
    for number in lost:
        mask = removed == number
        if mask.any():
            own = view.cut(mask)
            beside = View(image.grid, plane, 0).cut(mask.any(axis=view.normal, keepdims=True))
            dropped[int(number)] = (own, True) if own.any() else (beside, False)
    return CasePanel(
        case=case,
        kept=kept,
        view=view,
        image=view.cut(image.array),
        labels=view.cut(labels.array),
        sources=dict(zip(numbers[rows["kept"]], rows.loc[rows["kept"], "source"], strict=True)),
        dropped=dropped,
        notes=_notes(rows[~rows["kept"]]),
        window=view.window(every, MARGIN),
    )


def _position(grid: Grid, plane: str, labels: Image, every: np.ndarray) -> int:
    """The slice at the mean of the organs' middles: the liver alone does not choose it."""
    masks = [labels.array == n for n in np.unique(labels.array) if n] or [every]
    return round(float(np.mean([View.through(grid, plane, mask).position for mask in masks])))


def _read(folder: Path, case: str) -> list[Image]:
    """Image, labels and prediction of a case."""
    missing = [name for name in FILES if not (folder / name).exists()]
    if missing:
        raise WarplineError(
            f"The folder of case {case} has no {' and no '.join(missing)}.",
            where=folder,
            do="Predict its labels again.",
        )
    image, *maps = (read_image(folder / name) for name in FILES)
    for name, labels in zip(FILES[1:], maps, strict=True):
        if not labels.grid.close_to(image.grid):
            raise WarplineError("The label map does not lie on the scan's grid.",
                                where=folder / name, do="Predict its labels again.")  # fmt: skip
    return [image, *maps]


def _notes(dropped: pd.DataFrame) -> list[str]:
    return [
        f"{', '.join(map(in_words, own['organ']))}: {reason}"
        for reason, own in dropped.groupby("reason", sort=False)
    ]
