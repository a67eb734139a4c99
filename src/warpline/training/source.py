"""What a training learns from, told so that a state learned from other data is not taken up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.files import checksum
from warpline.plan.pairs import Pair, pair_name


def source_of(
    folders: Mapping[str, str | os.PathLike],
    cases: Sequence[str],
    pairs: Iterable[Pair],
    given: Iterable[Pair] | None,
    labels: Mapping[int, str],
    pretrained: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """All data that the course of a training depends on, in plain values that can be compared.

    Parameters
    ----------
    folders
        Of every case, and of the field of every initial registration.
    cases
        Ids of the training cases, in their order.
    pairs, given
        (fixed, moving) ids of validation, and those trained on where they are given.
    labels
        Label values and their names.
    pretrained
        File of the weights that the training starts from.

    Returns
    -------
    dict
        ``cases``, ``pairs``, ``validation``, ``labels``, ``pretrained``, and of each folder that is
        used a digest of its ``files``.
    """
    pairs, given = [list(pair) for pair in pairs], [list(pair) for pair in given or ()]
    used = [*cases, *(case for pair in [*pairs, *given] for case in pair)]
    used += [pair_name(tuple(pair)) for pair in [*pairs, *given]]
    return {
        "cases": list(cases),
        "pairs": given,
        "validation": pairs,
        "labels": {str(value): name for value, name in labels.items()},
        "pretrained": pretrained and checksum(pretrained),
        "files": {name: _digest(folders[name], name) for name in sorted(set(used) & set(folders))},
    }


def _digest(folder: str | os.PathLike, name: str) -> str:
    """SHA-256 of names and contents of a case's files, or of the field of this name."""
    files = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
    field = [path for path in files if path.name == f"{name}.nii.gz"]
    digest = hashlib.sha256()
    for path in field or files:
        digest.update(f"{path.name}\n{checksum(path)}\n".encode())
    return digest.hexdigest()
