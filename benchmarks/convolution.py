"""The layer of warpline against torch's own 3-D convolution, forward and backward, on one thread.

python benchmarks/convolution.py [repeats]
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from torch import nn

from warpline.networks import layers

# batch, input and output channels, (z, y, x): layers of the two networks at several sizes of grid
SHAPES = (
    (1, 10, 8, (32, 32, 32)),
    (1, 48, 32, (16, 16, 16)),
    (1, 10, 8, (40, 40, 40)),
    (1, 48, 32, (20, 20, 20)),
    (1, 8, 8, (32, 48, 32)),
    (2, 8, 8, (32, 48, 32)),
    (2, 16, 8, (32, 48, 32)),
    (1, 10, 8, (48, 48, 48)),
    (2, 16, 8, (48, 64, 48)),
    (1, 10, 8, (64, 64, 64)),
)


def seconds(forward, image: torch.Tensor, repeats: int) -> float:
    """Median time of a forward and a backward pass."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        forward(image).square().sum().backward()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main(repeats: int = 7) -> None:
    torch.set_num_threads(1)
    last = torch.channels_last_3d
    print("batch channels      grid          voxels   torch ms    layer ms  ratio")
    for batch, inputs, outputs, shape in SHAPES:
        layer = layers.Conv3d(inputs, outputs, 3, padding=1)
        image = torch.rand(batch, inputs, *shape, requires_grad=True)
        reference = seconds(lambda x, layer=layer: nn.Conv3d.forward(layer, x), image, repeats)
        layer.to(memory_format=last)
        image = image.detach().contiguous(memory_format=last).requires_grad_()
        own = seconds(layer, image, repeats)
        grid = " × ".join(map(str, shape))
        print(
            f"{batch:5} {inputs:3} → {outputs:2}  {grid:14} {batch * torch.tensor(shape).prod():8}"
            f"  {1e3 * reference:9.1f}  {1e3 * own:9.1f}  {reference / own:5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
