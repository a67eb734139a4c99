"""Training on synthetic fields: patches of images deformed by a field that is known.

Sokooti et al. 2017, sections 2.2.2 and 2.3.2; class balance after its authors' practice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from warpline.cases.case import Case
from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.plan.recipe import Recipe
from warpline.registration.synthetic.patches import (
    DRAW,
    FIELD,
    NOISE,
    ORDER,
    SHUFFLE,
    Batch,
    Drawn,
    MakePair,
    Sampling,
    axis_errors,
    check_lungs,
    cut_patches,
    held_out_batches,
)
from warpline.training.distributed import mean_of
from warpline.training.kept_pairs import KeptPairs
from warpline.training.material import Material
from warpline.training.pair_workers import Order, PairWorkers, Studio
from warpline.training.room import KeptCases, Room
from warpline.training.sampler import BlockSampler, Examples

ERRORS = {"mae": F.l1_loss, "huber": F.huber_loss}


class SyntheticObjective:
    """Patches of synthetic pairs, and the error of the displacements of their centres.

    An epoch takes every field of every training image once, in the order of a `BlockSampler`:
    `in_memory` pairs at a time are made and their patches mixed; then the next are made. So memory
    does not grow with the number of patches, and a training that is taken up in the middle makes
    the pairs of that step again and goes on as if it had not been stopped.

    Parameters
    ----------
    training, validation
        Cases with a lung mask; validation may be empty. They may differ in shape.
    error
        ``name``: ``mae`` (the paper) or ``huber`` (its authors' code); further keys go to the
        function. Both are summed over the axes, in voxels.
    make_pair
        What does the same as `warpline.registration.synthetic.patches.made_pair`, if it is another.
    room
        Where pairs are kept that the CPU makes and that come again in every epoch; None to make
        them anew. (A GPU makes them faster than a disk gives them.)
    workers
        Processes that make the pairs of the next block meanwhile; None to make each block's when it
        is needed. They draw the same training images.
    epochs
        Of the training: after the last nothing is made ahead.
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
        make_pair: MakePair | None = None,
        room: Room | None = None,
        workers: PairWorkers | None = None,
        epochs: int | None = None,
    ):
        self.sampler = BlockSampler(
            len(training) * sampling.fields,
            sampling.patches * sampling.versions,
            in_memory=sampling.in_memory,
            batch_size=batch_size,
            seed=seed,
            purposes=(ORDER, SHUFFLE),
            whole=True,
        )
        self.training, self.validation = training, validation
        for cases in (training, validation):
            for case in cases:
                check_lungs(case)
        self.arguments = dict(error)
        self.error = ERRORS[self.arguments.pop("name")]
        self.batch_size, self.sampling, self.seed = batch_size, sampling, seed
        self.device, self.make_pair = torch.device(device), make_pair
        self.steps_per_epoch = self.sampler.steps_per_epoch
        again = not sampling.fresh and self.device.type == "cpu"
        self._pairs = KeptPairs(room) if room is not None and again else None
        self._workers, self._epochs = workers, epochs
        self._block: tuple[tuple[int, int], list[Drawn]] | None = None
        self._validation: list[Batch] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step; a function of the seed and the step alone."""
        examples = self.sampler.batch(step)
        pairs = self._pairs_of(examples)
        which, number = examples.chosen.T
        patch, version = np.divmod(number, self.sampling.versions)
        parts = []
        for place in np.unique(which):
            mine = which == place
            parts.append(cut_patches(pairs[place], patch[mine], version[mine]))
        return self._noisy(Batch.joined(parts), (self.seed, NOISE, step))

    def _pairs_of(self, examples: Examples) -> list[Drawn]:
        """The pairs that are in memory in a block of an epoch."""
        epoch = examples.epoch
        place = epoch, examples.block
        if self._block is None or self._block[0] != place:
            self._block = None  # the old pairs go before the new ones come
            orders = self._orders(epoch, examples.members)
            if self._workers is None:
                drawn = [self._drawn(order) for order in orders]
            else:
                following = self.sampler.following(epoch, examples.block)
                more = () if following[0] == self._epochs else self._orders(*following)
                drawn = self._workers.drawn(orders, ahead=more)
            self._block = place, drawn
        return self._block[1]

    def _orders(self, epoch: int, members: Iterable[int]) -> list[Order]:
        """The pairs of an epoch's members."""
        sampling, orders = self.sampling, []
        for number in map(int, members):
            image, field = divmod(number, sampling.fields)
            field_seed = (self.seed, FIELD, epoch * sampling.fresh, image, field)
            orders.append(Order(image, field, field_seed, (self.seed, DRAW, epoch, number)))
        return orders

    def _drawn(self, order: Order) -> Drawn:
        """An order's pair, drawn by this process."""
        case, make_pair = self.training[order.image], self._maker(order.image)
        return order.drawn(case, self.sampling, make_pair, self.device)

    def close(self) -> None:
        """End the processes that make pairs ahead."""
        if self._workers is not None:
            self._workers.close()

    def _maker(self, image: int) -> MakePair | None:
        """What makes the pairs of a training image."""
        if self._pairs is None:
            return self.make_pair
        return partial(self._pairs.pair, self.training[image].id)

    def _noisy(self, batch: Batch, seed: tuple) -> Batch:
        """Fresh noise on every image; the two resolutions of one get their own."""
        if not self.sampling.noise:
            return batch
        generator = torch.Generator()
        generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))

        def add(part: torch.Tensor) -> torch.Tensor:
            noise = torch.randn(part.shape, generator=generator).to(part.device)
            return part + self.sampling.noise * noise

        batch.patches = batch.patches.map(add)
        return batch

    def loss(self, network: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict]:
        """Mean over the centres of the error of their displacement, summed over the axes."""
        return self._error(network.displacements(batch.patches), batch), {}

    def _error(self, displacements: torch.Tensor, batch: Batch) -> torch.Tensor:
        # In single precision, whatever the network computes in.
        found, wanted = displacements.float()[batch.counts], batch.displacements[batch.counts]
        return mean_of(3.0 * self.error(found, wanted, **self.arguments), len(found))

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Loss, and mean absolute error in mm along x, y and z and in sum (``mae``)."""
        if self._validation is None:
            batches = held_out_batches(
                self.validation,
                self.sampling,
                batch_size=self.batch_size,
                seed=self.seed,
                device=self.device,
                make_pair=self.make_pair,
            )
            self._validation = [batch for *_, batch in batches]
        sums = {"loss": 0.0, "mae": 0.0, "mae_x": 0.0, "mae_y": 0.0, "mae_z": 0.0}
        for batch in self._validation:
            found = network.displacements(batch.patches).float()
            sums["loss"] += float(self._error(found, batch)) * len(found)
            axes = axis_errors(found, batch).sum(0)
            for name, value in zip(("mae_x", "mae_y", "mae_z"), axes, strict=True):
                sums[name] += float(value)
            sums["mae"] += float(axes.sum())
        count = sum(len(batch.patches) for batch in self._validation)
        return {name: value / count for name, value in sums.items()}


def from_recipe(
    recipe: Recipe,
    network: nn.Module,
    material: Material,
    device: torch.device,
) -> SyntheticObjective:
    """The objective of a recipe with ``objective: synthetic``; see `objectives.build`.

    Validation takes each case of the pairs on its own; labels are not used.

    Raises
    ------
    WarplineError
        If the recipe has no ``loss.error``, the network takes no patches or a case has no mask.
    """
    if "error" not in recipe["loss"]:
        raise WarplineError(
            "Synthetic training needs the error that it is to lower.",
            where="loss of the recipe",
            do="Write 'loss: {error: {name: mae}}'.",
        )
    if not hasattr(network, "displacements"):
        raise WarplineError(
            f"The network '{recipe['network']['name']}' is not made for patches, as synthetic "
            f"training is.",
            where="training.objective, network.name of the recipe",
            do="Use the network sokooti2017, or 'objective: registration'.",
        )
    training = recipe["training"]
    sampling = Sampling(**training["sampling"])
    if training["batch_size"] * sampling.block**3 < 2:
        raise WarplineError(
            "A batch of one patch has no statistics to normalise by.",
            where="training.batch_size of the recipe",
            do="Take at least two patches.",
        )
    cases, workers = CaseFolders(material.folders, material.cases), None
    if material.workers and device.type == "cpu":
        workers = PairWorkers(Studio(cases, sampling, material.room), material.workers)
    return SyntheticObjective(
        KeptCases(cases, material.room),
        KeptCases(CaseFolders(material.folders, material.validation_cases), material.room),
        error=recipe["loss"]["error"],
        batch_size=training["batch_size"],
        sampling=sampling,
        seed=recipe["seed"],
        device=device,
        room=material.room,
        workers=workers,
        epochs=training.get("epochs"),
    )
