"""uniGradICON (Tian et al. 2024, MICCAI) by its command, with weights that the method names."""

from __future__ import annotations

import os
from pathlib import Path

import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.fields.io import from_sitk_transform
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import call, write_images

KEYS = ("weights", "modality", "io_iterations")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of a pair.

    Parameters
    ----------
    parameters
        ``weights``: the network's file; ``modality``: ``ct`` or ``mri``; ``io_iterations``: steps
        of optimisation on the pair, or ``None``.
    """
    own = rivals.settings(parameters, KEYS, "unigradicon")
    files = write_images(place, fixed, moving)
    target = os.fspath(place / "transform.hdf5")
    arguments = ["--fixed", files["fixed"], "--moving", files["moving"]]
    arguments += ["--fixed_modality", own["modality"], "--moving_modality", own["modality"]]
    arguments += ["--transform_out", target, "--network_weights", str(own["weights"])]
    arguments += ["--io_iterations", str(own["io_iterations"])]
    cost = call("unigradicon", place, arguments, threads)
    return from_sitk_transform(sitk.ReadTransform(target), fixed.grid), cost
