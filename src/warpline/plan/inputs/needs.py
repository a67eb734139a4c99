"""Memory and minutes that jobs ask for: counted from what they read, by measured rates.

``memory_mb`` of the configuration stands before the count. What the plan does not know the size of
asks for `NOT_KNOWN`. Rates are those of config/budget.yaml (``jobs``), with room to spare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from warpline.plan.inputs import seconds
from warpline.plan.inputs.cases import batch_cases
from warpline.plan.inputs.disk import VOXEL
from warpline.plan.inputs.register import method_gpus, pairs_in_batch
from warpline.plan.inputs.train import training_workers
from warpline.plan.rates import known
from warpline.plan.rows import table_rows
from warpline.plan.run import Run
from warpline.plan.trainings import recipe, training_cases
from warpline.plan.volumes import Shape, training_shape, typical_case

NOT_KNOWN = 6000  # MB
# MB of the two Snakemakes in a job, and the least; how many times what was measured.
SNAKEMAKE, LEAST, ROOM = 500, 1000, 1.5
PICTURES = 3000  # MB, the least of a job that draws
# Minutes beside the work, how many times the seconds that were measured, the least, and the most
# of a training, which goes on from its checkpoint at the next attempt.
BESIDE, SLOWER, SHORTEST, LONGEST = 10, 5, 60, 1440
AHEAD = 2000  # MB of a process that makes pairs ahead of a training
CUDA = 3000  # MB that the libraries of a card take beside those of the CPU
# A training keeps so much of its memory for data (warpline.training.room), and the rest in files:
# it never asks for more than this, nor for more than most of what the machine has that it runs on.
SHARE, MOST, OF_MACHINE = 0.5, 64_000, 0.9
# How many times their own bytes data take while they are read, and a step's tensors with the
# convolutions' buffers on a CPU (benchmarks/training_memory.py, benchmarks/budget.py).
READING, CONVOLVING = 1.05, 1.85


def memory_mb(run: Run) -> int:
    """MB of a heavy job whose data the plan cannot count."""
    return run.catalog.config["memory_mb"] or NOT_KNOWN


def registration_mb(run: Run, dataset: str, method: str) -> int:
    """MB of a job that registers pairs, one after the other, and measures them."""
    rate, voxels = seconds.registration_rate(run, method), seconds.voxels(run, dataset)
    counted = rate is not None and "start" in rate and voxels is not None
    if run.catalog.config["memory_mb"] or not counted:
        return memory_mb(run)
    asked = _asked(rate["start"] + rate["bytes"] * voxels / 1e6)
    return asked + CUDA * method_gpus(run, method)


def registration_minutes(run: Run, dataset: str, method: str, split: str, batch: str) -> int:
    """Minutes of a job that registers pairs, and may measure them."""
    pairs = len(pairs_in_batch(run, dataset, method, split, batch))
    spent = seconds.registering(run, dataset, method, pairs)
    measured = seconds.measuring(run, dataset, pairs)
    if spent is None or measured is None:
        return 4 * SHORTEST
    return _minutes(spent + measured)


def preparation_mb(run: Run, dataset: str) -> int:
    """MB of a job that prepares cases, one after the other."""
    rate, voxels = seconds.jobs(run)["prepare"], seconds.largest_scan(run, dataset)
    if run.catalog.config["memory_mb"] or voxels is None:
        return memory_mb(run)
    return _asked(rate["start"] + rate["bytes"] * voxels / 1e6)


def preparation_minutes(run: Run, dataset: str, batch: str) -> int:
    """Minutes of a job that prepares cases."""
    spent = seconds.preparing(run, dataset, len(batch_cases(run, dataset, batch)))
    return 2 * SHORTEST if spent is None else _minutes(spent)


def pictures_mb(run: Run, paper: str) -> int:
    """MB of a job that draws a paper's pairs, into figures or the explorer's pages."""
    rate, sizes = seconds.jobs(run)["pictures"], known(run.catalog)
    datasets = {row["dataset"] for row in table_rows(run.catalog.paper(paper))}
    voxels = [typical_case(run, dataset, sizes) for dataset in datasets]
    if run.catalog.config["memory_mb"] or None in voxels:
        return memory_mb(run)
    counted = _asked(rate["start"] + rate["bytes"] * max(voxels, default=0) / 1e6)
    return max(PICTURES, counted)


def training_mb(run: Run, dataset: str, method: str) -> int:
    """MB of a training: its data, its share of them at the least, and on a CPU its step."""
    spec = recipe(run.catalog, dataset, method)
    shape = training_shape(run, dataset, spec, known(run.catalog)["grids"])
    data = training_bytes(run, dataset, method, spec, shape)
    if run.catalog.config["memory_mb"]:
        return memory_mb(run)
    if data is None:
        return memory_mb(run) + AHEAD * training_workers(run, dataset, method)
    step = 0.0
    if run.catalog.device == "cpu":
        rate = seconds.jobs(run)["steps"].get(spec["network"]["name"], {}).get("bytes")
        if rate is None:
            return memory_mb(run)
        training = spec["training"]
        step = rate * math.prod(training.get("crop") or shape) * training["batch_size"]
    need = max(READING * data + CONVOLVING * step, data / SHARE) / 1e6
    need += LEAST + SNAKEMAKE + CUDA * run.gpus
    return math.ceil(min(MOST, largest_mb(run), need))


def largest_mb(run: Run) -> float:
    """The most MB that a training asks for, however often it is tried."""
    largest = OF_MACHINE * run.node_mb()
    return largest if math.isinf(largest) else math.floor(largest)


def training_minutes(run: Run, dataset: str, method: str) -> int:
    """Minutes of a training; `LONGEST` where nobody knows how long it takes."""
    spent = seconds.training(run, dataset, method)
    if spent is None:
        return LONGEST
    on = run.catalog.config["threads"] if run.catalog.device == "cpu" else 1
    return min(LONGEST, _minutes(spent / on))


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


def _asked(need: float) -> int:
    return math.ceil(max(LEAST, SNAKEMAKE + ROOM * need))


def _minutes(spent: float) -> int:
    return max(SHORTEST, math.ceil(BESIDE + SLOWER * spent / 60))
