"""What rules ask with: functions of a job's wildcards, as Snakemake takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.io import temp

from warpline.errors import WarplineError
from warpline.plan.run import Run


def asking(run: Run) -> Callable[..., Callable[[Any], Any]]:
    """The function ``ask`` of a run's rules."""

    def ask(question: Callable[..., Any], **known: Any) -> Callable[[Any], Any]:
        """What a function of warpline.plan.inputs answers to wildcards, and what is known."""
        names = [*inspect.signature(question).parameters][1:]

        def answer(wildcards: Any) -> Any:
            try:
                return question(run, *(known[n] if n in known else wildcards[n] for n in names))
            except WarplineError as error:
                raise WorkflowError(str(error)) from None

        return answer

    return ask


def passing(output: Any, *, stays: bool) -> Any:
    """An output that goes when all that asked for it is made, if it does not stay."""
    return output if stays else temp(output)


def growing(
    amount: float | Callable[[Any], float], most: Callable[[], float] | None = None
) -> Callable[..., float]:
    """A resource of which a job that failed is given more, where a profile lets jobs be retried.

    `most`: beyond that it does not grow; no node would have it.
    """
    given = amount if callable(amount) else lambda wildcards: amount

    def asked(wildcards: Any, attempt: int) -> float:
        first = given(wildcards)
        return attempt * first if most is None else min(attempt * first, max(first, most()))

    return asked
