"""Memory and minutes that jobs ask for: counted from what they read, by measured rates.

``memory_mb`` of the configuration stands before the count. What the plan does not know the size of
asks for `NOT_KNOWN`. Rates are those of config/budget.yaml (``jobs``), with room to spare.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from warpline.plan.inputs.cases import batch_cases
from warpline.plan.inputs.disk import VOXEL, known
from warpline.plan.inputs.register import network_recipe, pairs_in_batch
from warpline.plan.run import Run
from warpline.plan.trainings import recipe, training_cases
from warpline.plan.volumes import Shape, prepared_shape, training_shape

NOT_KNOWN = 6000  # MB
# MB of the two Snakemakes in a job, and the least; how many times what was measured.
SNAKEMAKE, LEAST, ROOM = 500, 1000, 1.5
# Minutes beside the work, how many times the seconds that were measured, and the least.
BESIDE, SLOWER, SHORTEST = 10, 5, 60
CUDA = 3000  # MB that the libraries of a card take beside those of the CPU
# A training keeps so much of its memory for data (warpline.training.room), and the rest in files:
# it never asks for more than this, nor for more than most of this machine's.
SHARE, MOST, OF_MACHINE = 0.5, 64_000, 0.9
# How many times their own bytes data take while they are read, and a step's tensors with the
# convolutions' buffers on a CPU (benchmarks/training_memory.py, benchmarks/budget.py).
READING, CONVOLVING = 1.05, 1.85


def memory_mb(run: Run) -> int:
    """MB of a heavy job whose data the plan cannot count."""
    return run.catalog.config["memory_mb"] or NOT_KNOWN


def registration_mb(run: Run, dataset: str, method: str) -> int:
    """MB of a job that registers pairs, one after the other, and measures them."""
    rate, voxels = _rate(run, method), _voxels(run, dataset)
    if run.catalog.config["memory_mb"] or rate is None or voxels is None:
        return memory_mb(run)
    return _asked(rate["start"] + rate["bytes"] * voxels / 1e6, run)


def registration_minutes(run: Run, dataset: str, method: str, split: str, batch: str) -> int:
    """Minutes of a job that registers pairs."""
    rate, voxels = _rate(run, method), _voxels(run, dataset)
    if rate is None or voxels is None:
        return 4 * SHORTEST
    pairs = len(pairs_in_batch(run, dataset, method, split, batch))
    return _minutes(pairs * rate["seconds"] * voxels / 1e6)


def preparation_mb(run: Run, dataset: str) -> int:
    """MB of a job that prepares cases, one after the other."""
    rate, voxels = _jobs(run)["prepare"], _scan(run, dataset)
    if run.catalog.config["memory_mb"] or voxels is None:
        return memory_mb(run)
    return _asked(rate["start"] + rate["bytes"] * voxels / 1e6, run)


def preparation_minutes(run: Run, dataset: str, batch: str) -> int:
    """Minutes of a job that prepares cases."""
    voxels = _scan(run, dataset)
    if voxels is None:
        return 2 * SHORTEST
    cases = len(batch_cases(run, dataset, batch))
    return _minutes(cases * _jobs(run)["prepare"]["seconds"] * voxels / 1e6)


def training_mb(run: Run, dataset: str, method: str) -> int:
    """MB of a training: its data, its share of them at the least, and on a CPU its step."""
    spec = recipe(run.catalog, dataset, method)
    shape = training_shape(run, dataset, spec, known(run.places.root)["grids"])
    data = training_bytes(run, dataset, method, spec, shape)
    if run.catalog.config["memory_mb"] or data is None:
        return memory_mb(run)
    step = 0.0
    if run.catalog.device == "cpu":
        rate = _jobs(run)["steps"].get(spec["network"]["name"])
        if rate is None:
            return memory_mb(run)
        training = spec["training"]
        step = rate * math.prod(training.get("crop") or shape) * training["batch_size"]
    need = max(READING * data + CONVOLVING * step, data / SHARE) / 1e6
    need += LEAST + SNAKEMAKE + _card(run)
    return math.ceil(min(MOST, OF_MACHINE * _machine_mb(), need))


def training_bytes(
    run: Run, dataset: str, method: str, spec: Mapping[str, Any], shape: Shape | None
) -> int | None:
    """Bytes of the cases that a training keeps in memory, of its validation too.

    None where it keeps none whole, or where the size of its cases is not known.

    Parameters
    ----------
    spec
        The recipe.
    shape
        (z, y, x) voxels of a case.
    """
    if spec["training"]["objective"] != "registration" or not shape:
        return None
    cases, validation = training_cases(run.catalog, dataset, method)
    watched = {case for pair in validation for case in pair}
    labels = bool(run.catalog.dataset(dataset).spec["labels"])
    return (len(cases) + len(watched)) * math.prod(shape) * (VOXEL + labels)


def _jobs(run: Run) -> Mapping[str, Any]:
    return known(run.places.root)["jobs"]


def _rate(run: Run, method: str) -> Mapping[str, float] | None:
    """What a method's registration takes: that of its network, or of its kind."""
    rates = _jobs(run)["register"]
    network = network_recipe(run, method)
    return rates.get(network["network"]["name"] if network else run.catalog.method(method)["kind"])


def _voxels(run: Run, dataset: str) -> int | None:
    """Voxels of a prepared case."""
    shape = prepared_shape(run, dataset, known(run.places.root)["grids"])
    return math.prod(shape) if shape else None


def _scan(run: Run, dataset: str) -> int | None:
    """Voxels of the largest scan of a dataset, or of what is made of it."""
    scan = known(run.places.root)["scans"].get(dataset)
    if scan is None or run.catalog.dataset(dataset).spec["phantom"]:
        return None
    return max(math.prod(scan), _voxels(run, dataset) or 0)


def _asked(need: float, run: Run) -> int:
    return math.ceil(max(LEAST, SNAKEMAKE + ROOM * need)) + _card(run)


def _machine_mb() -> float:
    """MB of memory that this machine has; without end where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (AttributeError, ValueError, OSError):
        return math.inf


def _card(run: Run) -> int:
    return CUDA if run.catalog.device == "cuda" else 0


def _minutes(seconds: float) -> int:
    return max(SHORTEST, math.ceil(BESIDE + SLOWER * seconds / 60))
