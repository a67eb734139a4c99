"""From a trained network and a pair to a displacement field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.consistency import inverse_consistency
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image
from warpline.images.resample import resample_to
from warpline.networks import RegistrationNetwork, padding_to
from warpline.networks.weights import trained
from warpline.plan.recipe import Step
from warpline.registration.own_grid import on_own_grid, prepare_pair
from warpline.registration.registrar import Diagnostics, Registrar, Registration

if TYPE_CHECKING:
    from warpline.registration.method import Method


class NetworkRegistrar(Registrar):
    """A trained network that registers a pair directly.

    `examine` gives, of a network of velocities, the `inverse_consistency` in mm, and with `samples`
    the image `spread`, see the function of this name.

    Parameters
    ----------
    network
        In evaluation mode, on `device`.
    steps
        Of the recipe's own preparation, see `warpline.registration.own_grid`.
    aligned
        Whether an initial registration has moved the moving case.
    samples, seed
        See `spread`.
    """

    warms_up = True

    def __init__(
        self,
        network: RegistrationNetwork,
        device: torch.device,
        steps: Sequence[Step] = (),
        *,
        aligned: bool = False,
        samples: int | None = None,
        seed: int = 0,
    ):
        self.network, self.place, self.device = network, device, device.type
        self.steps, self.aligned = steps, aligned
        self.samples, self.seed = samples, seed
        self.examines = network.invertible
        self._register = on_own_grid(
            lambda fixed, moving: predict(network, fixed, moving, device), steps, aligned=aligned
        )

    @classmethod
    def of(cls, method: Method, device: torch.device) -> NetworkRegistrar:
        """The registrar of a method's settings, on a device."""
        return cls(
            trained(method.network, method.weights, device),
            device,
            method.network.steps,
            aligned=method.aligned,
            samples=method.samples,
            seed=method.seed,
        )

    def register(self, fixed: Case, moving: Case) -> Registration:
        """Register a pair; where there are no steps, of one shape or voxels of one size."""
        return Registration(self._register(fixed, moving))

    def examine(self, fixed: Case, moving: Case) -> Diagnostics:
        """Compare both directions, and draw the map of the spread if samples are asked for."""
        own = prepare_pair(fixed, moving, self.steps, aligned=self.aligned)
        both = predict_both(self.network, *own, self.place)
        values, images = {"inverse_consistency": inverse_consistency(*both)}, {}
        if self.samples:
            deviation = spread(self.network, *own, self.samples, self.seed, self.place)
            images["spread"] = resample_to(deviation, fixed.grid) if self.steps else deviation
        return Diagnostics(values, images=images)


@torch.no_grad()
def predict(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    device: torch.device | str = "cpu",
    precision: str = "single",
) -> DisplacementField:
    """The field of a pair, on the fixed grid.

    The images are padded at their ends, to one shape and a multiple of the network's stride, and
    the field is cut back.

    Raises
    ------
    WarplineError
        If the shapes differ, and the voxels' sizes too.
    """
    images = _padded(network, fixed, moving, device)
    device = torch.device(device)
    enabled = precision != "single"
    dtype = getattr(torch, precision) if enabled else None
    with torch.autocast(device.type, dtype=dtype, enabled=enabled):
        displacement = network(*images).displacement
    return _field(displacement, fixed, moving)


@torch.no_grad()
def predict_both(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    device: torch.device | str = "cpu",
) -> tuple[DisplacementField, DisplacementField]:
    """The fields of both directions, from one pass of the network where it can.

    Returns
    -------
    forward, backward
        From fixed to moving points on the fixed grid, as `predict` gives it, and from moving to
        fixed points on the moving grid.

    Raises
    ------
    WarplineError
        As `predict`.
    """
    forward, backward = network.predict_directions(*_padded(network, fixed, moving, device))
    return (
        _field(forward.displacement, fixed, moving),
        _field(backward.displacement, moving, fixed),
    )


@torch.no_grad()
def spread(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    samples: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Image:
    """How uncertain a network that predicts a `Velocity` is of a pair's field.

    Velocities are drawn and integrated; at every voxel of the fixed grid the root of the sum, over
    the three axes, of the variances of the displacement is the spread, in mm.

    Parameters
    ----------
    samples
        How many are drawn, at least two. The network's convolutions run only once.
    seed
        Of the draws, the same for every pair.

    Raises
    ------
    WarplineError
        As `predict`.
    """
    velocity = network.velocity(*_padded(network, fixed, moving, device))
    mean, squares = np.zeros((*fixed.grid.shape, 3)), np.zeros(fixed.grid.shape)
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for count in range(1, samples + 1):
            displacement = network.transformation(velocity.draw())
            vectors = _field(displacement, fixed, moving).vectors
            away = vectors - mean
            mean += away / count  # Welford's update: no difference of large numbers
            squares += (away * (vectors - mean)).sum(axis=-1)
    deviation = np.sqrt(squares / (samples - 1))
    return Image(deviation.astype(np.float32), fixed.grid)


def _padded(
    network: RegistrationNetwork, fixed: Case, moving: Case, device: torch.device | str
) -> list[torch.Tensor]:
    """The moving and the fixed image, padded at their ends to one multiple of the stride."""
    least = [max(sizes) for sizes in zip(fixed.grid.shape, moving.grid.shape, strict=True)]
    # Voxels of one size lie apart as the network learned it, however many there are of them; cubes
    # that images were stretched to must be those that it learned from.
    if fixed.grid.shape != moving.grid.shape and not np.allclose(
        fixed.grid.spacing, moving.grid.spacing, rtol=1e-3
    ):
        raise WarplineError(
            f"The images differ in shape, {fixed.grid.shape} and {moving.grid.shape}, and in the "
            f"size of their voxels.",
            where=f"pair {fixed.id}, {moving.id}",
            do="Let the dataset's 'prepare' list have a 'resample' step, or end with 'pad_crop'.",
        )
    return [
        F.pad(
            torch.from_numpy(case.image.array).float().to(device)[None, None],
            padding_to(case.grid.shape, network.stride, least),
        )
        for case in (moving, fixed)
    ]


def _field(displacement: torch.Tensor, fixed: Case, moving: Case) -> DisplacementField:
    """The field of a voxel displacement, without the padding."""
    z, y, x = fixed.grid.shape
    cut = displacement[:, :, :z, :y, :x].float().cpu()
    return DisplacementField.from_voxel(cut, fixed.grid, moving.grid)
