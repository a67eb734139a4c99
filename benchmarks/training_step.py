"""A training step of Estienne et al. 2020 (published size, 64³, batch 1) beside a plain network.

    python benchmarks/training_step.py [--threads 2] [--repeats 3]

The plain network is a residual-free U-Net of torch modules with the same channels and
convolutions, run forward and backward on the concatenated pair with a mean-squared loss: what the
convolutions alone cost. Each side runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from warpline import networks
from warpline.cases.case import Case
from warpline.images.grid import Grid, Image
from warpline.provenance.record import peak_memory
from warpline.training.augmentation import Augmentation
from warpline.training.data import CaseMemory
from warpline.training.registration import RegistrationObjective

SHAPE = (64, 64, 64)
CHANNELS, CONVOLUTIONS = (32, 64, 128, 256, 512), (1, 2, 3, 2)


class PlainUNet(nn.Module):
    """Convolution, instance norm, leaky ReLU; halving, doubling, concatenation; one output."""

    def __init__(self) -> None:
        super().__init__()

        def block(a: int, b: int, n: int) -> nn.Sequential:
            parts: list[nn.Module] = []
            for i in range(n):
                parts += [nn.Conv3d(a if i == 0 else b, b, 3, padding=1)]
                parts += [nn.InstanceNorm3d(b), nn.LeakyReLU(0.01, inplace=True)]
            return nn.Sequential(*parts)

        self.first = block(2, CHANNELS[0], 2)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.join = nn.ModuleList()
        for a, b, n in zip(CHANNELS, CHANNELS[1:], CONVOLUTIONS, strict=False):
            self.down.append(nn.Sequential(nn.Conv3d(a, b, 2, stride=2), block(b, b, n)))
            self.up.append(nn.ConvTranspose3d(b, a, 2, stride=2))
            self.join.append(block(2 * a, a, n))
        self.last = nn.Conv3d(CHANNELS[0], 3, 3, padding=1)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        skips = [self.first(pair)]
        for down in self.down:
            skips.append(down(skips[-1]))
        out = skips.pop()
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            out = join(torch.cat([up(out), skips.pop()], dim=1))
        return self.last(out)


def ours(symmetric: bool):
    """One step of the baseline (or of + sym.) with all its losses."""
    rng = np.random.default_rng(0)
    grid = Grid(SHAPE)
    cases = [
        Case(
            name,
            Image(rng.random(SHAPE, dtype=np.float32), grid),
            Image(rng.integers(0, 3, SHAPE, dtype=np.uint8), grid),
        )
        for name in "ab"
    ]
    objective = RegistrationObjective(
        CaseMemory(cases, [1, 2]),
        None,
        [],
        loss={
            "similarity": {"name": "local_ncc", "weight": 1},
            "dice": {"weight": 1},
            "regularisation": {"name": "identity_gradients", "weight": 0.1},
        },
        batch_size=1,
        symmetric=symmetric,
        augmentation=Augmentation(flip=True, rotation=20, translation=10, zoom=0.2),
        masked=True,
        seed=0,
    )
    network = networks.build("estienne2020", {})
    network.to(memory_format=torch.channels_last_3d)
    return network, lambda: objective.loss(network, objective.batch(0))[0]


def plain():
    """Forward and backward of the plain network."""
    network = PlainUNet()
    pair, target = torch.rand(1, 2, *SHAPE), torch.rand(1, 3, *SHAPE)
    return network, lambda: (network(pair) - target).square().mean()


def measure(name: str, threads: int, repeats: int) -> None:
    torch.set_num_threads(threads)
    network, loss = {"plain": plain, "baseline": lambda: ours(False), "sym": lambda: ours(True)}[
        name
    ]()
    optimiser = torch.optim.Adam(network.parameters())
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        seconds.append(time.perf_counter() - started)
    parameters = sum(p.numel() for p in network.parameters())
    result = {"seconds": statistics.median(seconds[1:]), "memory": peak_memory()}
    print(json.dumps({**result, "parameters": parameters}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=("plain", "baseline", "sym"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.threads, arguments.repeats)
        return
    results = {}
    for name in ("plain", "baseline", "sym"):
        command = [sys.executable, __file__, "--one", name]
        command += ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(done.stdout)
    for name, result in results.items():
        ratio = result["seconds"] / results["plain"]["seconds"]
        print(
            f"{name:9s} {result['seconds']:6.2f} s a step, {ratio:4.2f} of plain, peak "
            f"{result['memory']:.0f} MiB, {result['parameters'] / 1e6:.1f} M parameters"
        )


if __name__ == "__main__":
    main()
