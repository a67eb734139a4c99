"""Methods of others that users would pick instead, one module each, imported when asked for.

Each module has ``register(fixed, moving, parameters, place, *, threads, seed)``, which returns the
field on the fixed grid and what the program says of its costs. All but `demons` run programs that
the project does not depend on, in a process of their own (`process`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.plan.recipe import Parameters
from warpline.plan.rivals import INCLUDED, PROGRAMS, missing
from warpline.registration.baselines.tools import check_finite, tool_run
from warpline.registration.registrar import Diagnostics, Registrar, Registration
from warpline.registry import lookup

if TYPE_CHECKING:
    import torch

    from warpline.registration.method import Method

KNOWN = {kind: f"warpline.registration.rivals.{kind}:register" for kind in (*INCLUDED, *PROGRAMS)}


class Rival(Registrar):
    """A method that another program computes.

    Parameters
    ----------
    kind
        One of `KNOWN`.
    run
        The `register` of its module.
    parameters, threads, seed
        What it is called with.
    """

    uses_torch = False

    def __init__(
        self, kind: str, run: Callable, parameters: Parameters, *, threads: int, seed: int
    ):
        self.kind, self.run, self.parameters = kind, run, parameters
        self.options = {"threads": threads, "seed": seed}

    @classmethod
    def of(cls, method: Method, device: torch.device | str) -> Rival:
        """The registrar of a method's settings.

        Raises
        ------
        WarplineError
            If the program or its weights are not there.
        """
        reason = missing({"kind": method.kind, "parameters": method.parameters})
        if reason:
            raise WarplineError(
                f"A method of kind '{method.kind}' cannot run here: {reason}",
                do="Install what is missing, or leave the method out.",
            )
        run = lookup(method.kind, KNOWN, "rival")
        return cls(method.kind, run, method.parameters, threads=method.threads, seed=method.seed)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair, as the module of the rival says.

        Where the program runs in a process of its own, the seconds and the memory are that
        process' own, without its start, which is told beside them as ``start_up``.
        """
        for name, case in (("fixed", fixed), ("moving", moving)):
            check_finite(self.kind, f"{name} {case.id}", case.image)
        with tool_run(self.kind, fixed.id, moving.id) as place:
            field, costs = self.run(fixed, moving, self.parameters, place, **self.options)
        return Registration(field, Diagnostics(values=costs))


def settings(parameters: Parameters, known: tuple[str, ...], kind: str) -> dict:
    """A rival's parameters, all of which its file must say.

    Raises
    ------
    WarplineError
        If one is unknown or missing.
    """
    unknown = sorted(set(parameters) - set(known))
    absent = sorted(set(known) - set(parameters))
    if unknown or absent:
        raise WarplineError(
            f"A method of kind '{kind}' has the parameters {', '.join(known)}.",
            where="parameters: " + ", ".join([*unknown, *(f"no {name}" for name in absent)]),
        )
    return dict(parameters)
