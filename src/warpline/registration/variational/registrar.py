"""The project's own method as one that registers pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warpline.cases.case import Case
from warpline.registration.registrar import Diagnostics, Registrar, Registration
from warpline.registration.variational.pipeline import register
from warpline.registration.variational.settings import Settings

if TYPE_CHECKING:
    from warpline.registration.method import Method


class VariationalRegistrar(Registrar):
    """Registers a pair without training; see `warpline.registration.variational`.

    Diagnostics are the values of `warpline.registration.variational.pipeline.Result`.
    """

    def __init__(self, settings: Settings, device: torch.device | str):
        self.settings, self.place = settings, torch.device(device)
        self.device = self.place.type

    @classmethod
    def of(cls, method: Method, device: torch.device | str) -> VariationalRegistrar:
        """The registrar of a method's settings, on a device."""
        return cls(Settings(**method.warpline), device)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair of cases; the log tells the seconds of each stage."""
        found = register(fixed, moving, self.settings, self.place, inverse=False)
        stages = ", ".join(f"{name} {s:.1f} s" for name, s in found.seconds.items())
        print(f"{stages}; confidence {found.values['confidence']:.2f}", flush=True)
        return Registration(found.field, Diagnostics(dict(found.values)))
