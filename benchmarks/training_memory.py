"""Peak of host memory while a training's data are brought into memory, against the data themselves.

    python benchmarks/training_memory.py [--cases 20] [--size 128] [--memory-mb 100]

Writes generated cases with label maps to a temporary folder and builds the objective of a
registration from them in a process of its own, with a network that weighs next to nothing. With
`--memory-mb` the training has so little memory that its data are mapped from files, and one epoch's
batches are drawn. What the process has before it reads a case is taken off.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.images.grid import Grid, Image
from warpline.provenance.record import peak_memory
from warpline.training import objectives
from warpline.training.material import Material
from warpline.training.room import Room
from warpline.training.source import source_of

RECIPE = {
    "seed": 0,
    "initial": None,
    "loss": {
        "similarity": {"name": "mse", "weight": 1},
        "dice": {"weight": 1},
        "regularisation": {"name": "identity_gradients", "weight": 1},
    },
    "training": {
        "objective": "registration",
        "batch_size": 1,
        "symmetric": False,
        "masked": False,
        "pairing": "random",
        "augmentation": {
            "flip": False, "quarter_turns": False, "rotation": 0, "translation": 0, "zoom": 0,
        },
    },
}  # fmt: skip


def anonymous() -> int:
    """Bytes of this process in memory now, without mapped files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def build(folders: dict[str, str], memory_mb: float | None, cache: str, answer) -> None:
    """Build the objective; the most bytes and the seconds that it took, and its data's bytes."""
    torch.set_num_threads(1)
    material = Material(folders, list(folders), [], {1: "organ"})
    if memory_mb is not None:
        place = {"folder": cache, "code": ""}
        room = Room.of(memory_mb, place, source_of(material)["files"])
        material = replace(material, room=room)
    network = networks.build("estienne2020", {"channels": [2, 2], "convolutions": [1]})
    before, others, started = peak_memory(), anonymous(), time.monotonic()
    objective = objectives.build(RECIPE, network, material, torch.device("cpu"))
    built = time.monotonic() - started
    most = 2**20 * (peak_memory() - before)
    if memory_mb is not None:
        for step in range(objective.steps_per_epoch):
            objective.batch(step)
        most = anonymous() - others
    memory = objective.training
    data = memory.images.nbytes + memory.labels.nbytes
    checked = float(memory.images.double().sum())
    answer.send((most, built, data, checked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--memory-mb", type=float)
    arguments = parser.parse_args()
    shape = (arguments.size,) * 3
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for k in range(arguments.cases):
            image = Image(rng.random(shape, dtype=np.float32), Grid(shape))
            labels = image.with_array((image.array > 0.5).astype(np.uint8))
            write_case(Path(folder) / f"c{k:02d}", Case(f"c{k:02d}", image, labels))
        folders = {f"c{k:02d}": f"{folder}/c{k:02d}" for k in range(arguments.cases)}
        for attempt in range(1 if arguments.memory_mb is None else 2):
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe()
            work = (folders, arguments.memory_mb, f"{folder}/cache", theirs)
            process = context.Process(target=build, args=work)
            process.start()
            most, seconds, data, checked = mine.recv()
            process.join()
            kept = "in memory" if arguments.memory_mb is None else "mapped from files"
            again = ", as the training before left them" if attempt else ""
            print(
                f"{arguments.cases} cases of {arguments.size}³, {kept}{again}: "
                f"{most / 1e6:.0f} MB at most, {most / data:.2f} times the data's "
                f"{data / 1e6:.0f} MB; {seconds:.1f} s; sum of the images {checked:.3f}"
            )


if __name__ == "__main__":
    main()
