"""Displacement embeddings as a method that registers pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from warpline.cases.case import Case
from warpline.networks.weights import trained
from warpline.registration.embedding import pca
from warpline.registration.embedding.registration import register
from warpline.registration.embedding.settings import Settings
from warpline.registration.registrar import Diagnostics, Registrar, Registration

if TYPE_CHECKING:
    from warpline.registration.method import Method


class EmbeddingRegistrar(Registrar):
    """Registers a pair in a learned embedding of its displacement maps.

    Diagnostics are the share of keypoints that are `clipped`, and the arrays of
    `warpline.registration.embedding.registration.Diagnostics`.

    Parameters
    ----------
    features
        The network, in evaluation mode, on `device`.
    embedding
        Learned with the same network and settings.
    """

    warms_up = True

    def __init__(
        self, features: nn.Module, embedding: pca.Pca, settings: Settings, device: torch.device
    ):
        self.features, self.embedding, self.settings = features, embedding, settings
        self.place, self.device = device, device.type

    @classmethod
    def of(cls, method: Method, device: torch.device) -> EmbeddingRegistrar:
        """The registrar of a method's settings, on a device."""
        features = trained(method.network, method.weights, device)
        return cls(features, pca.load(method.embedding), Settings(**method.search), device)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair of cases with lung masks; the log tells the seconds of each stage."""
        field, told = register(
            fixed, moving, self.features, self.embedding, self.settings, self.place
        )
        stages = ", ".join(f"{name} {s:.1f} s" for name, s in told.seconds.items())
        print(f"{stages}; {told.clipped:.1%} of the keypoints clipped", flush=True)
        return Registration(field, Diagnostics({"clipped": told.clipped}, told.arrays()))
