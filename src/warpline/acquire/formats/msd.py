"""Decathlon (MSD): ``<Task>/dataset.json``, ``imagesTr``, ``labelsTr``, ``imagesTs``.

A case's id is the end of its file's name: ``001`` for ``imagesTr/hippocampus_001.nii.gz``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import (
    SUFFIX,
    CaseFiles,
    check_label_table,
    find_one,
    no_case,
    read_description,
)
from warpline.acquire.names import inside
from warpline.errors import WarplineError


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case; cases of the unlabelled test set have no label map.

    Raises
    ------
    WarplineError
        If the description is missing, broken or has no labels; if it does not list the case, or
        lists files that are not there.
    """
    path = find_one(folder, "dataset.json", "description of a Decathlon task")
    description = read_description(path)
    check_label_table(description, path, dataset)
    entries = _entries(description, path)
    entry = entries.get(case["case"])
    if entry is None:
        raise no_case(case["case"], list(entries), path)
    files = {}
    for kind, relative in entry.items():
        files[kind] = inside(path.parent, relative, path)
        if not files[kind].exists():
            raise WarplineError(
                f"The {kind} of the case '{case['case']}' is not in the archive, though its "
                f"description lists {relative}.",
                where=path,
                do="Take the case out of the case sheet, or fetch the archive again.",
            )
    return CaseFiles(image=files["image"], labels=files.get("label"))


def case_of(name: str) -> str | None:
    """The case of an image or a label map; None for the description."""
    return _case(name) if name.endswith(SUFFIX) else None


def _case(name: str) -> str:
    return PurePosixPath(name).name.removesuffix(SUFFIX).rpartition("_")[2]


def _entries(description: Mapping[str, Any], path: Path) -> dict[str, dict[str, str]]:
    """Case id to its relative paths, ``image`` and perhaps ``label``."""
    tests = [{"image": item} for item in description.get("test") or [] if isinstance(item, str)]
    entries = {}
    for item in [*description["training"], *tests]:
        if not isinstance(item, Mapping) or not isinstance(item.get("image"), str):
            raise WarplineError(
                f"An entry of the dataset's description names no image: {item!r}.", where=path
            )
        kinds = {kind: item[kind] for kind in ("image", "label") if isinstance(item.get(kind), str)}
        entries[_case(item["image"])] = kinds
    return entries
