"""The atlas of a dataset: a copy of the case that all others are registered to.

It is a case of its own, `warpline.plan.pairs.ATLAS`, since which case it copies may be known
only after the images have been seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from warpline.cases.case import read_case, write_case
from warpline.cases.exploration import RECORDS
from warpline.errors import WarplineError
from warpline.files import write_json
from warpline.plan.pairs import ATLAS, Pair

SOURCE = "atlas.json"


def nearest_median(measurements: Mapping[str, Sequence[float]]) -> str:
    """The case nearest its cohort's medians.

    The distance is the sum over measurements of |value − median| in units of the median absolute
    deviation, so that neither units nor outliers matter; the first case wins a tie.

    Parameters
    ----------
    measurements
        Case id to its measurements, the same ones for every case.
    """
    ids = list(measurements)
    values = np.array([measurements[case] for case in ids], dtype=float)
    offset = np.abs(values - np.median(values, axis=0))
    spread = np.median(offset, axis=0)
    distance = (offset / np.where(spread > 0, spread, 1.0)).sum(axis=1)
    return ids[int(distance.argmin())]


def make_atlas(folders: Mapping[str, str | os.PathLike], target: str | os.PathLike) -> str:
    """Choose the atlas among prepared cases and write it, with a note of its source.

    A single candidate is taken as it is; of several the one nearest their median volume and norm:
    those of the scan before its preparation where the dataset is explored (lung volume in ml,
    Frobenius norm of the positive HU), else those of the prepared case (volume of all labels,
    else of the mask; Frobenius norm).

    Parameters
    ----------
    folders
        Candidate to its prepared folder.
    target
        Folder to be filled: the atlas as a case of the name ``atlas``.

    Returns
    -------
    str
        The id of the chosen case.
    """
    measurements = {}
    if len(folders) > 1:
        measurements = {case_id: _measure(Path(folder)) for case_id, folder in folders.items()}
        chosen = nearest_median(measurements)
    else:
        (chosen,) = folders
    case = read_case(folders[chosen])
    write_case(Path(target) / ATLAS, case)
    volume, norm = measurements.get(chosen, (None, None))
    note = {"case": chosen, "candidates": len(folders), "volume_ml": volume, "norm": norm}
    write_json(Path(target) / ATLAS / SOURCE, note)
    return chosen


def measured_before(folder: str | os.PathLike) -> tuple[float, float] | None:
    """(lung volume in ml, Frobenius norm) of a scan before its preparation.

    None of a case that is not described, or whose description has no lungs.
    """
    records = Path(folder) / RECORDS
    rows = json.loads(records.read_text(encoding="utf-8")) if records.exists() else []
    before = {row["name"]: row["value"] for row in rows if row["stage"] == "before"}
    return (before["lung_volume"], before["frobenius"]) if "lung_volume" in before else None


def _measure(folder: Path) -> tuple[float, float]:
    """(volume in ml, norm) of a prepared case."""
    before = measured_before(folder)
    if before is not None:
        return before
    case = read_case(folder)
    region = case.labels if case.labels is not None else case.mask
    voxels = case.image.array.size if region is None else np.count_nonzero(region.array)
    volume = voxels * float(np.prod(case.grid.spacing)) / 1000
    return volume, float(np.linalg.norm(case.image.array.astype(float)))


def atlas_source(folder: str | os.PathLike) -> str:
    """Id of the case that an atlas in `folder` is a copy of.

    Raises
    ------
    WarplineError
        If the folder holds no atlas.
    """
    note = Path(folder) / SOURCE
    if not note.exists():
        raise WarplineError(
            "The folder holds no atlas.", where=note, do="Delete it; the workflow makes it anew."
        )
    return json.loads(note.read_text(encoding="utf-8"))["case"]


def without_self(
    pairs: Iterable[Pair], folders: Mapping[str, str | os.PathLike], *, some: bool = True
) -> list[Pair]:
    """The pairs without that of the atlas with the case that it copies.

    Raises
    ------
    WarplineError
        If no pair is left and `some` are needed; a batch of pairs may be that one alone.
    """
    pairs = list(pairs)
    if not any(ATLAS in pair for pair in pairs):
        return pairs
    source = atlas_source(folders[ATLAS])
    left = [pair for pair in pairs if set(pair) != {ATLAS, source}]
    if len(left) < len(pairs):
        print(f"{source} is the atlas: not registered to itself", flush=True)
    if some and not left:
        raise WarplineError(
            f"The atlas is a copy of '{source}', the only case to register to it.",
            where=folders[ATLAS],
            do="Give the split more cases, or name another case as 'atlas.case' of the dataset.",
        )
    return left
