"""The network of VoxelMorph's package (Balakrishnan et al. 2019, IEEE TMI 38:1788), with weights.

The package brings no weights for torch: a method's file names those of a training by the package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import drive, of_voxels, on_fixed_grid

KEYS = ("weights", "network")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of a pair by ``VxmPairwise``, of images scaled from 0 to 1.

    Parameters
    ----------
    parameters
        ``weights``, a state of the network's, which is read without running code; ``network``,
        the arguments that it is built with.
    """
    own = rivals.settings(parameters, KEYS, "voxelmorph")
    moving = on_fixed_grid(fixed, moving)
    for name, case in (("fixed", fixed), ("moving", moving)):
        array = case.image.array.astype(np.float32)
        low, high = float(array.min()), float(array.max())
        np.save(place / f"{name}.npy", (array - low) / max(high - low, 1e-6))
    cost = drive("voxelmorph", place, own, threads)
    return of_voxels(np.load(place / "displacement.npy"), fixed), cost
