"""From a velocity at half resolution to the warped image, and back: ours beside plain torch.

    python benchmarks/velocity.py [--shape 208 112 160] [--threads 1] [--repeats 3] [--device cpu]

Seven squarings, the step to full resolution and the warp of one image, forward and backward to the
velocity, as a training step of Hu et al. 2020 has them. The plain side is the usual composition of
`grid_sample` and `interpolate`. Both run in turn on the same velocity and their results are
compared; peak memory is that of a process of its own each, beyond what it held before. With more
than one thread on shared cores set OMP_WAIT_POLICY=passive.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from warp import extra_memory

from warpline.fields.algebra import exponentiate
from warpline.fields.sampling import warp
from warpline.networks.voxelmorph import finer

STEPS = 7


def ours(velocity: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return warp(image, finer(exponentiate(velocity, STEPS)))


def plain(velocity: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    def warped(volume: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        shape = displacement.shape[2:]
        axes = [torch.arange(n, device=volume.device, dtype=volume.dtype) for n in shape]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + displacement
        scale = torch.tensor([2.0 / (n - 1) for n in shape], device=volume.device)
        places = places * scale.view(3, 1, 1, 1) - 1.0
        places = places.permute(0, 2, 3, 4, 1).flip(-1)
        return F.grid_sample(volume, places, "bilinear", "border", align_corners=True)

    displacement = velocity / 2**STEPS
    for _ in range(STEPS):
        displacement = displacement + warped(displacement, displacement)
    displacement = 2.0 * F.interpolate(displacement, scale_factor=2.0, mode="trilinear")
    return warped(image, displacement)


SIDES = {"warpline": ours, "plain torch": plain}


def inputs(shape: tuple[int, ...], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth velocity of a few voxels at half resolution, and an image."""
    generator = torch.Generator().manual_seed(0)
    coarse = 6 * torch.randn(1, 3, *[max(2, n // 16) for n in shape], generator=generator)
    half = [n // 2 for n in shape]
    velocity = F.interpolate(coarse, half, mode="trilinear", align_corners=True)
    image = torch.rand(1, 1, *shape, generator=generator)
    return velocity.to(device).requires_grad_(), image.to(device)


def passes(side: Callable, velocity: torch.Tensor, image: torch.Tensor) -> Callable[[], tuple]:
    """A run forward and backward, giving the warped image and the gradient."""

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        warped = side(velocity, image)
        (gradient,) = torch.autograd.grad(warped.square().mean(), velocity)
        if velocity.is_cuda:
            torch.cuda.synchronize()
        return warped.detach(), gradient

    return run


def memory(run: Callable[[], tuple], device: str) -> float:
    """MiB beyond the inputs at the peak of a run."""
    if device == "cpu":
        return extra_memory(run)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(208, 112, 160))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--memory-of", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        passes(SIDES[options.memory_of], *inputs((16, 16, 16), options.device))()
        velocity, image = inputs(tuple(options.shape), options.device)
        run = passes(SIDES[options.memory_of], velocity, image)
        print(memory(run, options.device))
        return

    velocity, image = inputs(tuple(options.shape), options.device)
    runs = {name: passes(side, velocity, image) for name, side in SIDES.items()}
    results = [run() for run in runs.values()]
    apart = [float((a - b).abs().max()) for a, b in zip(*results, strict=True)]
    del results
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    shape = " × ".join(map(str, options.shape))
    print(f"{shape}, {options.device}, {options.threads} threads, {options.repeats} repeats")
    print(f"largest difference: image {apart[0]:.1e}, gradient {apart[1]:.1e}")
    reference = statistics.median(times["plain torch"])
    for name, values in times.items():
        command = [sys.executable, __file__, "--memory-of", name, "--device", options.device]
        command += ["--shape", *map(str, options.shape), "--threads", str(options.threads)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        middle = statistics.median(values)
        print(
            f"{name:12} {middle:.3f} s (best {min(values):.3f}), {middle / reference:.2f} of "
            f"plain, peak {float(peak):.0f} MiB beyond the inputs"
        )


if __name__ == "__main__":
    main()
