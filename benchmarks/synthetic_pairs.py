"""Synthetic pairs a second: by the CPU's way, and with tensors on the CPU and on a GPU.

    python benchmarks/synthetic_pairs.py [--size 128] [--repeats 3]

A pair is what RegNet learns from: a moving image that is deformed itself, a field, the fixed image
made by it, a mask, and patches drawn from it. CPU seconds of one thread; on a GPU seconds by the
clock after it has ended.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
import torch

from warpline.cases.case import Case
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.registration.synthetic import on_device
from warpline.registration.synthetic.patches import Sampling, draw_patches, made_pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    case = _case(asked.size)
    recipe = Catalog({"scale": "paper"}, project_folder()).method("sokooti2017-regnet")
    sampling = Sampling(**recipe["training"]["sampling"])
    ways = {"CPU's way": ("cpu", made_pair), "tensors, CPU": ("cpu", on_device.synthetic_pair)}
    if torch.cuda.is_available():
        ways["tensors, GPU"] = ("cuda", on_device.synthetic_pair)
    megavoxels = asked.size**3 / 1e6
    for name, (device, make_pair) in ways.items():
        draw = partial(draw_patches, case, 3, sampling.patches, sampling, make_pair=make_pair)
        spent = sorted(_seconds(draw, device, number) for number in range(asked.repeats + 1))
        best = spent[0]
        print(
            f"{name:13s} {best:7.2f} s a pair of {asked.size}³, {best / megavoxels:6.3f} s a "
            f"megavoxel, {1 / best:.2f} pairs a second (best of {asked.repeats + 1})",
            flush=True,
        )


def _case(size: int) -> Case:
    rng = np.random.default_rng(0)
    grid = Grid((size,) * 3)
    mask = np.zeros(grid.shape, np.uint8)
    mask[size // 6 : -size // 6, size // 6 : -size // 6, size // 6 : -size // 6] = 1
    image = (300 * rng.standard_normal(grid.shape)).astype(np.int16)
    return Case("noise", Image(image, grid), mask=Image(mask, grid))


def _seconds(draw: partial, device: str, number: int) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    draw(field_seed=(0, number), draw_seed=(1, number), device=device)
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - started


if __name__ == "__main__":
    main()
