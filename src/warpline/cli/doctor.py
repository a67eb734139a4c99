"""``warpline doctor``: whether this machine has what the program needs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from warpline.cli import options

LIBRARIES = ("SimpleITK", "torch", "antspyx", "itk-elastix", "nibabel", "snakemake", "numpy")
LEAST_MEMORY, LEAST_DISK = 4e9, 5e9  # bytes
SHIFT = (3.0, -2.0, 1.5)  # mm, which the self-test finds again
NEAR = 0.5  # mm


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `well` is None where it is only told."""

    name: str
    value: str
    well: bool | None = None
    do: str = ""


@click.command()
@options.json_option
@click.option("--no-test", is_flag=True, help="Without the self-test.")
@click.pass_context
@options.in_words
def doctor(context: click.Context, machine: bool, no_test: bool) -> None:
    """Versions, cores, memory, GPU and disk of this machine, and a self-test of some seconds.

    The self-test registers a generated image with itself, shifted, and applies the result.

    \b
    Examples:
      warpline doctor
      warpline doctor --json --no-test

    The exit status is 1 if something is missing or the self-test fails.
    """
    checks = [*_versions(), *_machine(), *([] if no_test else [_self_test()])]
    if machine:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        signs = {True: "ok", False: "no", None: ""}
        options.show_table(
            ("", "", "", "to do"), [(c.name, c.value, signs[c.well], c.do) for c in checks]
        )
    context.exit(1 if any(check.well is False for check in checks) else 0)


def _versions() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    from warpline.plan.places import project_folder

    checks = [
        Check("warpline", f"{version('warpline')}, {project_folder()}"),
        Check("Python", platform.python_version(), sys.version_info >= (3, 11)),
    ]
    for name in LIBRARIES:
        try:
            checks.append(Check(name, version(name), True))
        except PackageNotFoundError:
            do = "Install the project anew: docs/environments.md."
            checks.append(Check(name, "missing", False, do))
    return checks


def _machine() -> list[Check]:
    import torch

    from warpline.images.memory import memory

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    most, disk = memory(), shutil.disk_usage(Path.cwd()).free
    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return [
        Check("cores", str(cores)),
        Check("memory", f"{most / 1e9:.1f} GB", most > LEAST_MEMORY,
              "" if most > LEAST_MEMORY else "Large scans may not fit; close other programs."),
        Check("disk free here", f"{disk / 1e9:.0f} GB", disk > LEAST_DISK,
              "" if disk > LEAST_DISK else "Fields are large: work on another disk."),
        Check("GPU", ", ".join(cards) or "none that torch sees; all methods run on the CPU, too"),
    ]  # fmt: skip


def _self_test() -> Check:
    """A generated image is registered with itself, shifted, through files."""
    import numpy as np
    from scipy import ndimage

    from warpline.acquire.scans import read_scan
    from warpline.errors import WarplineError
    from warpline.images.files import write_image
    from warpline.images.grid import Grid, Image
    from warpline.registration.call import register

    started = time.perf_counter()
    noise = np.random.default_rng(0).standard_normal((24, 26, 28))
    array = ndimage.gaussian_filter(noise, 2).astype(np.float32)
    fixed = Grid(array.shape, (1.0, 1.2, 1.5), (5.0, -20.0, 40.0))
    moving = Grid(array.shape, fixed.spacing, tuple(np.add(fixed.origin, SHIFT)))
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{name}.nii.gz" for name in ("fixed", "moving")]
            for path, grid in zip(paths, (fixed, moving), strict=True):
                write_image(path, Image(array, grid))
            found = register(*map(read_scan, paths), quality="fast", device="cpu")
    except (WarplineError, OSError, RuntimeError, ImportError) as error:
        do = "Install the project anew: docs/environments.md."
        return Check("self-test", f"failed: {error}", False, do)
    centre = fixed.index_to_physical((np.array(fixed.shape) - 1) / 2)
    missed = np.linalg.norm(found.forward.transform_points(centre[None])[0] - centre - SHIFT)
    seconds = time.perf_counter() - started
    said = f"a shift of 3.9 mm found again to {missed:.2f} mm, in {seconds:.1f} s"
    do = "" if missed < NEAR else "The numerical libraries are not those of the lock."
    return Check("self-test", said, bool(missed < NEAR), do)
