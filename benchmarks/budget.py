"""What `warpline budget` counts for a small cohort against what training on it takes.

    python benchmarks/budget.py [--cases 20] [--size 128] [--method NAME] [--steps 3]

Writes generated cases with label maps, trains the method's own network and loss on them for a few
steps in a process of its own, on one thread, and prints of memory, disk and time what was counted,
what was used, and their ratio. Memory is that of data and step, beyond what the process has before
it reads a case. Time is CPU seconds of the fastest step. Disk is told by the first case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.cli.budget import host_bytes
from warpline.cli.rates import core_rate
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.provenance.record import peak_memory
from warpline.training import objectives
from warpline.training.budget import step_cost
from warpline.training.material import Material
from warpline.training.registration_loss import Batch, RegistrationLoss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--method", default="bouabid2019-alpha-1e-4")
    parser.add_argument("--steps", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Catalog({"scale": "paper"}, project_folder()).method(asked.method)
    more = {"precision": "single", "pairing": "random", "memory": "host", "devices": 1}
    recipe = {**recipe, "training": {**recipe["training"], **more}}
    shape = (asked.size,) * 3
    cost = step_cost(recipe, shape, 1)
    data = asked.cases * asked.size**3 * 5
    with tempfile.TemporaryDirectory() as folder:
        sizes = [_write(Path(folder) / f"c{n}", n, shape) for n in range(asked.cases)]
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        cases = {f"c{n}": f"{folder}/c{n}" for n in range(asked.cases)}
        process = context.Process(target=_train, args=(recipe, cases, asked.steps, theirs))
        process.start()
        used, seconds = mine.recv()
        process.join()
    counted = host_bytes(data, cost.bytes)
    print(f"{asked.method}, {asked.cases} cases of {asked.size}³, one thread, n = 1")
    _tell("memory, MB", counted / 1e6, used / 1e6)
    _tell("disk of the prepared cases, MB", asked.cases * sizes[0] / 1e6, sum(sizes) / 1e6)
    _tell("seconds a step", cost.operations / core_rate() / 1e9, seconds)


def _tell(name: str, counted: float, used: float) -> None:
    print(f"{name}: counted {counted:.1f}, used {used:.1f}, ratio {counted / used:.2f}", flush=True)


def _write(folder: Path, seed: int, shape: tuple[int, int, int]) -> int:
    """Write a case of smooth noise with a label map; its bytes."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal([n // 8 for n in shape])
    image = ndimage.zoom(coarse, 8, order=1).astype(np.float32)
    image += 0.05 * rng.standard_normal(shape, np.float32)
    grid = Grid(shape)
    labels = Image((image > 0.5).astype(np.uint8), grid)
    write_case(folder, Case(folder.name, Image(image, grid), labels=labels))
    return sum(path.stat().st_size for path in folder.iterdir())


def _train(recipe: dict, folders: dict[str, str], steps: int, answer) -> None:
    torch.set_num_threads(1)
    training = recipe["training"]
    criterion = RegistrationLoss(
        recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
    )
    tiny = networks.build("estienne2020", {"channels": [2, 2], "convolutions": [1]})
    small = Batch(*(torch.rand(1, 1, 8, 8, 8) for _ in range(4)))
    criterion(tiny, small)[0].backward()  # what the libraries take by themselves
    before = peak_memory()
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"]).train()
    material = Material(folders, list(folders), [], {1: "inside"})
    objective = objectives.build(recipe, network, material, torch.device("cpu"))
    optimiser, spent = torch.optim.Adam(network.parameters()), []
    for step in range(steps):
        started = time.process_time()
        objective.loss(network, objective.batch(step))[0].backward()
        optimiser.step()
        optimiser.zero_grad()
        spent.append(time.process_time() - started)
    answer.send((2**20 * (peak_memory() - before), min(spent)))


if __name__ == "__main__":
    main()
