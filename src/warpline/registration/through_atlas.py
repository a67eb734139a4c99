"""The field of any pair by way of an atlas; Bouabid et al. 2019, section 4.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from warpline.cases.case import Case, read_case
from warpline.cases.steps import prepare
from warpline.fields import algebra
from warpline.fields.physical import DisplacementField
from warpline.networks import RegistrationNetwork
from warpline.networks.weights import trained
from warpline.plan.recipe import Step
from warpline.registration.network import predict
from warpline.registration.own_grid import on_own_grid
from warpline.registration.registrar import Registrar, Registration

if TYPE_CHECKING:
    from warpline.registration.method import Method


class AtlasRegistrar(Registrar):
    """A network trained to register to an atlas, which registers any pair through it.

    Parameters
    ----------
    network
        In evaluation mode, on `device`.
    atlas
        As the network's training saw it, apart from `steps`.
    steps
        Of the recipe's own preparation, see `warpline.registration.own_grid`.
    """

    warms_up = True

    def __init__(
        self,
        network: RegistrationNetwork,
        device: torch.device,
        atlas: Case,
        steps: Sequence[Step] = (),
    ):
        self.device = device.type
        atlas = prepare(atlas, steps)
        self._register = on_own_grid(
            lambda fixed, moving: predict_through_atlas(network, fixed, moving, atlas, device),
            steps,
        )

    @classmethod
    def of(cls, method: Method, device: torch.device) -> AtlasRegistrar:
        """The registrar of a method's settings, on a device."""
        atlas, steps = read_case(method.atlas), method.network.steps
        return cls(trained(method.network, method.weights, device), device, atlas, steps)

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair; see `predict_through_atlas`."""
        return Registration(self._register(fixed, moving))


def predict_through_atlas(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    atlas: Case,
    device: torch.device | str = "cpu",
) -> DisplacementField:
    """The field of any pair by way of an atlas, on the fixed grid.

    The network registers both cases to the atlas, ``A = S∘φ_S = T∘φ_T`` for the moving image S and
    the fixed image T; then ``T ≈ S∘φ_S∘φ_T⁻¹``. A `RuntimeWarning` tells of a ``φ_T`` that folds
    and so has no inverse everywhere. Source: Bouabid et al. 2019, section 4.4.

    Raises
    ------
    WarplineError
        If the shapes differ.
    """
    to_fixed = predict(network, atlas, fixed, device)
    to_moving = predict(network, atlas, moving, device)
    # Between indices: the scans may lie anywhere in their scanners' frames.
    inverse = algebra.invert(to_fixed.to_voxel(fixed.grid)).displacement
    return to_moving.compose(DisplacementField.from_voxel(inverse, fixed.grid, atlas.grid))
