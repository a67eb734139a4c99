"""RegNet's training on a CPU, its pairs made by itself and by processes ahead of it.

    python benchmarks/pairs_ahead.py [--size 96] [--epochs 8] [--workers 0 1 0 1] [--scale demo]

The recipe at a scale, with new fields in every epoch, on two scans of noise; a way after the other,
each on one thread beside its processes. Seconds by the clock, and of the CPU of all processes;
clocks of one run can be compared where the machine has a core for each process. The weights of all
ways are held against one another.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.training import objectives
from warpline.training.loop import train
from warpline.training.material import Material
from warpline.training.settings import Settings

METHOD, SCANS = "sokooti2017-regnet", ("a", "b")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 0, 1])
    parser.add_argument("--scale", default="demo")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Catalog({"scale": asked.scale}, project_folder()).method(METHOD)
    training = {**recipe["training"], "epochs": asked.epochs}
    training["sampling"] = {**training["sampling"], "fresh": True}
    recipe = {**recipe, "training": training}
    first, weights = None, None
    with tempfile.TemporaryDirectory() as folder:
        folders = {name: str(Path(folder, name)) for name in SCANS}
        for number, name in enumerate(SCANS):
            write_case(folders[name], scan(name, number, asked.size))
        for count in asked.workers:
            material = Material(folders, list(SCANS), [], {}, workers=count)
            state = tempfile.mkdtemp(dir=folder)
            began, used = time.monotonic(), cpu()
            network, steps = trained(recipe, material, state)
            seconds, spent = time.monotonic() - began, cpu() - used
            first = first or seconds
            weights = weights or network.state_dict()
            equal = all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
            print(
                f"{count} processes: {steps} steps in {seconds:.0f} s, {60 * steps / seconds:.1f} "
                f"a minute, {first / seconds:.2f} times the first; {spent:.0f} s of CPU; "
                f"weights {'equal' if equal else 'DIFFER'}",
                flush=True,
            )


def scan(name: str, seed: int, size: int) -> Case:
    """Noise, with lungs in its middle."""
    rng = np.random.default_rng(seed)
    grid = Grid((size,) * 3)
    mask = np.zeros(grid.shape, np.uint8)
    mask[size // 6 : -size // 6, size // 6 : -size // 6, size // 6 : -size // 6] = 1
    image = (300 * rng.standard_normal(grid.shape)).astype(np.int16)
    return Case(name, Image(image, grid), mask=Image(mask, grid))


def trained(recipe: dict, material: Material, state: str) -> tuple[torch.nn.Module, int]:
    """The network after its training, and its steps."""
    torch.manual_seed(recipe["seed"])
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    objective = objectives.build(recipe, network, material, torch.device("cpu"))
    settings = Settings.of(recipe["training"], recipe["seed"], validated=False)
    return network, train(network, objective, settings, state).steps


def cpu() -> float:
    """Seconds of this process and of those that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
