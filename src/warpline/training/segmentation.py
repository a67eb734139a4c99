"""Training a segmenter on crops of cases that each have only some organs annotated.

Estienne et al. 2020, section 2, "Pretraining and Noisy Labels": datasets with different organs are
trained on together, with the Dice of the organs that each has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.plan.recipe import Recipe
from warpline.segmentation.windows import organ_numbers, segment
from warpline.training.augmentation import Augmentation
from warpline.training.card import moved
from warpline.training.losses import partial_dice
from warpline.training.material import Material
from warpline.training.room import KeptCases
from warpline.training.sampler import BlockSampler, HeldCases, crop

# What the random generators are for; each gets the seed, its purpose and its place.
ORDER, MIX, CROP, MOVE = range(4)


@dataclass(frozen=True)
class Sampling:
    """How examples are drawn; the keys of ``training.sampling`` in a recipe.

    Attributes
    ----------
    crop
        Side of a crop, voxels; also of the windows in validation. None: whole images, which then
        have one shape.
    crops
        Crops of each case in an epoch, drawn anew in every one.
    centred
        Share of crops whose middles lie in an annotated organ, each of those that the case has
        being as likely; the others' lie anywhere in the image. At its faces a crop is moved inside.
    in_memory
        Cases in memory at a time, among which a batch is mixed.
    """

    crop: int | None
    crops: int
    centred: float
    in_memory: int


@dataclass
class Batch:
    """Crops of several cases.

    Attributes
    ----------
    images
        (B, 1, n, n, n).
    labels
        (B, n, n, n) uint8, the numbers of the label maps.
    annotated
        (B, organs) bool, in the order of the network's organs.
    """

    images: torch.Tensor
    labels: torch.Tensor
    annotated: torch.Tensor


class SegmentationObjective:
    """The Dice of the organs that each case has annotated.

    An epoch takes the crops of all cases in the order of a `BlockSampler`.

    Parameters
    ----------
    training, validation
        Cases with label maps in the network's numbers, of any shape; validation may be empty.
    organs
        Numbers of the network's organs, by name, in the order of its channels.
    augmentation
        How each crop and its labels are moved in an epoch.
    """

    def __init__(
        self,
        training: Sequence[Case],
        validation: Sequence[Case],
        organs: Mapping[str, int],
        *,
        batch_size: int,
        sampling: Sampling,
        augmentation: Augmentation,
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
        self.training, self.validation = training, validation
        self.organs, self.names = tuple(organs.values()), tuple(organs)
        self.augmentation = augmentation
        self.batch_size, self.sampling, self.seed = batch_size, sampling, seed
        self.device = device
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self._cases = HeldCases(training)

    def batch(self, step: int) -> Batch:
        """The batch of a step, a function of the seed and the step alone."""
        epoch, _, members, chosen = self.sampler.batch(step)
        cases = self._cases.hold(members)
        parts = [
            self._crop(
                cases[place],
                np.random.default_rng((self.seed, CROP, epoch, int(members[place]), int(k))),
            )
            for place, k in chosen
        ]
        images, labels, annotated = (torch.stack(part) for part in zip(*parts, strict=True))
        images, labels = self.augmentation.of_each(
            [
                np.random.default_rng((self.seed, MOVE, epoch, int(members[place]), int(k)))
                for place, k in chosen
            ],
            moved(images[:, None], self.device),
            moved(labels, self.device),
        )
        return Batch(images, labels, annotated.to(self.device))

    def loss(
        self, network: nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """`warpline.training.losses.partial_dice` of the predicted organs; it has no parts."""
        found = network(batch.images)[:, 1:]
        target = torch.stack([batch.labels == number for number in self.organs], dim=1).float()
        return partial_dice(found, target, batch.annotated), {}

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Dice of whole validation cases: each organ's mean, their mean, and one minus that.

        An organ counts in the cases that have it annotated and drawn.
        """
        scores: dict[int, list[float]] = {number: [] for number in self.organs}
        for case in self.validation:
            known = self._known(case)
            found = segment(network, case.image, window=self.sampling.crop, device=self.device)
            for number in known:
                true, predicted = case.labels.array == number, found.array == number
                if true.any():
                    both = np.count_nonzero(true & predicted)
                    size = np.count_nonzero(true) + np.count_nonzero(predicted)
                    scores[number].append(2 * both / size)
        means = {number: float(np.mean(values)) for number, values in scores.items() if values}
        mean = float(np.mean(list(means.values())))
        names = dict(zip(self.organs, self.names, strict=True))
        named = {f"dice {names[number]}": value for number, value in means.items()}
        return {"loss": 1.0 - mean, "dice": mean, **named}

    def _known(self, case: Case) -> list[int]:
        """Those of the network's organs that a case has annotated."""
        known = [n for n in self.organs if case.annotated is None or n in case.annotated]
        if case.labels is None or not known:
            raise WarplineError(
                "None of the organs that the network is to segment is annotated in the case.",
                where=f"case {case.id}",
                do="Put 'harmonise' into the 'prepare' list of its dataset, or leave the case out.",
            )
        return known

    def _crop(
        self, case: Case, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image and labels (n, n, n) of a crop, and which organs are annotated, (organs,)."""
        shape = case.grid.shape
        known = self._known(case)
        flags = torch.tensor([number in known for number in self.organs])
        if self.sampling.crop is None:
            whole = case.image.array.astype(np.float32), case.labels.array.astype(np.uint8)
            return *(torch.from_numpy(array) for array in whole), flags
        middle = np.array([rng.integers(n) for n in shape])
        if rng.random() < self.sampling.centred:
            counts = np.bincount(case.labels.array.ravel(), minlength=max(self.organs) + 1)
            drawn = [number for number in known if counts[number]]
            if drawn:
                inside = np.flatnonzero(case.labels.array == rng.choice(drawn))
                chosen = inside[rng.integers(len(inside))]
                middle = np.array(np.unravel_index(chosen, shape))
        box = crop(middle, self.sampling.crop, shape)
        return (
            torch.from_numpy(case.image.array[box].astype(np.float32)),
            torch.from_numpy(case.labels.array[box].astype(np.uint8)),
            flags,
        )


def from_recipe(
    recipe: Recipe,
    network: nn.Module,
    material: Material,
    device: torch.device,
) -> SegmentationObjective:
    """The objective of a recipe with ``objective: segmentation``; see `objectives.build`.

    Validation takes each case of the pairs on its own. The network names its organs: `labels` are
    not used.

    Raises
    ------
    WarplineError
        If the recipe's loss is no Dice or the network segments no organs.
    """
    name = recipe["loss"].get("error", {}).get("name")
    if name != "dice":
        raise WarplineError(
            "A segmentation is trained on the Dice of the organs that each case has.",
            where="loss of the recipe",
            do="Write 'loss: {error: {name: dice}}'.",
        )
    if not hasattr(network, "organs"):
        raise WarplineError(
            f"The network '{recipe['network']['name']}' segments no organs.",
            where="training.objective, network.name of the recipe",
            do="Use estienne2020_segmenter or label_segmenter, or another objective.",
        )
    training, steps = recipe["training"], recipe.get("prepare", [])
    return SegmentationObjective(
        KeptCases(CaseFolders(material.folders, material.cases, steps), material.room),
        KeptCases(CaseFolders(material.folders, material.validation_cases, steps), material.room),
        dict(zip(network.organs, organ_numbers(network), strict=True)),
        batch_size=training["batch_size"],
        sampling=Sampling(**training["sampling"]),
        augmentation=Augmentation(**training["augmentation"]),
        seed=recipe["seed"],
        device=device,
    )
