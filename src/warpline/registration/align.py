"""Aligning a batch of prepared cases to a dataset's reference case by affine transformations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.cases.case import read_case, write_case
from warpline.cases.steps.geometry import grid_about_mask, move_case, without_landmarks_outside
from warpline.files import atomic_folder, write_json
from warpline.registration.baselines.affine import prealign


def align_batch(
    source: str | os.PathLike,
    cases: Sequence[str],
    reference: str | os.PathLike,
    setting: Mapping[str, Any],
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
    setting
        ``prealign`` of the dataset, as the schema leaves it. With a ``shape`` the cases are cut to
        the grid of that shape about the middle of the reference's mask.
    parameter_files
        Of elastix, one a stage.

    Raises
    ------
    WarplineError
        If a case cannot be read or the tool fails; `target` is as it was.
    """
    fixed = read_case(Path(reference) / setting["reference"])
    grid = grid_about_mask(fixed, setting["shape"]) if setting["shape"] else fixed.grid
    with atomic_folder(target) as folder:
        for case_id in cases:
            case = read_case(Path(source) / case_id)
            matrix = prealign(
                case.image,
                fixed.image,
                tool=setting["tool"],
                transform=setting["transform"],
                parameter_files=parameter_files,
                parameters=setting["parameters"],
                seed=setting["seed"],
                names=(case_id, fixed.id),
            )
            moved = move_case(case, matrix, grid)
            if setting["shape"]:
                moved = without_landmarks_outside(moved)
            write_case(folder / case_id, moved)
            write_json(folder / case_id / "affine.json", matrix.tolist())
            print(case_id, flush=True)
