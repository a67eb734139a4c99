"""A batch of cases from a provider's files to what methods work on."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from warpline.acquire.canonical import RECORD, canonicalise
from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats import locate_all
from warpline.acquire.formats.base import CaseFiles
from warpline.cases.preparation import prepare_case
from warpline.errors import WarplineError, combine
from warpline.files import atomic_folder
from warpline.plan.recipe import Step

IMPORTED = "import.json"  # beside a prepared case: the record of its import


def import_batch(
    source: str | os.PathLike,
    dataset: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    steps: Sequence[Step],
    target: str | os.PathLike,
    *,
    explore: bool = False,
) -> None:
    """Import a batch of cases, prepare them, and write each with the record of its import.

    A case is brought into the canonical layout first, beside the target, and read from there: so
    what a step sees does not depend on the provider's format.

    Parameters
    ----------
    source
        Folder of the unpacked archives, or of own files.
    dataset
        What the format is told of it, from `warpline.plan.inputs.acquire.source_spec`.
    cases
        Rows of the case sheet.
    steps, explore
        See `warpline.cases.preparation.prepare_case`.
    target
        Gets a folder for each case; it is complete or absent.

    Raises
    ------
    WarplineError
        With every case that is not there, is refused or cannot be prepared, not only the first.
    """
    told = DatasetFiles.of(dataset)
    problems: list[WarplineError] = []
    found = locate_all(told.format, source, told, cases, problems)
    with atomic_folder(target) as folder:
        canonical = folder / ".canonical"
        for case_id, files in found.items():
            try:
                canonicalise(files, case_id, canonical / case_id, labels=told.labels)
                prepare_case(canonical / case_id, steps, folder / case_id, explore=explore)
                shutil.copyfile(canonical / case_id / RECORD, folder / case_id / IMPORTED)
            except WarplineError as error:  # the others may have something to tell too
                problems.append(error)
            except Exception as error:
                if isinstance(error, OSError) and error.errno:
                    raise  # of this machine: a full disk
                traceback.print_exc()
                problems.append(_unforeseen(error, case_id, files))
            shutil.rmtree(canonical / case_id, ignore_errors=True)
        if problems:
            raise combine(problems, f"{len(problems)} of {len(cases)} cases are refused")
        shutil.rmtree(canonical, ignore_errors=True)


def _unforeseen(error: Exception, case_id: str, files: CaseFiles) -> WarplineError:
    """The error of a case that none of the checks has foreseen: named, so that it can be found."""
    return WarplineError(
        f"The case '{case_id}' cannot be imported ({type(error).__name__}: {error}).",
        where=files.image,
        do="Fetch or export its files again, or take the case out of the case sheet; the log has "
        "the details.",
    )
