"""Symmetric normalisation (SyN; Avants et al. 2008, Medical Image Analysis 12:26) by ANTs."""

from __future__ import annotations

from warpline.cases.case import Case
from warpline.fields.io import from_ants
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration.baselines.ants_tools import run


def register(
    fixed: Case, moving: Case, parameters: Parameters, *, threads: int, seed: int
) -> DisplacementField:
    """Affine and SyN registration of a pair.

    Parameters
    ----------
    fixed, moving
        The cases.
    parameters
        Arguments of ``ants.registration`` (``type_of_transform``: SyN, the default, SyNOnly,
        SyNRA, …; ``syn_metric``, ``reg_iterations``, …) and ``masked``; ``start``, see
        `warpline.registration.baselines.ants_tools.run`.
    threads
        Not used: ANTs repeats itself on one thread only.
    seed
        Of ANTs' random sampling.

    Raises
    ------
    WarplineError
        For an unknown parameter or an error of ANTs.
    """
    options = {"type_of_transform": "SyN", **parameters}
    grid, start = fixed.image.grid, options.pop("start", None)
    return run(fixed, moving, options, lambda files: from_ants(files, grid), seed=seed, start=start)
