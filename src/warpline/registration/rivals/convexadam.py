"""convexAdam (Siebert, Hansen and Heinrich 2024, arXiv 2306.08386) by its package, with MIND."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration.rivals.process import drive, of_voxels, on_fixed_grid


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of a pair; the package wants both images on one grid.

    Parameters
    ----------
    parameters
        Arguments of ``convex_adam_pt`` by name; what is left out has the package's default.
    """
    moving = on_fixed_grid(fixed, moving)
    for name, case in (("fixed", fixed), ("moving", moving)):
        np.save(place / f"{name}.npy", case.image.array.astype(np.float32))
    cost = drive("convexadam", place, {"parameters": dict(parameters), "seed": seed}, threads)
    return of_voxels(np.load(place / "displacement.npy"), fixed), cost
