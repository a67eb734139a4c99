"""Preparing one chest CT by warpline's steps, and by the same ones written straight in SimpleITK.

    python benchmarks/preparation.py [--slices 200] [--size 256] [--cube 128] [--repeats 3]

The largest scan of LUNA16: --slices 764 --size 512 --cube 256. Each measurement is a process of its
own: seconds from the file to the file, without imports, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.cases.case import Case, read_case, write_case
from warpline.cases.steps import prepare
from warpline.images.grid import Grid, Image

SIDES = ("warpline", "SimpleITK")


def make_scan(slices: int, size: int) -> Image:
    """A noisy body with lungs in a circle of air, 360 mm wide and high, nothing outside."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    plane = np.where((x / 0.85) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000)
    plane[((np.abs(x) - 0.4) / 0.28) ** 2 + (y / 0.42) ** 2 < 1] = -850
    outside = x**2 + y**2 > 1
    array = np.empty((slices, size, size), np.int16)
    for k in range(slices):
        array[k] = plane + rng.normal(0, 20, plane.shape)
        array[k][outside] = -2048
    return Image(array, Grid(array.shape, (360 / size, 360 / size, 360 / slices)))


def by_warpline(source: Path, target: Path, cube: int) -> None:
    steps = [
        {"resample": {"spacing": [1, 1, 1]}},
        {"resize": {"shape": [cube] * 3}},
        {"clip_background": {}},
        {"zscore": {}},
    ]
    write_case(target, prepare(read_case(source), steps))


def by_simpleitk(source: Path, target: Path, cube: int) -> None:
    """The same; the background's value is given, not found."""
    image = sitk.ReadImage(os.fspath(source / "image.nii.gz"))
    for spacing in ([1.0, 1.0, 1.0], None):
        extent = [n * s for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
        size = [cube] * 3
        if spacing is None:
            spacing = [length / cube for length in extent]
        else:
            size = [round(length / s) for length, s in zip(extent, spacing, strict=True)]
        resample = sitk.ResampleImageFilter()
        resample.SetSize(size)
        resample.SetOutputSpacing(spacing)
        resample.SetOutputDirection(image.GetDirection())
        shift = [s / old / 2 - 0.5 for s, old in zip(spacing, image.GetSpacing(), strict=True)]
        resample.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint(shift))
        resample.SetInterpolator(sitk.sitkLinear)
        resample.SetDefaultPixelValue(-2048)
        resample.SetOutputPixelType(sitk.sitkFloat32)
        image = resample.Execute(image)
    image = sitk.Normalize(sitk.Clamp(image, sitk.sitkFloat32, lowerBound=-1000))
    target.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, os.fspath(target / "image.nii.gz"), useCompression=True)


def measure(side: str, folder: Path, cube: int) -> None:
    """Print the seconds and the MiB of this process as JSON."""
    function = {"warpline": by_warpline, "SimpleITK": by_simpleitk}[side]
    start = time.perf_counter()
    function(folder / "scan", folder / side, cube)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cube", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.folder, arguments.cube)
        return

    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        scan = make_scan(arguments.slices, arguments.size)
        write_case(Path(folder) / "scan", Case("scan", scan))
        del scan
        environment = os.environ | {
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(arguments.threads),
            "OMP_NUM_THREADS": str(arguments.threads),
        }
        command = [sys.executable, __file__, "--folder", folder, "--cube", str(arguments.cube)]
        for _ in range(arguments.repeats):
            for side in SIDES:
                done = subprocess.run(
                    [*command, "--measure", side], env=environment, check=True, stdout=-1
                )
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
        results = [
            sitk.GetArrayFromImage(sitk.ReadImage(os.fspath(Path(folder) / side / "image.nii.gz")))
            for side in SIDES
        ]
    print(
        f"int16 {arguments.slices} × {arguments.size}², to {arguments.cube}³, "
        f"{arguments.threads} threads, {arguments.repeats} times each"
    )
    for side, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        print(
            f"  {side:10s} {statistics.median(seconds):6.2f} s "
            f"({min(seconds):.2f}–{max(seconds):.2f}), {max(run['peak'] for run in runs):5.0f} MiB"
        )
    ratio = statistics.median(
        ours["seconds"] / theirs["seconds"] for ours, theirs in zip(*found.values(), strict=True)
    )
    print(f"  ratio {ratio:.2f}; largest difference {np.abs(results[0] - results[1]).max():.3g}")


if __name__ == "__main__":
    main()
