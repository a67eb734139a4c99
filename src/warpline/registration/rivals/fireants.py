"""FireANTs (Jena et al. 2024, arXiv 2404.01249) by its package: affine, then greedy."""

from __future__ import annotations

from pathlib import Path

from warpline.cases.case import Case
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import drive, write_images

KEYS = ("device", "affine", "greedy")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of a pair; the field has the affine part in it, as the package writes it.

    Parameters
    ----------
    parameters
        ``device``; ``affine`` and ``greedy``, arguments of the package's two registrations.
    """
    own = rivals.settings(parameters, KEYS, "fireants")
    request = {**own, **write_images(place, fixed, moving), "seed": seed}
    cost = drive("fireants", place, request, threads)
    return DisplacementField(read_field(place / "warp.nii.gz").vectors, fixed.grid), cost
