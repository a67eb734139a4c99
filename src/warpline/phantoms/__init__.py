"""Synthetic anatomy with known truth, written as the providers of real data write theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.registry import lookup

KNOWN = {
    "abdomen": "warpline.phantoms.providers.learn2reg:write_abdomen",
    "abdomen-2020": "warpline.phantoms.providers.learn2reg:write_abdomen_2020",
    "dirlab-4dct": "warpline.phantoms.providers.dirlab:write_4dct",
    "dirlab-copd": "warpline.phantoms.providers.dirlab:write_copd",
    "followup": "warpline.phantoms.providers.followup:write_followup",
    "hippocampus": "warpline.phantoms.providers.msd_hippocampus:write_hippocampus",
    "kits19": "warpline.phantoms.providers.kits19:write_kits19",
    "learn2reg-lung": "warpline.phantoms.providers.learn2reg_lung:write_learn2reg_lung",
    "luna16": "warpline.phantoms.providers.luna16:write_luna16",
    "msd-colon": "warpline.phantoms.providers.msd:write_colon",
    "msd-hepaticvessel": "warpline.phantoms.providers.msd:write_hepatic_vessel",
    "msd-liver": "warpline.phantoms.providers.msd:write_liver",
    "msd-pancreas": "warpline.phantoms.providers.msd:write_pancreas",
    "msd-spleen": "warpline.phantoms.providers.msd:write_spleen",
    "oasis": "warpline.phantoms.providers.neurite_oasis:write_oasis",
    "subjects": "warpline.phantoms.providers.folder:write_subjects",
    "tcia-pancreas": "warpline.phantoms.providers.tcia_pancreas:write_tcia_pancreas",
}


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
        A name in `KNOWN`.
    spec
        The dataset file's ``phantom`` entry: ``seed`` and ``parameters``; and its ``scans``, for
        phantoms of raw volumes.
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
    function = lookup(kind, KNOWN, "phantom", where="key 'phantom.kind' of the dataset file")
    return function(spec, cases, Path(folder))
