"""Fetching archives: ordered sources, resumed, verified, named only when whole."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from warpline.acquire import local, tcia, zenodo
from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.patience import Patience
from warpline.acquire.shared import alone
from warpline.acquire.transfer import Part, download
from warpline.acquire.verify import existing_problem
from warpline.errors import WarplineError

log = logging.getLogger(__name__)


def fetch(
    archive: Archive,
    folder: str | os.PathLike,
    *,
    progress: bool = True,
    patience: Patience | None = None,
) -> Path:
    """Bring an archive into a folder and verify it.

    A download that broke off is taken up where it stopped, in this call or in a later one
    (``<name>.part`` and ``<name>.part.json`` beside). The checksums of a finished file are kept in
    ``<name>.checksums.json``; a file that is there and has the right one is not fetched again. Of
    several runs that want the same file one fetches it, the others wait.

    Parameters
    ----------
    progress
        Whether to tell how far a download has come.
    patience
        Retries, waits and time-outs; None: the usual ones.

    Returns
    -------
    The path of the verified file, ``folder/name``.

    Raises
    ------
    WarplineError
        If no source gives the file (with what went wrong at each), the disk is full, or a link
        lies where the file is to be written.
    """
    folder, patience = Path(folder), patience or Patience()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / archive.name
    if not archive.checksums:
        archive = replace(archive, checksums=local.checksums_beside(archive))
    if target.exists() and existing_problem(archive, target) is None:
        return target
    with alone(target, patience.quiet):
        if target.exists():
            problem = existing_problem(archive, target)
            if problem is None:
                return target  # another run has brought it meanwhile
            log.warning("%s: %s; it is fetched again", target, problem)
        return _from_sources(archive, target, progress, patience)


def _from_sources(archive: Archive, target: Path, progress: bool, patience: Patience) -> Path:
    """The file of the first source that gives it."""
    problems = []
    for source in archive.sources:
        try:
            kind, _, rest = source.partition(":")
            if kind in ("https", "http"):
                download(archive, source, target, progress, patience)
            elif kind == "zenodo":
                listed, url = zenodo.in_record(archive, rest, patience)
                download(listed, url, target, progress, patience)
            elif kind == "tcia":
                tcia.download_series(archive, rest, target, progress, patience)
            elif kind == "file":
                local.copy(archive, local.file_path(source), target)
            elif kind == "folder":
                local.copy(archive, local.in_folder(Path(rest), archive), target)
            else:
                raise SourceFailed("is none of https:, zenodo:, tcia:, file: and folder:")
            Part.of(target).remove()
            return target
        except SourceFailed as error:
            log.warning("%s: %s: %s", archive.name, source, error)
            problems.append(f"{source}: {error}")
    key = archive.key or f"archives.{archive.name}"
    raise WarplineError(
        "\n    ".join([f"No source gives the archive '{archive.name}':", *problems])
        if problems
        else f"The archive '{archive.name}' has no source.",
        where=target,
        do=(f"Ask for the file at {archive.ask}, or correct" if archive.ask else "Correct")
        + f" '{key}' in the dataset file, or put the file at the place above.",
    )
