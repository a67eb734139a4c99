"""Time to evaluate one 64³ pair with two labels, part by part.

python benchmarks/evaluate_pair.py [--size 64] [--repeats 20] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from warpline.cases.case import Case
from warpline.evaluation import metrics
from warpline.evaluation.pairs import evaluate_pair
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image


def make_case(grid: Grid, rng: np.random.Generator) -> Case:
    """Noise, and two touching ellipsoids of about the hippocampus's size."""
    z, y, x = np.indices(grid.shape) / grid.shape[0]
    centre = 0.5 + rng.uniform(-0.03, 0.03, 3)
    inside = (
        ((z - centre[0]) / 0.15) ** 2 + ((y - centre[1]) / 0.3) ** 2 + ((x - centre[2]) / 0.15) ** 2
    ) < 1
    labels = np.where(inside, np.where(y < centre[1], 1, 2), 0).astype(np.uint8)
    image = rng.normal(size=grid.shape).astype(np.float32)
    return Case("case", Image(image, grid), Image(labels, grid))


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    rng = np.random.default_rng(0)
    names = {1: "head", 2: "tail"}
    for spacing in [(1.0, 1.0, 1.0), (1.0, 1.0, 1.5)]:
        grid = Grid((arguments.size,) * 3, spacing=spacing)
        fixed, moving = make_case(grid, rng), make_case(grid, rng)
        noise = rng.normal(size=(*grid.shape, 3))
        smooth = gaussian_filter(noise, (4, 4, 4, 0))
        field = DisplacementField((2 * smooth / smooth.std()).astype(np.float32), grid)
        warped = field.warp_labels(moving.labels).array
        target = fixed.labels.array
        determinant = field.jacobian_determinant()
        parts = {
            "all of evaluate_pair": lambda f=fixed, m=moving, u=field: evaluate_pair(
                f, m, u, labels=names
            ),
            "Dice": lambda t=target, w=warped: metrics.dice(t, w, names),
            "surface distances": lambda t=target, w=warped, g=grid: metrics.surface_distances(
                t, w, names, g.spacing[::-1]
            ),
            "Jacobian": field.jacobian_determinant,
            "its logarithm": lambda d=determinant: metrics.sdlogj(d),
            "warping labels": lambda u=field, m=moving: u.warp_labels(m.labels),
        }
        print(f"{arguments.size}³, spacing {spacing} mm, {arguments.threads} threads")
        for name, part in parts.items():
            print(f"  {name:22s} {1000 * median_seconds(part, arguments.repeats):7.1f} ms")


if __name__ == "__main__":
    main()
