"""Warping a volume by a displacement field: warpline beside SimpleITK, in one run.

    python benchmarks/warp.py [--size 192] [--threads 2] [--repeats 5]

Both warp the same float32 image with the same field, turn about; the medians are compared. Each
tool's peak memory is measured in a fresh process of its own, less what the inputs take. SimpleITK
is timed twice: the resampling alone, and with the making of its transform from the vectors.

OpenMP is told to sleep, not spin, while it waits: on a machine whose cores are shared, spinning
threads cost torch a factor of three and more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import threading
import time

import numpy as np


def inputs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth image (z, y, x) and a smooth displacement (z, y, x, 3) in mm, float32."""
    axes = np.meshgrid(*[np.linspace(0, 6, size, dtype=np.float32)] * 3, indexing="ij")
    image = np.sin(axes[0]) * np.cos(axes[1]) + np.sin(2 * axes[2])
    return image, np.stack([5 * np.sin(axis) for axis in reversed(axes)], axis=-1)


def with_warpline(image: np.ndarray, vectors: np.ndarray, threads: int):
    import torch

    from warpline.fields.physical import DisplacementField
    from warpline.images.grid import Grid, Image

    torch.set_num_threads(threads)
    grid = Grid(image.shape)

    def run() -> dict[str, float]:
        start = time.perf_counter()
        DisplacementField(vectors, grid).warp_image(Image(image, grid))
        return {"warpline": time.perf_counter() - start}

    return run


def with_simpleitk(image: np.ndarray, vectors: np.ndarray, threads: int):
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    moving = sitk.GetImageFromArray(image)

    def run() -> dict[str, float]:
        start = time.perf_counter()
        field = sitk.GetImageFromArray(vectors.astype(np.float64), isVector=True)
        transform = sitk.DisplacementFieldTransform(field)
        ready = time.perf_counter()
        sitk.Resample(moving, moving, transform, sitk.sitkLinear)
        end = time.perf_counter()
        return {"SimpleITK, resampling": end - ready, "SimpleITK, with transform": end - start}

    return run


TOOLS = {"warpline": with_warpline, "SimpleITK": with_simpleitk}


def extra_memory(run) -> float:
    """By how many MiB this process grows at most while `run` goes on (Linux)."""
    page = resource.getpagesize()
    highest, done = 0, threading.Event()

    def resident() -> int:
        with open("/proc/self/statm", encoding="utf-8") as stream:
            return int(stream.read().split()[1]) * page

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.001):
            highest = max(highest, resident())

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return (max(highest, resident()) - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-of", choices=TOOLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(options.threads)

    if options.memory_of:
        small = inputs(16)
        TOOLS[options.memory_of](*small, options.threads)()
        image, vectors = inputs(options.size)
        run = TOOLS[options.memory_of](image, vectors, options.threads)
        print(extra_memory(run))
        return

    image, vectors = inputs(options.size)
    runs = [make(image, vectors, options.threads) for make in TOOLS.values()]
    for run in runs:
        run()
    times: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        for run in runs:
            for name, seconds in run().items():
                times.setdefault(name, []).append(seconds)
    print(f"{options.size}³ float32, {options.threads} threads, {options.repeats} repeats")
    ours = statistics.median(times["warpline"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:26} {middle:.3f} s (best {min(values):.3f}), {middle / ours:.2f} × warpline")
    for tool in TOOLS:
        command = [sys.executable, __file__, "--memory-of", tool]
        command += ["--size", str(options.size), "--threads", str(options.threads)]
        extra = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{tool:26} peak memory {float(extra):.0f} MiB beyond the inputs")


if __name__ == "__main__":
    main()
