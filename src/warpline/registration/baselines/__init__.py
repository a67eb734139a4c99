"""Registration methods that need no training, one module each, imported when they are asked for.

Each module has ``register(fixed, moving, parameters, *, threads, seed) -> DisplacementField``:
`fixed` and `moving` are cases (`warpline.cases.case.Case`: ``id``, ``image``, an optional
``mask``), the field lies on the fixed grid, and the same input and seed give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from warpline.cases.case import Case
from warpline.plan.recipe import Parameters
from warpline.registration.registrar import Registrar, Registration
from warpline.registry import lookup

if TYPE_CHECKING:
    import torch

    from warpline.registration.method import Method

KNOWN = {
    kind: f"warpline.registration.baselines.{kind}:register"
    for kind in ("identity", "affine", "elastix", "syn")
}


def get(kind: str) -> Callable:
    """The `register` function of a kind of baseline.

    Raises
    ------
    WarplineError
        If there is no such kind.
    """
    return lookup(kind, KNOWN, "baseline")


class Baseline(Registrar):
    """A method that has nothing to learn.

    Parameters
    ----------
    run
        The `register` of one of this package's modules.
    parameters, threads, seed
        What it is called with.
    """

    uses_torch = False

    def __init__(self, run: Callable, parameters: Parameters, *, threads: int, seed: int):
        self.run, self.parameters = run, parameters
        self.options = {"threads": threads, "seed": seed}

    @classmethod
    def of(cls, method: Method, device: torch.device | str) -> Baseline:
        """The registrar of a method's settings; it computes on the CPU."""
        parameters = dict(method.parameters)
        if method.parameter_files:
            parameters["files"] = list(method.parameter_files)
        return cls(get(method.kind), parameters, threads=method.threads, seed=method.seed)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair, as the module of the baseline says."""
        return Registration(self.run(fixed, moving, self.parameters, **self.options))
