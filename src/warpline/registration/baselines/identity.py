"""No registration at all: the row that every other is judged against."""

from __future__ import annotations

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters


def register(
    fixed: Case, moving: Case, parameters: Parameters, *, threads: int, seed: int
) -> DisplacementField:
    """The field that moves nothing, on the fixed grid; it takes no parameters."""
    if parameters:
        raise WarplineError(
            "The identity takes no parameters.", where=f"parameters: {', '.join(parameters)}"
        )
    return DisplacementField.identity(fixed.image.grid)
