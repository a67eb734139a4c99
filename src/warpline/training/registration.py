"""What a registration network is trained for: similarity, regularity, overlap, landmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.fields.sampling import warp
from warpline.networks import RegistrationNetwork, check_size
from warpline.plan.pairs import ATLAS, MEMBER, Pair
from warpline.plan.recipe import Recipe
from warpline.training.augmentation import Augmentation
from warpline.training.budget import step_cost
from warpline.training.card import keeps_data, moved
from warpline.training.data import CaseMemory, PairedCases, check_landmarks, place_of, size_of
from warpline.training.material import Material
from warpline.training.registration_loss import Batch, RegistrationLoss


class RegistrationObjective:
    """Pairs of cases, random, given or all with an atlas, and their `RegistrationLoss`.

    Parameters
    ----------
    training, validation
        Cases in memory; validation may be None.
    validation_pairs
        (fixed, moving) case ids.
    loss, symmetric, masked
        See `RegistrationLoss`.
    atlas
        Id of the training case that is the fixed image of every pair; the other training cases
        move.
    pairs
        (fixed, moving) ids of training cases, the only pairs to learn from. Random pairs where
        neither these nor an atlas are given.
    within
        Of random pairs: ``member`` for cases of the same member of a dataset that is made of others
        alone; a case without another one there takes no part.
    measure
        What validation measures: the ``loss`` of training, or that of the ``answer`` alone, see
        `RegistrationLoss.of_answer`.
    crop
        (z, y, x) voxels that a batch is cut to, both images at one random place; everything where
        not given.
    device
        Where batches are put; where the training cases are, if not given.
    """

    def __init__(
        self,
        training: CaseMemory,
        validation: CaseMemory | None,
        validation_pairs: Sequence[tuple[str, str]],
        *,
        loss: Mapping[str, Mapping[str, Any]],
        batch_size: int,
        symmetric: bool,
        augmentation: Augmentation,
        masked: bool,
        seed: int,
        atlas: str | None = None,
        pairs: Sequence[Pair] | None = None,
        within: str | None = None,
        crop: Sequence[int] | None = None,
        device: torch.device | str | None = None,
        measure: str = "loss",
    ):
        if len(training) < 2:
            raise WarplineError(
                "One case makes no pair.", do="Give the training split at least two cases."
            )
        self.training, self.validation = training, validation
        self.validation_pairs = list(validation_pairs)
        self.criterion = RegistrationLoss(loss, symmetric=symmetric, masked=masked)
        self.weights, self.batch_size = self.criterion.weights, batch_size
        self.augmentation, self.seed = augmentation, seed
        self.crop, self.device = crop, device or training.images.device
        self.measure = measure
        self.atlas = None if atlas is None else training.index[atlas]
        self.pairs = None
        # What an epoch goes through: the cases that move, or the pairs.
        self.drawn = np.array([i for i in range(len(training)) if i != self.atlas])
        self.partners = _partners(training.ids, within)
        if self.atlas is None:
            self.drawn = self.drawn[[len(self.partners[i]) > 1 for i in self.drawn]]
        if not len(self.drawn):
            raise WarplineError(
                "No member of the dataset has two training cases to make a pair of.",
                where="training.within of the recipe",
                do="Give the members more cases, or leave it out.",
            )
        if pairs is not None:
            self.pairs = np.array(
                [[training.index[moving], training.index[fixed]] for fixed, moving in pairs]
            )
            self.drawn = np.arange(len(self.pairs))
        if self.weights["dice"] and training.one_hot([0]) is None:
            raise WarplineError(
                "The recipe weighs label overlap, but not every training case has a label map.",
                where="loss.dice of the recipe",
                do="Set its weight to 0 or use a dataset with labels.",
            )
        if self.weights["dice"] and not (
            self.criterion.arguments["dice"].get("squared", True) or training.annotated.all()
        ):
            raise WarplineError(
                "Where cases have only some labels annotated, overlap is measured with squares in "
                "its denominator.",
                where="loss.dice.squared of the recipe",
                do="Leave it out.",
            )
        if self.weights["landmarks"]:
            if augmentation.moves or crop is not None:
                raise WarplineError(
                    "Augmentation and crops of a recipe move images and labels, but no landmarks.",
                    where="training.augmentation, training.crop and loss.landmarks of the recipe",
                    do="Leave one of them out.",
                )
            check_landmarks(training, self._possible_pairs())
            if validation is not None:
                index = validation.index
                check_landmarks(validation, [(index[f], index[m]) for f, m in validation_pairs])

    @property
    def steps_per_epoch(self) -> int:
        """One epoch uses each training case once as the moving image, or each given pair once.

        Where there are fewer than a batch has pairs, it takes them again, with other partners.
        """
        return max(1, len(self.drawn) // self.batch_size)

    def batch(self, step: int) -> Batch:
        """The batch of a step; a function of the seed and the step alone."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(self.drawn)
        order = np.resize(order, max(len(order), self.batch_size))
        rng = np.random.default_rng([self.seed, 1, step])
        start = within * self.batch_size
        moving = order[start : start + self.batch_size]
        if self.pairs is not None:
            moving, fixed = self.pairs[moving].T
        elif self.atlas is None:
            fixed = self._partners_of(moving, rng)
        else:
            fixed = np.full(len(moving), self.atlas)
        indices = [*moving, *fixed]
        box = self._box(rng)
        images = moved(self.training.images[indices][(..., *box)], self.device)
        labels, annotated = None, None
        if self.weights["dice"]:
            labels = self.training.one_hot(indices, box, self.device)
            annotated = self._annotated(self.training, fixed, moving)
        images, labels = self.augmentation(rng, images, labels, len(moving))
        count = len(moving)
        parts = (None, None) if labels is None else (labels[:count], labels[count:])
        landmarks = self._landmarks(self.training, zip(fixed, moving, strict=True))
        return Batch(images[:count], images[count:], *parts, landmarks, annotated)

    def _partners_of(self, moving: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random case for each moving one, of those that it may be paired with."""
        groups = [self.partners[i] for i in moving]
        # A shift by 1 … n−1 makes every other case equally likely and a self-pair impossible.
        shift = rng.integers(1, [len(group) for group in groups])
        return np.array(
            [
                group[(np.searchsorted(group, i) + s) % len(group)]
                for group, i, s in zip(groups, moving, shift, strict=True)
            ]
        )

    def _box(self, rng: np.random.Generator) -> tuple[slice, ...]:
        """Slices (z, y, x) of a crop at a random place."""
        if self.crop is None:
            return ()
        sizes = zip(self.training.shape, self.crop, strict=True)
        starts = [(int(rng.integers(n - c + 1)), c) for n, c in sizes]
        return tuple(slice(start, start + c) for start, c in starts)

    def _annotated(
        self, memory: CaseMemory, fixed: Sequence[int], moving: Sequence[int]
    ) -> torch.Tensor | None:
        """(B, labels): what both cases of each pair have annotated; None for everything."""
        both = memory.annotated[list(fixed)] & memory.annotated[list(moving)]
        return None if both.all() else both.to(self.device)

    def _landmarks(
        self, memory: CaseMemory, pairs: Iterable[tuple[int, int]]
    ) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
        """Of (fixed, moving) cases, if the recipe weighs them."""
        if not self.weights["landmarks"]:
            return None
        return [
            tuple(part.to(self.device) for part in memory.shared_landmarks(fixed, moving))
            for fixed, moving in pairs
        ]

    def _possible_pairs(self) -> Iterable[tuple[int, int]]:
        """All pairs that a batch may hold, in either order."""
        if self.pairs is not None:
            return self.pairs.tolist()
        if self.atlas is not None:
            return [(self.atlas, int(moving)) for moving in self.drawn]
        every = combinations(range(len(self.training)), 2)
        return [(i, j) for i, j in every if self.partners[i] is self.partners[j]]

    def loss(
        self, network: RegistrationNetwork, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss to minimise, and its parts for the record; see `RegistrationLoss`."""
        return self.criterion(network, batch)

    @torch.no_grad()
    def validate(self, network: RegistrationNetwork) -> dict[str, float]:
        """Mean loss and, with labels, mean Dice of warped label maps over the validation pairs."""
        memory = self.validation
        values: dict[str, list[float]] = {"loss": []}
        for fixed_id, moving_id in self.validation_pairs:
            fixed, moving = memory.index[fixed_id], memory.index[moving_id]
            labels = memory.one_hot([moving, fixed], device=self.device)
            parts = (None, None) if labels is None else (labels[:1], labels[1:])
            if not self.weights["dice"]:
                parts = (None, None)
            landmarks = self._landmarks(memory, [(fixed, moving)])
            images = moved(memory.images[[moving, fixed]], self.device)
            annotated = self._annotated(memory, [fixed], [moving])
            batch = Batch(images[:1], images[1:], *parts, landmarks, annotated)
            if self.measure == "answer":
                loss, answer = self.criterion.of_answer(network, batch)
            else:
                loss, answer = self.loss(network, batch)[0], None
            values["loss"].append(float(loss))
            if labels is not None:
                answer = answer or network(batch.moving, batch.fixed)
                field = answer.displacement.float()
                warped = warp(labels[:1], field, mode="nearest")
                overlap = 2 * (warped * labels[1:]).sum((0, 2, 3, 4))
                size = (warped + labels[1:]).sum((0, 2, 3, 4))
                dice = overlap / size.clamp_min(1)
                if annotated is None or annotated.any():
                    known = dice if annotated is None else dice[annotated[0]]
                    values.setdefault("dice", []).append(float(known.mean()))
        return {name: float(np.mean(v)) for name, v in values.items()}


def _partners(ids: Sequence[str], within: str | None) -> list[np.ndarray]:
    """Of each case, the numbers of those that it may be paired with, itself included; rising."""
    groups: dict[str, list[int]] = {}
    names = [case.partition(MEMBER)[0] if within == "member" else "" for case in ids]
    for number, name in enumerate(names):
        groups.setdefault(name, []).append(number)
    arrays = {name: np.array(numbers) for name, numbers in groups.items()}
    return [arrays[name] for name in names]


def from_recipe(
    recipe: Recipe,
    network: RegistrationNetwork,
    material: Material,
    device: torch.device,
) -> RegistrationObjective:
    """The objective of a recipe with ``objective: registration``; see `objectives.build`.

    Raises
    ------
    WarplineError
        If the cases differ in shape or are too small for the network, or as the objective does.
    """
    training, steps = recipe["training"], recipe.get("prepare", [])
    given, watched_pairs, labels = material.pairs, material.validation, material.labels
    if given is not None and recipe["initial"]:
        learned = PairedCases(material.folders, given, material.initial, steps)
        watched = PairedCases(material.folders, watched_pairs, material.initial, steps)
        given, watched_pairs = learned.pairs, watched.pairs
    else:
        learned = CaseFolders(material.folders, material.cases, steps)
        watched = CaseFolders(material.folders, material.validation_cases, steps)
    landmarks = recipe["loss"].get("landmarks", {}).get("weight", 0) > 0

    keep = keeps_data(
        training.get("memory", "auto"),
        torch.device(device),
        lambda: sum(size_of(cases, network.stride) for cases in (learned, watched)),
        lambda: step_cost(recipe, training.get("crop") or learned[0].grid.shape, len(labels)).bytes,
    )

    def kept(cases: CaseFolders | PairedCases) -> CaseMemory:
        place = place_of(cases, steps, network.stride, landmarks, keep, material.room)
        return CaseMemory(cases, sorted(labels), network.stride, landmarks, keep, place)

    memory = kept(learned)
    check_size(network, memory.shape)
    crop = training.get("crop")
    if crop is not None:
        _check_crop(network, crop, memory.shape)
    return RegistrationObjective(
        memory,
        kept(watched) if watched_pairs else None,
        watched_pairs,
        loss=recipe["loss"],
        batch_size=training["batch_size"],
        symmetric=training["symmetric"],
        augmentation=Augmentation(**training["augmentation"]),
        masked=training["masked"],
        seed=recipe["seed"],
        atlas=ATLAS if training["pairing"] == "atlas" else None,
        pairs=given,
        within=training.get("within"),
        crop=crop,
        device=device,
        measure=training.get("validation", {}).get("measure", "loss"),
    )


def _check_crop(network: RegistrationNetwork, crop: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse crops that are larger than the cases, or that the network cannot halve."""
    fits = all(c <= n and c % network.stride == 0 for c, n in zip(crop, shape, strict=True))
    if not fits:
        raise WarplineError(
            f"Crops of {' × '.join(map(str, crop))} voxels (z, y, x) cannot be cut from cases of "
            f"{' × '.join(map(str, shape))}, or are no multiple of {network.stride}.",
            where="training.crop of the recipe",
            do="Give a multiple along each axis that is not larger than the cases.",
        )
    check_size(network, crop)
