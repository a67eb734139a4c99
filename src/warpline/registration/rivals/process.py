"""A rival's program in a process of its own: it can neither break the papers nor slow them down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.files import write_json
from warpline.images.files import write_image
from warpline.plan.rivals import PROGRAMS, command, python
from warpline.registration.initial import resample_moving

DRIVERS = Path(__file__).parent / "drivers"
REQUEST, COST = "request.json", "cost.json"
TAIL = 12


def drive(kind: str, place: Path, request: Mapping[str, Any], threads: int) -> dict[str, float]:
    """Run the driver of a rival in its interpreter.

    Parameters
    ----------
    place
        A folder with the files that the driver reads; it writes its result there.
    request
        What it is told, any JSON values.

    Returns
    -------
    dict
        ``seconds`` of the registration alone, ``start_up`` of what came before, s;
        ``peak_memory`` of the process, MiB.

    Raises
    ------
    WarplineError
        If it fails, with its last lines of output.
    """
    return _run(kind, [python(), os.fspath(DRIVERS / f"run_{kind}.py")], place, request, threads)


def call(kind: str, place: Path, arguments: Sequence[str], threads: int) -> dict[str, float]:
    """Run the program of a rival that is called as a command; its start counts in its seconds.

    Raises
    ------
    WarplineError
        If it fails, with its last lines of output.
    """
    program = [sys.executable, os.fspath(DRIVERS / "run_command.py")]
    request = {"arguments": [str(command(PROGRAMS[kind].command)), *arguments]}
    cost = _run(kind, program, place, request, threads)
    return {key: cost[key] for key in ("seconds", "peak_memory")}


def _run(
    kind: str, program: list[str], place: Path, request: Mapping[str, Any], threads: int
) -> dict[str, float]:
    environment = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)}
    for library in ("OMP", "MKL", "OPENBLAS"):
        environment[f"{library}_NUM_THREADS"] = str(threads)
    write_json(place / REQUEST, {**request, "threads": threads})
    started = time.time()
    done = subprocess.run(
        [*program, os.fspath(place)],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise WarplineError(
            f"{kind} failed with status {done.returncode}.",
            do="Read the program's last lines:\n    " + "\n    ".join(lines[-TAIL:]),
        )
    cost = json.loads((place / COST).read_text(encoding="utf-8"))
    cost["start_up"] = cost.pop("began") - started
    return cost


def on_fixed_grid(fixed: Case, moving: Case) -> Case:
    """The moving case on the fixed grid, where a program wants both images on one."""
    if moving.grid.close_to(fixed.grid):
        return moving
    return resample_moving(moving, DisplacementField.identity(fixed.grid))


def write_images(place: Path, fixed: Case, moving: Case) -> dict[str, str]:
    """Both images as float32 NIfTI files, by ``fixed`` and ``moving``."""
    files = {}
    for name, case in (("fixed", fixed), ("moving", moving)):
        files[name] = os.fspath(place / f"{name}.nii.gz")
        write_image(files[name], case.image.with_array(case.image.array.astype(np.float32)))
    return files


def of_voxels(displacement: np.ndarray, fixed: Case) -> DisplacementField:
    """The field of displacements in voxels of the fixed grid.

    Parameters
    ----------
    displacement
        (z, y, x, 3), components (z, y, x).
    """
    grid = fixed.grid
    origin = grid.index_to_physical(np.zeros(3))
    vectors = grid.index_to_physical(np.asarray(displacement, np.float64)) - origin
    return DisplacementField(vectors, grid)
