"""The project's own method as one that registers pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from warpline.cases.case import Case
from warpline.networks.weights import trained
from warpline.registration.registrar import Diagnostics, Registrar, Registration
from warpline.registration.variational.labels import Segmenter
from warpline.registration.variational.pipeline import register
from warpline.registration.variational.settings import Settings

if TYPE_CHECKING:
    from warpline.registration.method import Method


class VariationalRegistrar(Registrar):
    """Registers a pair without training; see `warpline.registration.variational`.

    Diagnostics are the values of `warpline.registration.variational.pipeline.Result`.

    Parameters
    ----------
    segmenter
        Whose probabilities of both cases are compared beside the images; its seconds count.
    """

    def __init__(
        self, settings: Settings, device: torch.device | str, segmenter: Segmenter | None = None
    ):
        self.settings, self.place = settings, torch.device(device)
        self.segmenter = segmenter
        self.device = self.place.type

    @classmethod
    def of(cls, method: Method, device: torch.device | str) -> VariationalRegistrar:
        """The registrar of a method's settings, on a device."""
        segmenter, place = None, torch.device(device)
        if method.network is not None:
            network = trained(method.network, method.weights, place)
            segmenter = Segmenter(network, method.window, method.network.steps, place)
        return cls(Settings(**method.warpline), place, segmenter)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair of cases; the log tells the seconds of each stage."""
        labels = None
        if self.segmenter is not None:
            labels = self.segmenter(fixed), self.segmenter(moving)
        found = register(
            fixed, moving, self.settings, self.place, inverse=False, probabilities=labels
        )
        stages = ", ".join(f"{name} {s:.1f} s" for name, s in found.seconds.items())
        print(f"{stages}; confidence {found.values['confidence']:.2f}", flush=True)
        return Registration(found.field, Diagnostics(dict(found.values)))
