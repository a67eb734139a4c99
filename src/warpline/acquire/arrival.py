"""From an archive's sources to its files: fetched, verified, unpacked."""

from __future__ import annotations

import os
from typing import Any

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.acquire.verify import source_of


def arrive(
    archive: Archive, folder: str | os.PathLike, target: str | os.PathLike
) -> dict[str, Any]:
    """Bring an archive into `folder` and unpack it into `target`.

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
    unpack(path, target, sha256=known["sha256"])
    return known
