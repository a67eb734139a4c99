"""Preparing a batch of canonical cases into one folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.cases.case import read_case, write_case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError, combine
from warpline.files import atomic_folder
from warpline.registry import lookup


def prepare_batch(
    source: str | os.PathLike,
    cases: Sequence[str],
    steps: Sequence[Mapping[str, Any]],
    target: str | os.PathLike,
    explore: bool = False,
) -> None:
    """Prepare cases from their folders in `source` into `target`, which appears when all are done.

    Parameters
    ----------
    steps
        Of the dataset's ``prepare``.
    explore
        Whether to describe each case as it was and as it became.

    Raises
    ------
    WarplineError
        That tells of every case that cannot be prepared; `target` is as it was.
    """
    problems: list[WarplineError] = []
    with atomic_folder(target) as folder:
        for case_id in cases:
            try:
                prepare_one(Path(source) / case_id, steps, folder / case_id, explore)
            except WarplineError as error:  # the others may have something to tell too
                problems.append(error)
        if problems:
            raise combine(problems, f"{len(problems)} of {len(cases)} cases cannot be prepared")


def prepare_one(
    source: Path, steps: Sequence[Mapping[str, Any]], target: Path, explore: bool
) -> None:
    """Prepare one case and, if asked to, describe it as it was and as it became."""
    if not explore:
        case = prepare(read_case(source), steps)
        write_case(target, case)
    else:
        # By name, so that who does not explore is not prepared again when this code changes.
        exploration = lookup("exploration", {"exploration": "warpline.cases.exploration"}, "module")
        canonical = read_case(source)
        names = [next(iter(step)) for step in steps]
        until = names.index("clip_background") + 1 if "clip_background" in names else 0
        clipped = prepare(canonical, steps[:until])
        case = prepare(clipped, steps[until:])
        write_case(target, case)
        exploration.write_description(
            target, exploration.describe(canonical, case, clipped if until else None)
        )
    print(f"{target.name}: {case.grid.shape} voxels of {case.grid.spacing} mm", flush=True)
