"""IMPACT-Reg (Boussot et al. 2025) by the command ``impact-reg-konfai``, a preset of its hub."""

from __future__ import annotations

import os
from pathlib import Path

import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.io import from_sitk_transform, read_field
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import call, write_images

KEYS = ("preset", "device")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of a pair by one preset; its displacement field lies on the fixed grid.

    Parameters
    ----------
    parameters
        ``preset``, by its name; ``device``, arguments such as ``[--cpu, "1"]``.

    Raises
    ------
    WarplineError
        If the command leaves neither a field nor a transform.
    """
    own = rivals.settings(parameters, KEYS, "impact")
    files = write_images(place, fixed, moving)
    target = place / "out"
    arguments = ["register", own["preset"], "-f", files["fixed"], "-m", files["moving"]]
    arguments += ["-o", os.fspath(target), *map(str, own["device"])]
    cost = call("impact", place, arguments, threads)
    for file in sorted(target.rglob("DVF.*")):
        return DisplacementField(read_field(file).resample(fixed.grid).vectors, fixed.grid), cost
    for file in sorted(target.rglob("Transform.*")):
        return from_sitk_transform(sitk.ReadTransform(os.fspath(file)), fixed.grid), cost
    raise WarplineError("impact-reg-konfai has left neither DVF nor Transform.", where=target)
