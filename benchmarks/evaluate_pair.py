"""Time to evaluate a 64³ pair with two labels, part by part; or a large one as Learn2Reg does too.

    python benchmarks/evaluate_pair.py [--size 64] [--repeats 20] [--threads 2]
    python benchmarks/evaluate_pair.py --learn2reg [--repeats 3] [--threads 1]

With `--learn2reg` a pair of 192 × 160 × 192 with 13 labels is evaluated, and beside it by the steps
of the challenge's `evaluation.py` with DeepMind's package `surface-distance`; the sides take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
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


def organs(grid: Grid, rng: np.random.Generator) -> Image:
    """Thirteen ellipsoids, half-axes of 6 to 40 voxels, where an earlier one is not."""
    labels = np.zeros(grid.shape, np.uint8)
    index = grid.indices().astype(np.float32)
    for label in range(13, 0, -1):
        axes = np.float32(rng.uniform(6, 40, 3))
        centre = np.float32(rng.uniform(0.2, 0.8, 3) * grid.shape)
        labels[(((index - centre) / axes) ** 2).sum(-1) < 1] = label
    return Image(labels, grid)


def learn2reg(fixed: np.ndarray, moving: np.ndarray, voxel: np.ndarray) -> dict[str, float]:
    """SDlogJ, Dice and HD95 of label maps by a displacement (3, z, y, x), as the challenge does."""
    from surface_distance import compute_robust_hausdorff, compute_surface_distances

    slopes = []
    for axis in range(3):
        kernel = np.array([-0.5, 0, 0.5]).reshape([3 if k == axis else 1 for k in range(3)])
        slopes.append([ndimage.correlate(part, kernel, mode="constant") for part in voxel])
    jacobian = np.moveaxis(np.array(slopes), (0, 1), (-2, -1)) + np.eye(3)
    determinant = (np.linalg.det(jacobian[2:-2, 2:-2, 2:-2]) + 3).clip(1e-9, 1e9)
    result = {"sdlogj_learn2reg": float(np.log(determinant).std())}
    identity = np.stack(np.meshgrid(*map(np.arange, fixed.shape), indexing="ij"))
    warped = ndimage.map_coordinates(moving, identity + voxel, order=0)
    for label in range(1, 14):
        a, b = fixed == label, warped == label
        if not a.any() or not (moving == label).any():
            continue
        result[f"dice {label}"] = 2 * (a & b).sum() / (a.sum() + b.sum())
        distances = compute_surface_distances(a, b, np.ones(3))
        result[f"hd95_voxels {label}"] = compute_robust_hausdorff(distances, 95.0)
    return result


def beside_learn2reg(repeats: int) -> None:
    """Both ways on one pair: seconds of CPU, their ratio, and the largest difference."""
    rng = np.random.default_rng(0)
    grid = Grid((192, 160, 192))
    image = Image(rng.random(grid.shape, dtype=np.float32), grid)
    fixed, moving = (Case(name, image, organs(grid, np.random.default_rng(1))) for name in "ab")
    smooth = [ndimage.gaussian_filter(rng.normal(size=grid.shape), 8) for _ in range(3)]
    # Multiples of 1/128 off the halves: no point lies where the two may round it differently.
    voxel = np.round(np.array(smooth) / np.std(smooth) * 3 * 128) / 128 + 1 / 512
    index = grid.indices() + voxel.transpose(1, 2, 3, 0)
    voxel -= (
        (index < 0) * index
        + (index > np.array(grid.shape) - 1) * (index - np.array(grid.shape) + 1)
    ).transpose(3, 0, 1, 2)
    field = DisplacementField(voxel[::-1].transpose(1, 2, 3, 0), grid)
    names = {label: str(label) for label in range(1, 14)}
    seconds: dict[str, list[float]] = {"warpline": [], "learn2reg": []}
    for _ in range(repeats):
        started = time.process_time()
        rows = evaluate_pair(fixed, moving, field, labels=names)
        seconds["warpline"].append(time.process_time() - started)
        started = time.process_time()
        expected = learn2reg(fixed.labels.array, moving.labels.array, voxel)
        seconds["learn2reg"].append(time.process_time() - started)
    own = {f"{r['metric']} {r['label']}".strip(): r["value"] for r in rows}
    worst = max(abs(own[name] - value) for name, value in expected.items())
    ours, theirs = (statistics.median(values) for values in seconds.values())
    print(
        f"192 × 160 × 192, 13 labels: {ours:.2f} s, Learn2Reg's way {theirs:.2f} s, "
        f"{theirs / ours:.1f} times; {len(expected)} numbers differ by {worst:.1e} at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--learn2reg", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.learn2reg:
        beside_learn2reg(arguments.repeats)
        return

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
