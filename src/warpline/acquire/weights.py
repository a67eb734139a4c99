"""Files of weights that were trained elsewhere: an archive each, that is not unpacked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
from warpline.acquire.verify import source_of
from warpline.errors import WarplineError

# A source with checksums of its own, of a record whose files may be others than those elsewhere.
RECORD = "zenodo:"
# Share by which the size of a file of unknown checksum may differ, for names and a few numbers.
SIZE_TOLERANCE = 0.01


def bring(
    spec: Mapping[str, Any], folder: str | os.PathLike, *, patience: Patience | None = None
) -> Path:
    """Fetch and verify the file of a method's ``weights``.

    A file must have one of the checksums, if any are known. A record of Zenodo's names its own: a
    file from there that has none of those known is taken if its size is about the known one, and
    the log says so; whether it fits the network is seen when it is read.

    Raises
    ------
    WarplineError
        If no source gives it, with what went wrong at each.
    """
    problems: list[str] = []
    known = tuple(spec["checksums"])
    for source in spec["sources"]:
        record = source.startswith(RECORD)
        archive = Archive(
            spec["file"],
            (source,),
            () if record else known,
            None if record else spec["size"],
            spec["ask"],
            "weights",
        )
        try:
            path = fetch(archive, folder, patience=patience)
        except WarplineError as error:
            problems += [line.strip() for line in error.what.splitlines()[1:]] or [error.what]
            continue
        if record and known:
            _report(path, known, spec["size"])
        return path
    raise WarplineError(
        "\n    ".join([f"No source gives the weights '{spec['file']}':", *problems])
        if problems
        else f"The weights '{spec['file']}' have no source.",
        where=Path(folder) / spec["file"],
        do=(f"Ask for the file at {spec['ask']}, or correct" if spec["ask"] else "Correct")
        + " 'weights' in the method file, or put the file at the place above.",
    )


def _report(path: Path, known: tuple[str, ...], size: int | None) -> None:
    """Say that a record's file is not the known one, and refuse one of quite another size."""
    record = source_of(path)
    if any(record.get(kind) == value for kind, _, value in (k.partition(":") for k in known)):
        return
    told = f"it has sha256:{record['sha256']} and {record['size']} bytes"
    if size is not None and abs(record["size"] - size) > SIZE_TOLERANCE * size:
        raise WarplineError(
            f"The record's file is another one: {told}, the known one {size} bytes.",
            where=path,
            do="Name the right file of the record in 'weights.file' of the method.",
        )
    print(
        f"{path.name}: the record's file is not one whose checksum is known; {told}. Its names and "
        "shapes are checked.",
        flush=True,
    )
