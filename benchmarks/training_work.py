"""Floating-point operations of training steps, for config/budget.yaml: the most of each network.

    python benchmarks/training_work.py [demo cpu paper]

Counted on tensors without contents, as `warpline budget` does: 1e9 operations a million voxels of a
batch, or a patch where a training learns from patches; and bytes that a step keeps alive a voxel.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from warpline.plan.config import SCALES
from warpline.plan.experiments import trainings_of
from warpline.plan.places import Places, project_folder
from warpline.plan.run import Run
from warpline.plan.trainings import recipe
from warpline.training.budget import step_cost

PAPERS = ["estienne2020", "bouabid2019", "sokooti2017", "hansen2020", "hu2020"]
SIDE = (64, 64, 64)


def main() -> None:
    for scale in sys.argv[1:] or SCALES:
        most: dict[str, tuple[float, float]] = {}
        for network, work, alive in costs(scale):
            before = most.get(network, (0.0, 0.0))
            most[network] = max(before[0], work), max(before[1], alive)
        for network, (work, alive) in most.items():
            print(f"{scale:6s}{network:24s}{work:10.1f} GFLOP {alive:12.0f} bytes", flush=True)


def costs(scale: str) -> Iterator[tuple[str, float, float]]:
    """Network, operations and bytes of every training of the papers at a scale."""
    run = Run({"papers": PAPERS, "scale": scale}, Places.here(project_folder()))
    seen = set()
    for dataset, method in (p for paper in PAPERS for p in trainings_of(run.catalog, paper)):
        spec = recipe(run.catalog, dataset, method)
        if (key := str([spec["network"], spec["loss"]])) in seen:
            continue
        seen.add(key)
        patches = spec["training"]["objective"] == "synthetic"
        labels = len(run.catalog.dataset(dataset).spec["labels"])
        cost = step_cost(spec, (1, 1, 1) if patches else SIDE, labels)
        examples = spec["training"]["batch_size"] * (1 if patches else math.prod(SIDE) / 1e6)
        bytes_each = cost.bytes / examples / (1 if patches else 1e6)
        yield spec["network"]["name"], cost.operations / 1e9 / examples, bytes_each


if __name__ == "__main__":
    main()
