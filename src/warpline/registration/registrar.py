"""The one interface of every way from a pair to a displacement field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image


@dataclass(frozen=True)
class Diagnostics:
    """What a registration says of itself, by name.

    Attributes
    ----------
    values
        Numbers of the pair.
    arrays
        Arrays of any shape, to be kept in one file.
    images
        On the fixed grid.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Registration:
    """The field of a pair, on the fixed grid, and what the registration says of itself."""

    field: DisplacementField
    diagnostics: Diagnostics = Diagnostics()


class Registrar(ABC):
    """A method that is ready to register pairs.

    Attributes
    ----------
    device
        Kind of the device that it computes on: ``cpu`` or ``cuda``.
    warms_up
        Whether its first registration takes longer than the others, for its set-up.
    uses_torch
        Whether it computes with torch, which takes two seconds to import.
    examines
        Whether `examine` has anything to tell.
    """

    device: str = "cpu"
    warms_up: bool = False
    uses_torch: bool = True
    examines: bool = False

    @abstractmethod
    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair.

        Raises
        ------
        WarplineError
            If the pair does not suit the method, or the method fails.
        """

    def examine(self, fixed: Case, moving: Case) -> Diagnostics:
        """Find out what is not part of a registration and counts in none's seconds or memory."""
        return Diagnostics()
