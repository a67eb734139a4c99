"""What jobs write, counted as `warpline budget` counts it: the disk that they ask for."""

from __future__ import annotations

import math

from warpline.plan.inputs.cases import batch_cases
from warpline.plan.inputs.register import pairs_in_batch
from warpline.plan.rates import known
from warpline.plan.run import Run
from warpline.plan.volumes import prepared_shape

VECTOR, VOXEL = 12, 4  # bytes of a displacement, and of a prepared image, a voxel
# MB that a job asks for beside these, or where the size of its volumes is not known before.
LEAST, NOT_KNOWN = 100, 10_000


def fields_mb(run: Run, dataset: str, method: str, split: str, batch: str) -> int:
    """MB of the fields of a registration job, before they are packed."""
    return _mb(run, dataset, len(pairs_in_batch(run, dataset, method, split, batch)), VECTOR)


def cases_mb(run: Run, dataset: str, batch: str) -> int:
    """MB of the cases that a job prepares, before they are packed, with labels where there are."""
    labels = bool(run.catalog.dataset(dataset).spec["labels"])
    return _mb(run, dataset, len(batch_cases(run, dataset, batch)), VOXEL + labels)


def _mb(run: Run, dataset: str, volumes: int, size: int) -> int:
    shape = prepared_shape(run, dataset, known(run.catalog)["grids"])
    return (
        NOT_KNOWN if shape is None else LEAST + math.ceil(volumes * math.prod(shape) * size / 1e6)
    )
