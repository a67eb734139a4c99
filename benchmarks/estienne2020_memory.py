"""Memory of a training step of Estienne et al. 2020's task 3 at its published setting.

    python benchmarks/estienne2020_memory.py [--sizes 64 144] [--device cuda]

Without a device nothing is computed: torch runs the step on tensors without contents and the bytes
of all that are alive are counted, weights, moments and gradients included. What a convolution takes
for itself, and what an allocator wastes, come on top. With a device the step is run and the peak of
torch's allocator is given beside it.
"""

from __future__ import annotations

import argparse

import torch

from warpline import networks
from warpline.cases.organs import ORGANS
from warpline.plan.catalog import Catalog
from warpline.training.budget import losses, step_cost

REGISTRATION, SEGMENTER = "estienne2020-task3-sym", "estienne2020-task3-segmenter"


def changed(recipe: dict, changes: dict) -> dict:
    """A recipe of another precision, and with other parameters of its network."""
    network, training = recipe["network"], recipe["training"]
    parameters = network["parameters"] | changes.get("parameters", {})
    precision = changes.get("precision", training["precision"])
    return {
        **recipe,
        "network": {**network, "parameters": parameters},
        "training": {**training, "precision": precision},
    }


def measured(recipe: dict, size: int, device: str) -> float:
    """What torch's allocator takes in two steps, GiB; Adam's moments are there in the second."""
    mixed = recipe["training"]["precision"] != "single"
    with torch.device(device):
        network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
        network = network.to(device)
        optimiser = torch.optim.Adam(network.parameters(), foreach=False)
        loss_of = losses(recipe, network, (size,) * 3, len(ORGANS))
        for _ in range(2):
            with torch.autocast(device, dtype=torch.float16, enabled=mixed):
                loss = loss_of()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    peak = torch.cuda.max_memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.empty_cache()
    return peak / 2**30


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
        recipe = changed(catalog.method(method), changes)
        count = recipe["training"]["batch_size"]
        for size in arguments.sizes:
            line = f"{method}, {what}, batch {count}, {size}³:"
            cost = step_cost(recipe, (size,) * 3, len(ORGANS))
            line += f" {cost.bytes / 2**30:5.1f} GiB alive"
            if arguments.device:
                line += f", {measured(recipe, size, arguments.device):5.1f} GiB measured"
            print(line, flush=True)


if __name__ == "__main__":
    main()
