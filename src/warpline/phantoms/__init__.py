"""Synthetic anatomy with known truth, written as the providers of real data write theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.phantoms.providers.request import Phantom
from warpline.plan.kinds import PHANTOMS
from warpline.registry import lookup


def write(
    kind: str,
    spec: Mapping[str, Any],
    cases: Sequence[Mapping[str, str]],
    folder: str | os.PathLike,
) -> list[Path]:
    """Generate the archives of a phantom dataset.

    Parameters
    ----------
    kind
        A name in `warpline.plan.kinds.PHANTOMS`.
    spec
        The dataset file's ``phantom`` entry and its ``scans``, as the schema leaves them.
    cases
        Rows of the case sheet; a case depends on its id and the seed, not on the other cases.
    folder
        Where the archives and a ``SHA256SUMS`` are written.

    Returns
    -------
    The archives' paths.

    Raises
    ------
    WarplineError
        If the kind or one of its parameters is unknown.
    """
    function = lookup(kind, PHANTOMS, "phantom", where="key 'phantom.kind' of the dataset file")
    return function(Phantom.of(spec), cases, Path(folder))
