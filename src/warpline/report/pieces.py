"""Tables and figures of a paper, each made anew only if what it is made from has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError, combine
from warpline.files import checksum, write_json
from warpline.provenance.record import state


@dataclass(frozen=True)
class Piece:
    """A table or a figure.

    Attributes
    ----------
    name
        As the paper's file has it.
    settings
        All that it is made by, apart from files: its entry, what its caption may quote, the
        fingerprint of its code.
    inputs
        Files and folders that it is made from.
    files
        What is made, one path a format.
    make
        Makes all of `files`.
    """

    name: str
    settings: Mapping[str, Any]
    inputs: Sequence[str | os.PathLike]
    files: Sequence[str]
    make: Callable[[], object]


def make_pieces(
    pieces: Iterable[Piece], memory: str | os.PathLike, results: str | os.PathLike
) -> set[str]:
    """Make every piece that is not there as it is now asked for.

    Parameters
    ----------
    memory
        Where it is kept between calls what each piece was made from and what came of it.
    results
        The folder of results, in which the provenance of the inputs is looked up.

    Returns
    -------
    The names of the pieces that were made; the files of the others are as they were.

    Raises
    ------
    WarplineError
        With every piece that cannot be made; the others are made first.
    """
    memory = Path(memory)
    known = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else {}
    states: dict[str, Any] = {}
    made, problems = set(), []
    for piece in pieces:
        for path in map(str, piece.inputs):
            states.setdefault(path, state(path, results))
        origin = [piece.settings, {path: states[path] for path in map(str, piece.inputs)}]
        text = json.dumps(origin, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        if known.get(piece.name) == {"key": key, "files": _digests(piece.files)}:
            print(f"{piece.name}: as it was", flush=True)
            continue
        try:
            piece.make()
        except WarplineError as error:  # the others may have something to tell too
            problems.append(error)
            continue
        print(f"{piece.name}: made", flush=True)
        made.add(piece.name)
        known[piece.name] = {"key": key, "files": _digests(piece.files)}
        write_json(memory, known)
    if problems:
        raise combine(problems, f"{len(problems)} tables or figures cannot be made")
    return made


def _digests(paths: Sequence[str]) -> dict[str, str | None]:
    return {path: checksum(path) if Path(path).is_file() else None for path in paths}
