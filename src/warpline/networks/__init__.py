"""Registration networks, one file a network; a recipe names the file.

A network file defines ``Network``, a `RegistrationNetwork`. Nothing else has to change for a new
one: the recipe's ``network.name`` is the module's name, ``network.parameters`` its arguments. The
file lies here, or beside its recipe in a folder of one's own.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from warpline.errors import WarplineError
from warpline.plan.recipe import Parameters
from warpline.registry import network_folders, suggestion

# Those of a folder of one's own are found beside these.
__path__ += network_folders()


@dataclass
class Velocity:
    """A normal distribution of stationary velocity fields, every number of its own variance.

    Attributes
    ----------
    mean, log_variance
        (B, 3, z, y, x) on the grid where the velocity is integrated, which may be coarser than the
        images': the mean in voxels of that grid per unit time, and the natural logarithm of the
        variance in those voxels squared.
    """

    mean: torch.Tensor
    log_variance: torch.Tensor

    def draw(self) -> torch.Tensor:
        """One velocity field, by torch's own random numbers; gradients reach both parameters."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


@dataclass
class Prediction:
    """What a network says of one direction, moving → fixed.

    Attributes
    ----------
    displacements
        Voxel displacements (B, 3, z, y, x), coarse to fine; the last is the answer, the others
        serve deep supervision. All are at full resolution.
    gradients
        Spatial gradients of the last transformation along its own axes, in units where 0.5 is the
        identity, (B, 3, z, y, x); None for networks that do not predict gradients.
    velocity
        The distribution that the last displacement is drawn from, or whose mean it integrates;
        None for networks that do not predict one.
    """

    displacements: list[torch.Tensor]
    gradients: torch.Tensor | None = None
    velocity: Velocity | None = None

    @property
    def displacement(self) -> torch.Tensor:
        """The field to use."""
        return self.displacements[-1]


class RegistrationNetwork(nn.Module):
    """Base of all registration networks.

    Attributes
    ----------
    stride
        The input's size must be a multiple of it along every axis; `register` pads and crops.
    invertible
        Whether the network draws or integrates a `Velocity`: the backward field that
        `predict_directions` gives is then the inverse of the forward one. Such a network has the
        methods ``velocity`` and ``transformation``, see `warpline.networks.hu2020`.
    """

    stride: int = 1
    invertible: bool = False

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> Prediction:
        """Predict the field that warps `moving` onto `fixed`, both (B, C, z, y, x)."""
        return self.predict_directions(moving, fixed, backward=False)[0]

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """What the network, and a similarity, make of an image (B, 1, z, y, x); as it is here."""
        return image

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """Both directions; a network that can share work between them overrides this."""
        raise TypeError(f"{type(self).__name__} must define 'predict_directions'")


def names() -> list[str]:
    """The networks there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(name: str, parameters: Parameters) -> RegistrationNetwork:
    """Build a network by the name of its module.

    Raises
    ------
    WarplineError
        If there is no such network, or it does not take these parameters.
    """
    if name not in names():
        raise WarplineError(
            f"There is no network '{name}'.",
            where="network.name of the recipe",
            do=suggestion(name, names()),
        )
    network = importlib.import_module(f"warpline.networks.{name}").Network
    try:
        built = network(**parameters)
    except TypeError as error:
        raise WarplineError(
            f"The network '{name}' does not take these parameters: {error}.",
            where="network.parameters of the recipe",
        ) from error
    # Convolutions are faster in this layout; it changes nothing else.
    return built.to(memory_format=torch.channels_last_3d)


def padding_to(shape: Sequence[int], stride: int, least: Sequence[int]) -> list[int]:
    """Widths for `torch.nn.functional.pad`: (z, y, x) at its ends to the smallest multiples of
    `stride` that are not below `least`, which is not below the shape."""
    return [
        n
        for size, at_least in zip(reversed(shape), reversed(least), strict=True)
        for n in (0, at_least + -at_least % stride - size)
    ]


def check_size(network: RegistrationNetwork, shape: tuple[int, ...]) -> None:
    """Refuse a grid that the network reduces to nothing, before any step is taken.

    Raises
    ------
    WarplineError
        If every axis, padded to a multiple of the stride, would have one voxel at the coarsest
        level: instance normalisation has nothing to normalise there.
    """
    coarse = [-(-size // network.stride) for size in shape]
    if max(coarse) < 2:
        raise WarplineError(
            f"The grid {tuple(shape)} is too small for the network: it halves each axis down by "
            f"{network.stride}, to {tuple(coarse)}.",
            where="pad_crop of the dataset, network.parameters of the recipe",
            do="Use a larger grid or fewer levels.",
        )


def parameter_count(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
