"""What a training step takes, counted without computing it: memory alive and operations.

torch runs two steps of the recipe's own network and loss on tensors without contents; the bytes of
all that are alive are counted, weights, moments and gradients included. What a convolution takes
for itself, and what an allocator wastes, come on top.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from warpline.networks.sokooti2017 import FULL, LOW, Patches
from warpline.segmentation.windows import organ_numbers
from warpline.training import descriptors, registration_loss, segmentation
from warpline.training.augmentation import Augmentation
from warpline.training.optimisers import optimiser_of

# Of a recipe that weighs landmarks: how many a pair has changes nothing that counts.
LANDMARKS = 100


@dataclass(frozen=True)
class StepCost:
    """What one step takes: weights, most bytes alive, floating-point operations."""

    parameters: int
    bytes: int
    operations: int


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, views of one another once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.peak, self.known = 0, 0, set()

    def count(self, tensor: torch.Tensor) -> None:
        """Count a tensor that was made before."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.bytes -= size

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf)
        return result


def step_cost(recipe: Mapping[str, Any], shape: Sequence[int], labels: int) -> StepCost:
    """What a step of a recipe takes.

    Parameters
    ----------
    recipe
        As the schema leaves it.
    shape
        Of the volumes that a batch is made of, (z, y, x): a crop, or a case as it is padded.
    labels
        How many label values the dataset has.
    """
    precision = recipe["training"]["precision"]
    mixed = precision in ("float16", "bfloat16")  # of one size; auto is single at the worst
    alive, flops = Alive(), FlopCounterMode(display=False)
    plain = torch.backends.mkldnn.flags(enabled=False)  # which insists on contents
    with plain, FakeTensorMode(allow_non_fake_inputs=True), _unchecked():
        network = empty_network(recipe)
        with alive:
            for weight in network.parameters():
                alive.count(weight)
            name = recipe["training"]["optimiser"]["name"]
            optimiser = optimiser_of(name, network.parameters(), torch.device("cpu"), 0.0)
            loss_of = losses(recipe, network, shape, labels)
            for counting in (nullcontext(), flops):  # the moments are there in the second
                with counting:
                    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                        loss = loss_of()
                    loss.backward()
                    optimiser.step()
                    optimiser.zero_grad()
            parameters = sum(weight.numel() for weight in network.parameters())
    return StepCost(parameters, alive.peak, flops.get_total_flops())


def empty_network(recipe: Mapping[str, Any]) -> nn.Module:
    """A recipe's network in torch's own layout: the one for convolutions cannot be given to
    tensors without contents, and changes no size."""
    module = importlib.import_module(f"warpline.networks.{recipe['network']['name']}")
    return module.Network(**recipe["network"]["parameters"]).train()


def losses(
    recipe: Mapping[str, Any], network: nn.Module, shape: Sequence[int], labels: int
) -> Callable[[], torch.Tensor]:
    """A function that makes a batch of zeros on torch's default device and gives its loss.

    Parameters are those of `step_cost`.
    """
    training = recipe["training"]
    # What one of several devices sees.
    count = training["batch_size"] // training.get("devices", 1)
    sampling = training.get("sampling") or {}
    objective = training["objective"]
    if objective == "segmentation":
        dice = segmentation.SegmentationObjective(
            [None],
            [],
            dict(zip(network.organs, organ_numbers(network), strict=True)),
            batch_size=count,
            sampling=segmentation.Sampling(**sampling),
            augmentation=Augmentation(**training["augmentation"]),
            seed=0,
        )
        known = torch.ones(count, len(dice.organs), dtype=torch.bool)

        def segmented() -> torch.Tensor:
            maps = torch.zeros(count, *shape, dtype=torch.uint8)
            batch = segmentation.Batch(torch.zeros(count, 1, *shape), maps, known)
            return dice.loss(network, batch)[0]

        return segmented
    if objective == "descriptors":
        error = descriptors.ERRORS[recipe["loss"]["error"]["name"]]

        def described() -> torch.Tensor:
            found = network.features(torch.zeros(count, 1, *shape)).float()
            return error(found, torch.zeros_like(found))

        return described
    if objective == "synthetic":
        more = sampling["block"] - 1
        sides = [len(FULL) + 2 * more] * 2 + [len(LOW) + more] * 2

        def displaced() -> torch.Tensor:
            patches = Patches(*(torch.zeros(count, 1, n, n, n) for n in sides))
            return network.displacements(patches).float().abs().mean()

        return displaced
    criterion = registration_loss.RegistrationLoss(
        recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
    )

    def registered() -> torch.Tensor:
        images = [torch.zeros(count, 1, *shape) for _ in range(2)]
        maps = [None, None]
        if criterion.weights["dice"]:
            maps = [torch.zeros(count, labels, *shape) for _ in range(2)]
        marks = [(torch.zeros(LANDMARKS, 3), torch.zeros(LANDMARKS, 3))] * count
        batch = registration_loss.Batch(*images, *maps, marks)
        return criterion(network, batch)[0]

    return registered


@contextmanager
def _unchecked() -> Iterator[None]:
    """Without the look at a velocity's values: there are none."""
    check = registration_loss.check_velocity
    registration_loss.check_velocity = lambda prediction: None
    try:
        yield
    finally:
        registration_loss.check_velocity = check
