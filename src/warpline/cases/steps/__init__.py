"""Preparation of canonical cases: a list of named steps, each a function of one case.

A step takes the case (`Case`) and the parameters that stand in the dataset's ``prepare`` list, and
returns a new case. A new step is one more function and its name in `warpline.plan.kinds.STEPS`.
A step's module is imported when the step is taken.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from warpline.errors import WarplineError
from warpline.plan.kinds import STEPS
from warpline.plan.recipe import Step
from warpline.registry import lookup, suggestion

if TYPE_CHECKING:
    from warpline.cases.case import Case


def prepare(case: Case, steps: Sequence[Step]) -> Case:
    """Apply the steps in order; each is a mapping with one key, the step's name.

    Raises
    ------
    WarplineError
        For an unknown step, for parameters that it does not take, or where a step fails.
    """
    for entry in steps:
        ((name, parameters),) = entry.items()
        where = "key 'prepare' of the dataset"
        function = lookup(name, STEPS, "preparation step", where=where)
        parameters = parameters or {}
        known = dict(list(inspect.signature(function).parameters.items())[1:])
        for key in parameters:
            if key not in known:
                raise WarplineError(
                    f"The preparation step '{name}' has no parameter '{key}'.",
                    where=where,
                    do=suggestion(key, known),
                )
        for key, parameter in known.items():
            if key not in parameters and parameter.default is parameter.empty:
                raise WarplineError(
                    f"The preparation step '{name}' needs the parameter '{key}'.", where=where
                )
        try:
            case = function(case, **parameters)
        except (TypeError, ValueError) as error:
            raise WarplineError(
                f"The preparation step '{name}' fails with {parameters}: {error}.",
                where=f"case {case.id}",
            ) from error
    return case
