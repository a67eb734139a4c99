"""Registration methods that need no training, one module each, imported when they are asked for.

Each module has ``register(fixed, moving, parameters, *, threads, seed) -> DisplacementField``:
`fixed` and `moving` are cases (`warpline.cases.case.Case`: ``id``, ``image``, an optional
``mask``), the field lies on the fixed grid, and the same input and seed give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from warpline.registry import lookup

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
