"""Cases that are only looked at: what describes them is kept, and not what they are prepared to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.acquire.batch import import_batch
from warpline.cases.atlas import make_atlas, measured_before, nearest_median
from warpline.cases.exploration import RECORDS, SLICES
from warpline.errors import WarplineError, combine
from warpline.files import atomic_folder
from warpline.plan.recipe import Step

WORK = ".prepared"


def describe_batch(
    source: str | os.PathLike,
    dataset: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    steps: Sequence[Step],
    target: str | os.PathLike,
) -> None:
    """Describe a batch of cases as `warpline.acquire.batch.import_batch` does, one after the other.

    A case's prepared image lies on the disk only until the next one's. Parameters and errors are
    those of `import_batch`.
    """
    problems = []
    with atomic_folder(target) as folder:
        for row in cases:
            case, work = row["case"], folder / WORK
            try:
                import_batch(source, dataset, [row], steps, work, explore=True)
                (folder / case).mkdir()
                for name in (RECORDS, SLICES):
                    shutil.move(work / case / name, folder / case / name)
            except WarplineError as error:  # the others may have something to tell too
                problems.append(error)
            shutil.rmtree(work, ignore_errors=True)
        if problems:
            raise combine(problems, f"{len(problems)} of {len(cases)} cases are refused")


def atlas_of_described(
    folders: Mapping[str, str | os.PathLike],
    source: str | os.PathLike,
    dataset: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    steps: Sequence[Step],
    target: str | os.PathLike,
) -> str:
    """Choose the atlas among described cases, prepare that one alone and write it.

    Parameters
    ----------
    folders
        Candidate to the folder of its description, or to that of its prepared case.
    target
        See `warpline.cases.atlas.make_atlas`.

    The others are those of `describe_batch`; `cases` are the candidates.

    Returns
    -------
    str
        The id of the chosen case.
    """
    chosen = nearest_median({case: _before(Path(folder)) for case, folder in folders.items()})
    (row,) = (row for row in cases if row["case"] == chosen)
    with atomic_folder(target) as folder:
        import_batch(source, dataset, [row], steps, folder / WORK, explore=True)
        make_atlas({**folders, chosen: folder / WORK / chosen}, folder)
        shutil.rmtree(folder / WORK)
    return chosen


def _before(folder: Path) -> tuple[float, float]:
    """(lung volume in ml, Frobenius norm) of a scan before its preparation."""
    before = measured_before(folder)
    if before is None:
        raise WarplineError(
            f"The scan '{folder.name}' has no lungs to measure, by which the atlas is chosen.",
            where=folder,
            do="Name the atlas in the dataset file: atlas: {case: <id>}.",
        )
    return before
