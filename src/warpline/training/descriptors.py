"""Training a feature network to predict MIND-SSC from crops of single images.

Hansen & Heinrich 2020, section 3: the feature extractor is "pretrained to predict MIND-like
descriptors".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from warpline.cases.case import Case
from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.plan.recipe import Recipe
from warpline.registration.embedding.descriptors import pooled_mind_ssc
from warpline.training.card import moved
from warpline.training.distributed import mean_of
from warpline.training.material import Material
from warpline.training.room import KeptCases
from warpline.training.sampler import BlockSampler, HeldCases, crop

ERRORS = {"mse": F.mse_loss, "mae": F.l1_loss}
# What the random generators are for; each gets the seed, its purpose and its place.
ORDER, MIX, CROP, VALIDATION = range(4)


@dataclass(frozen=True)
class Sampling:
    """How examples are drawn; the keys of ``training.sampling`` in a recipe.

    Attributes
    ----------
    crop
        Side of a crop, voxels, even.
    crops
        Crops of each case in an epoch, drawn anew in every one. Their middles lie in the case's
        mask, or anywhere in the image where there is none; at its faces a crop is moved inside.
    validation_crops
        Crops of each validation case; always the same, kept in memory.
    in_memory
        Cases in memory at a time, among which a batch is mixed.
    radius, dilation
        Of the descriptor, see `warpline.registration.embedding.descriptors.mind_ssc`.
    """

    crop: int
    crops: int
    validation_crops: int
    in_memory: int
    radius: int
    dilation: int


@dataclass
class Batch:
    """Crops (B, 1, n, n, n) and their descriptors (B, 12, n/2, n/2, n/2)."""

    images: torch.Tensor
    targets: torch.Tensor


class DescriptorObjective:
    """The error of descriptors predicted for random crops.

    An epoch takes the crops of all cases in the order of a `BlockSampler`.

    Parameters
    ----------
    training, validation
        Cases, of any shape; validation may be empty.
    error
        ``name``: ``mse`` or ``mae``; further keys go to the function.
    """

    def __init__(
        self,
        training: Sequence[Case],
        validation: Sequence[Case],
        *,
        error: Mapping[str, Any],
        batch_size: int,
        sampling: Sampling,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self.sampler = BlockSampler(
            len(training),
            sampling.crops,
            in_memory=sampling.in_memory,
            batch_size=batch_size,
            seed=seed,
            purposes=(ORDER, MIX),
        )
        arguments = dict(error)
        name = arguments.pop("name")
        if name not in ERRORS:
            raise WarplineError(
                f"There is no error '{name}' of descriptors.",
                where="loss.error.name of the recipe",
                do=f"Write one of: {', '.join(ERRORS)}.",
            )
        if sampling.crop < 2 or sampling.crop % 2:
            raise WarplineError(
                f"Crops of {sampling.crop} voxels cannot be halved.",
                where="training.sampling.crop of the recipe",
                do="Give an even number; a multiple of 8 saves the network filling up.",
            )
        self.training, self.validation = training, validation
        self.error, self.arguments = ERRORS[name], arguments
        self.batch_size, self.sampling, self.seed = batch_size, sampling, seed
        self.device = device
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self._cases = HeldCases(training)
        self._validation: list[Batch] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step, a function of the seed and the step alone."""
        epoch, _, members, chosen = self.sampler.batch(step)
        cases = self._cases.hold(members)
        return self._batch(
            [
                self._crop(cases[place], (self.seed, CROP, epoch, int(members[place]), int(k)))
                for place, k in chosen
            ]
        )

    def loss(
        self, network: nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean error of the predicted descriptors; it has no parts."""
        # In single precision, whatever the network computes in.
        found = network.features(batch.images).float()
        return mean_of(self.error(found, batch.targets, **self.arguments), len(found)), {}

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """The error over fixed crops of the validation cases."""
        if self._validation is None:
            self._validation = [
                self._batch(
                    [
                        self._crop(case, (self.seed, VALIDATION, i, k))
                        for k in range(self.sampling.validation_crops)
                    ]
                )
                for i, case in enumerate(self.validation)
            ]
        values = [float(self.loss(network, batch)[0]) for batch in self._validation]
        return {"loss": float(np.mean(values))}

    def _crop(self, case: Case, seed: tuple[int, ...]) -> torch.Tensor:
        """A crop (n, n, n) with its middle in the mask."""
        shape = case.grid.shape
        rng = np.random.default_rng(seed)
        inside = None if case.mask is None else np.flatnonzero(case.mask.array)
        if inside is None or not len(inside):
            middle = np.array([rng.integers(n) for n in shape])
        else:
            middle = np.array(np.unravel_index(inside[rng.integers(len(inside))], shape))
        box = crop(middle, self.sampling.crop, shape)
        return torch.from_numpy(case.image.array[box].astype(np.float32))

    def _batch(self, crops: list[torch.Tensor]) -> Batch:
        images = moved(torch.stack(crops)[:, None], self.device)
        sampling = self.sampling
        return Batch(images, pooled_mind_ssc(images, sampling.radius, sampling.dilation))


def from_recipe(
    recipe: Recipe,
    network: nn.Module,
    material: Material,
    device: torch.device,
) -> DescriptorObjective:
    """The objective of a recipe with ``objective: descriptors``; see `objectives.build`.

    Validation takes each case of the pairs on its own; labels are not used.

    Raises
    ------
    WarplineError
        If the recipe has no ``loss.error`` or the network predicts no features.
    """
    if "error" not in recipe["loss"]:
        raise WarplineError(
            "Training on descriptors needs the error that it is to lower.",
            where="loss of the recipe",
            do="Write 'loss: {error: {name: mse}}'.",
        )
    if not hasattr(network, "features"):
        raise WarplineError(
            f"The network '{recipe['network']['name']}' predicts no features of a single image.",
            where="training.objective, network.name of the recipe",
            do="Use the network hansen2020, or 'objective: registration'.",
        )
    training, steps = recipe["training"], recipe.get("prepare", [])
    return DescriptorObjective(
        KeptCases(CaseFolders(material.folders, material.cases, steps), material.room),
        KeptCases(CaseFolders(material.folders, material.validation_cases, steps), material.room),
        error=recipe["loss"]["error"],
        batch_size=training["batch_size"],
        sampling=Sampling(**training["sampling"]),
        seed=recipe["seed"],
        device=device,
    )
