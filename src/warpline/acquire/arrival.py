"""From an archive's sources to its files: fetched, verified, unpacked."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.acquire.verify import IN_PLACE, record_path, source_of

log = logging.getLogger(__name__)


def arrive(
    archive: Archive,
    folder: str | os.PathLike,
    target: str | os.PathLike,
    *,
    wanted: Callable[[str], bool] | None = None,
    keep: bool = True,
) -> dict[str, Any]:
    """Bring an archive into `folder` and unpack it into `target`.

    Parameters
    ----------
    wanted
        Which of its files, see `unpack`.
    keep
        Whether the archive stays in `folder`. One that was put there by hand always does: nobody
        else may have it.

    Returns
    -------
    What is known of the file, see `source_of`.

    Raises
    ------
    WarplineError
        As `fetch` and `unpack`.
    """
    known = source_of(path := fetch(archive, folder))
    # What is unpacked must still be the file that was verified.
    unpack(path, target, sha256=known["sha256"], wanted=wanted)
    if not keep and known.get("source") == IN_PLACE:
        log.info("%s stays: it was put there by hand", path)
    elif not keep:
        path.unlink()
        record_path(path).unlink()
        log.info("%s is unpacked and deleted, as keep_downloads says", path)
    return known
