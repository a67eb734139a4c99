"""A counted training step against one that is computed: memory of the process, operations a second.

    python benchmarks/step_memory.py [--method estienne2020-task4-sym] [--scale cpu] [--size 64]

The step of a registration recipe is counted on tensors without contents, as `warpline budget` does,
and then computed twice on one thread by a process of its own; the process' largest memory, less
what it had before, stands beside the count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import torch

from warpline import networks
from warpline.plan.catalog import Catalog
from warpline.provenance.record import peak_memory
from warpline.training.budget import step_cost
from warpline.training.registration_loss import Batch, RegistrationLoss

LABELS = 2


def compute(recipe: dict, shape: tuple[int, ...], answer) -> None:
    """Two steps; the bytes and the seconds of the second one."""
    torch.set_num_threads(1)
    training = recipe["training"]
    criterion = RegistrationLoss(
        recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
    )
    tiny = networks.build("estienne2020", {"channels": [2, 2], "convolutions": [1]})
    criterion(tiny, batch_of(1, (8, 8, 8)))[0].backward()  # what the libraries take by themselves
    before = peak_memory()
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"]).train()
    optimiser = torch.optim.Adam(network.parameters(), foreach=False)
    for _ in range(2):
        started = time.process_time()
        criterion(network, batch_of(training["batch_size"], shape))[0].backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds = time.process_time() - started
    answer.send((2**20 * (peak_memory() - before), seconds))


def batch_of(count: int, shape: tuple[int, ...]) -> Batch:
    """Random images and label maps."""
    return Batch(*(torch.rand(count, n, *shape) for n in (1, 1, LABELS, LABELS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="estienne2020-task4-sym")
    parser.add_argument("--scale", default="cpu")
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    recipe = Catalog({"scale": arguments.scale}).method(arguments.method)
    recipe = {**recipe, "training": {**recipe["training"], "precision": "single"}}
    shape = (arguments.size,) * 3
    cost = step_cost(recipe, shape, LABELS)
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=compute, args=(recipe, shape, theirs))
    process.start()
    most, seconds = mine.recv()
    process.join()
    print(
        f"{arguments.method}, scale {arguments.scale}, {arguments.size}³, batch "
        f"{recipe['training']['batch_size']}: counted {cost.bytes / 1e6:.0f} MB, the process took "
        f"{most / 1e6:.0f} MB ({cost.bytes / most:.2f}); {cost.operations / 1e9:.0f} GFLOP in "
        f"{seconds:.1f} CPU s, {cost.operations / seconds / 1e9:.1f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
