"""Memory of a training step of Estienne et al. 2020's task 3 at its published setting.

    python benchmarks/estienne2020_memory.py [--sizes 64 144] [--device cuda]

Without a device nothing is computed: torch runs the step on tensors without contents and the bytes
of all that are alive are counted, weights, moments and gradients included. What a convolution takes
for itself, and what an allocator wastes, come on top. With a device the step is run and the peak of
torch's allocator is given beside it.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from warpline import networks
from warpline.cases.case import Case
from warpline.cases.organs import ORGANS
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.segmentation.windows import organ_numbers
from warpline.training import segmentation
from warpline.training.augmentation import Augmentation
from warpline.training.budget import Alive, empty_network
from warpline.training.data import CaseMemory
from warpline.training.registration import RegistrationObjective
from warpline.training.registration_loss import Batch

REGISTRATION, SEGMENTER = "estienne2020-task3-sym", "estienne2020-task3-segmenter"


def objective_of(recipe: dict, network: nn.Module, size: int, device: str):
    """The objective, and a function that makes a batch of crops of `size`³."""
    count = recipe["training"]["batch_size"]
    volumes = (count, 1, size, size, size)

    def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=device)

    if recipe["training"]["objective"] == "segmentation":
        organs = organ_numbers(network)
        sampling = segmentation.Sampling(**recipe["training"]["sampling"])
        objective = segmentation.SegmentationObjective(
            [None], [], organs, batch_size=count, sampling=sampling, seed=0
        )
        return objective, lambda: segmentation.Batch(
            zeros(*volumes),
            zeros(count, size, size, size, dtype=torch.uint8),
            torch.ones(count, len(organs), dtype=torch.bool, device=device),
        )
    grid = Grid((16, 16, 16))
    image = Image(torch.zeros(16, 16, 16).numpy(), grid)
    labels = image.with_array(image.array.astype("uint8"))
    objective = RegistrationObjective(
        CaseMemory([Case(str(k), image, labels) for k in range(2)], range(1, len(ORGANS) + 1)),
        None,
        [],
        loss=recipe["loss"],
        batch_size=count,
        symmetric=recipe["training"]["symmetric"],
        augmentation=Augmentation(**recipe["training"]["augmentation"]),
        masked=False,
        seed=0,
    )
    one_hot = (count, len(ORGANS), size, size, size)
    return objective, lambda: Batch(
        zeros(*volumes), zeros(*volumes), zeros(*one_hot), zeros(*one_hot)
    )


def step(recipe: dict, size: int, device: str | None, changes: dict) -> float:
    """Peak in GiB of two steps; Adam's moments are there in the second."""
    parameters = recipe["network"]["parameters"] | changes.get("parameters", {})
    precision = changes.get("precision", recipe["training"]["precision"])
    place = device or "cpu"
    network = networks.build(recipe["network"]["name"], parameters)
    objective, batch = objective_of(recipe, network, size, place)
    # No processor without a GPU computes in float16: bfloat16 has the same size.
    dtype = None if precision == "single" else torch.float16 if device else torch.bfloat16
    alive = Alive()
    with nullcontext() if device else FakeTensorMode(allow_non_fake_inputs=True):
        if device:
            network = networks.build(recipe["network"]["name"], parameters).to(device)
        else:
            own = {"name": recipe["network"]["name"], "parameters": parameters}
            network = empty_network({"network": own})
        with nullcontext() if device else alive:
            for weight in network.parameters():
                alive.count(weight)
            optimiser = torch.optim.Adam(network.parameters(), foreach=False)
            for _ in range(2):
                with torch.autocast(place, dtype=dtype, enabled=dtype is not None):
                    loss, _ = objective.loss(network, batch())
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
    if device:
        peak = torch.cuda.max_memory_reserved()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.empty_cache()
        return peak / 2**30
    return alive.peak / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 144])
    parser.add_argument("--device", choices=("cuda",))
    arguments = parser.parse_args()
    catalog = Catalog({"scale": "paper"})
    plain = {"precision": "single", "parameters": {"recomputed": 0}}
    cases = [
        (REGISTRATION, "as in the recipe", {}),
        (REGISTRATION, "single precision, nothing recomputed", plain),
        (SEGMENTER, "as in the recipe", {}),
    ]
    for method, what, changes in cases:
        recipe = catalog.method(method)
        count = recipe["training"]["batch_size"]
        for size in arguments.sizes:
            line = f"{method}, {what}, batch {count}, {size}³:"
            line += f" {step(recipe, size, None, changes):5.1f} GiB alive"
            if arguments.device:
                line += f", {step(recipe, size, arguments.device, changes):5.1f} GiB measured"
            print(line, flush=True)


if __name__ == "__main__":
    main()
