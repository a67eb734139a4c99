"""What a training learns from, told so that a state learned from other data is not taken up."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from warpline.files import checksum
from warpline.plan.pairs import pair_name
from warpline.training.material import Material


def source_of(material: Material, pretrained: str | os.PathLike | None = None) -> dict[str, Any]:
    """All data that the course of a training depends on, in plain values that can be compared.

    Parameters
    ----------
    pretrained
        File of the weights that the training starts from.

    Returns
    -------
    dict
        ``cases``, ``pairs``, ``validation``, ``labels``, ``pretrained``, and of each folder that is
        used a digest of its ``files``: of cases by their ids, of initial fields by their pairs.
    """
    learned, watched = list(material.pairs or ()), list(material.validation)
    cases = {*material.cases, *(case for pair in [*learned, *watched] for case in pair)}
    names = {pair_name(pair) for pair in [*learned, *watched]} & set(material.initial)
    files = {case: _digest(material.folders[case], case) for case in sorted(cases)}
    files |= {name: _digest(material.initial[name], name) for name in sorted(names)}
    return {
        "cases": list(material.cases),
        "pairs": [list(pair) for pair in learned],
        "validation": [list(pair) for pair in watched],
        "labels": {str(value): name for value, name in material.labels.items()},
        "pretrained": pretrained and checksum(pretrained),
        "files": files,
    }


def _digest(folder: str | os.PathLike, name: str) -> str:
    """SHA-256 of names and contents of a case's files, or of the field of this name."""
    files = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
    field = [path for path in files if path.name == f"{name}.nii.gz"]
    digest = hashlib.sha256()
    for path in field or files:
        digest.update(f"{path.name}\n{checksum(path)}\n".encode())
    return digest.hexdigest()
