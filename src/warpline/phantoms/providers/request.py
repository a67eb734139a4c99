"""What is asked of a phantom, and the opening of every provider's."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from warpline.acquire.dataset import Scan, scans_of
from warpline.errors import WarplineError
from warpline.plan.recipe import Parameters
from warpline.registry import suggestion


@dataclass(frozen=True)
class Phantom:
    """``phantom`` of a dataset file, and its ``scans``.

    Attributes
    ----------
    parameters
        Keyword arguments of the function that makes a scan, which says what there is.
    scans
        By patient; of raw volumes.
    """

    seed: int
    parameters: Parameters
    scans: Mapping[str, Scan]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Phantom:
        """From `warpline.plan.inputs.acquire.phantom_spec`."""
        return cls(spec["seed"], spec["parameters"], scans_of(spec["scans"]))

    def maker(self, function: Callable) -> Callable:
        """The function that makes a scan, with the parameters asked for.

        Raises
        ------
        WarplineError
            If one of them is none of its keyword arguments.
        """
        check_parameters(self.parameters, function)
        return partial(function, **self.parameters)

    def seed_of(self, name: str) -> tuple[int, int]:
        """From an id alone, so that a case or patient stays the same when the case sheet grows."""
        return self.seed, zlib.crc32(name.encode())


def check_parameters(parameters: Parameters, function: Callable) -> None:
    """Refuse parameters of a phantom that are no keyword arguments of what makes it."""
    known = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in parameters:
        if name not in known:
            raise WarplineError(
                f"The phantom has no parameter '{name}'.",
                where="key 'phantom.parameters' of the dataset file",
                do=suggestion(name, known),
            )
