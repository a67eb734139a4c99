"""Source formats: where the files of a case lie in what its provider packs.

A format is a module with one function, ``locate(folder, dataset, case) -> CaseFiles``: `folder`
holds the unpacked archives, `dataset` is what a format is told of it
(`warpline.acquire.dataset.DatasetFiles`), `case` a row of the case sheet (`dict` with ``case`` and,
for own data, ``image``, ``labels``, ``mask``, ``landmarks``). Where archives hold scans that nobody
may want, a second one, ``case_of(name)``, gives the case that a file of theirs belongs to by its
name, or None for what all cases need.
A new format is one more module and its line in `KNOWN`; where a folder of own data may be of it,
`warpline.plan.sources` must know which of its files belong to a case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import CaseFiles
from warpline.acquire.names import check_companions
from warpline.errors import WarplineError, combine
from warpline.registry import lookup

KNOWN = {
    "dirlab": "warpline.acquire.formats.dirlab",
    "folder": "warpline.acquire.formats.folder",
    "followup": "warpline.acquire.formats.followup",
    "kits19": "warpline.acquire.formats.kits19",
    "learn2reg": "warpline.acquire.formats.learn2reg",
    "learn2reg2020": "warpline.acquire.formats.learn2reg2020",
    "learn2reg_lung": "warpline.acquire.formats.learn2reg_lung",
    "luna16": "warpline.acquire.formats.luna16",
    "msd": "warpline.acquire.formats.msd",
    "neurite_oasis": "warpline.acquire.formats.neurite_oasis",
    "tcia_pancreas": "warpline.acquire.formats.tcia_pancreas",
}


def get(name: str) -> ModuleType:
    """The format's module; its error names the known formats."""
    return lookup(name, KNOWN, "source format", where="key 'format' of the dataset file")


def locate_all(
    name: str,
    folder: str | os.PathLike,
    dataset: DatasetFiles,
    cases: Iterable[Mapping[str, str]],
    problems: list[WarplineError] | None = None,
) -> dict[str, CaseFiles]:
    """Files of all the given cases by case id.

    Parameters
    ----------
    problems
        Gets the errors of cases that are not there, instead of their being raised.

    Raises
    ------
    WarplineError
        With every case that is not there, not only the first; so are those of an archive whose
        headers name voxels elsewhere on this machine.
    """
    found: dict[str, CaseFiles] = {}
    missing: list[WarplineError] = []
    for case in cases:
        try:
            files = get(name).locate(Path(folder), dataset, case)
            if not dataset.own:
                _check_headers(files)
            found[case["case"]] = files
        except WarplineError as error:
            missing.append(error)
    if problems is not None:
        problems += missing
    elif missing:
        raise combine(missing, f"{len(missing)} cases cannot be found")
    return found


def wanted_files(name: str, cases: Iterable[str] | None) -> Callable[[str], bool]:
    """Which files of an archive some cases need, by their names in it.

    Parameters
    ----------
    name
        Of the format. Of one that cannot tell, all files are wanted.
    cases
        Their ids; None for every case.
    """
    case_of = getattr(get(name), "case_of", None)
    if cases is None or case_of is None:
        return lambda file: True
    ids = {*cases, None}
    return lambda file: case_of(file) in ids


def _check_headers(files: CaseFiles) -> None:
    """What an archive's headers name must come from the archive."""
    headers = (None if files.read else files.image, files.labels, files.mask)
    for path in filter(None, headers):
        check_companions(path)
