"""Aligning a batch of prepared cases to a dataset's reference case by affine transformations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpline.acquire.batch import IMPORTED, import_batch
from warpline.cases.case import read_case, write_case
from warpline.cases.steps.geometry import grid_about_mask, move_case, without_landmarks_outside
from warpline.files import atomic_folder, write_json
from warpline.plan.recipe import Parameters, Step
from warpline.registration.baselines.affine import prealign


@dataclass(frozen=True)
class Alignment:
    """``prealign`` of a dataset.

    Attributes
    ----------
    reference
        Id of the case to align to.
    tool, transform, parameters, seed
        See `warpline.registration.baselines.affine.prealign`.
    shape
        (z, y, x): the cases are cut to the grid of this shape about the middle of the reference's
        mask; None for the reference's whole grid.
    """

    reference: str
    tool: str
    transform: str
    parameters: Parameters
    seed: int
    shape: Sequence[int] | None

    @classmethod
    def of(cls, setting: Mapping[str, Any]) -> Alignment:
        """From a dataset's ``prealign``, as the schema leaves it."""
        keys = ("reference", "tool", "transform", "parameters", "seed", "shape")
        return cls(**{key: setting[key] for key in keys})


def align_batch(
    source: str | os.PathLike,
    cases: Sequence[str],
    reference: str | os.PathLike,
    setting: Alignment,
    parameter_files: Sequence[str],
    target: str | os.PathLike,
) -> None:
    """Align cases from their folders in `source` into `target`, which appears when all are done.

    Beside each case lies its ``affine.json``, the matrix (4, 4), mm, LPS, that takes points of the
    reference to points of the case.

    Parameters
    ----------
    reference
        The folder that holds the reference case.
    parameter_files
        Of elastix, one a stage.

    Raises
    ------
    WarplineError
        If a case cannot be read or the tool fails; `target` is as it was.
    """
    with atomic_folder(target) as folder:
        _align(source, cases, reference, setting, parameter_files, folder)


def import_and_align(
    source: str | os.PathLike,
    dataset: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    steps: Sequence[Step],
    reference: str | os.PathLike,
    setting: Alignment,
    parameter_files: Sequence[str],
    target: str | os.PathLike,
) -> None:
    """`import_batch` and `align_batch` in one, of cases whose reference is another dataset's.

    Beside each case lie its ``affine.json`` and the record of its import.

    Raises
    ------
    WarplineError
        As those two; `target` is as it was.
    """
    ids = [row["case"] for row in cases]
    with atomic_folder(target) as folder:
        prepared = folder / ".prepared"
        import_batch(source, dataset, cases, steps, prepared)
        _align(prepared, ids, reference, setting, parameter_files, folder)
        for case_id in ids:
            shutil.copyfile(prepared / case_id / IMPORTED, folder / case_id / IMPORTED)
        shutil.rmtree(prepared)


def _align(
    source: str | os.PathLike,
    cases: Sequence[str],
    reference: str | os.PathLike,
    setting: Alignment,
    parameter_files: Sequence[str],
    folder: Path,
) -> None:
    fixed = read_case(Path(reference) / setting.reference)
    grid = grid_about_mask(fixed, setting.shape) if setting.shape else fixed.grid
    for case_id in cases:
        case = read_case(Path(source) / case_id)
        matrix = prealign(
            case.image,
            fixed.image,
            tool=setting.tool,
            transform=setting.transform,
            parameter_files=parameter_files,
            parameters=setting.parameters,
            seed=setting.seed,
            names=(case_id, fixed.id),
        )
        moved = move_case(case, matrix, grid)
        if setting.shape:
            moved = without_landmarks_outside(moved)
        write_case(folder / case_id, moved)
        write_json(folder / case_id / "affine.json", matrix.tolist())
        print(case_id, flush=True)
