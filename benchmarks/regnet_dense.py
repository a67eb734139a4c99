"""RegNet's dense field beside its patches slid over the volume, on a CPU (published size).

    python benchmarks/regnet_dense.py [--size 64] [--sample 64] [--threads 1]
    python benchmarks/regnet_dense.py --large 300 [--memory 3000] [--whole]

Sliding is timed on a sample of voxels, in batches of 16 patches, and scaled to all of the volume;
both answers are compared at the sample. Each side runs in a process of its own, so that peak memory
is its own. With `--large`, one tile of a large volume is timed at its centre with the whole volume
and its field in memory, and scaled by the number of tiles; with `--whole`, all of its tiles are
worked off. Beside the seconds by the clock it tells those of the CPU, of all threads.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from warpline import networks
from warpline.networks.sokooti2017 import Patches
from warpline.provenance.record import peak_memory

BATCH = 16


def network(memory: float) -> networks.RegistrationNetwork:
    torch.manual_seed(0)
    result = networks.build("sokooti2017", {"memory_mb": memory}).eval()
    with torch.no_grad():
        result.last.weight *= 100  # displacements of the size of a voxel
    return result


def images(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A pair of noise, HU."""
    generator = torch.Generator().manual_seed(1)
    moving = torch.randn(1, 1, size, size, size, generator=generator).mul_(300).sub_(500)
    return moving, moving.flip(2)


@torch.inference_mode()
def measure(side: str, size: int, sample: int, memory: float, answer: Path) -> dict:
    regnet = network(memory)
    moving, fixed = images(size)
    centres = torch.randint(size, (sample, 3), generator=torch.Generator().manual_seed(2))
    small = torch.zeros(1, 1, 4, 4, 4)
    regnet(small, small)  # the first convolution pays for its set-up
    started, worked = time.perf_counter(), time.process_time()
    if side == "sliding":
        found = [
            regnet.displacements(Patches.cut(moving[0, 0], fixed[0, 0], part))
            for part in centres.split(BATCH)
        ]
        seconds = (time.perf_counter() - started) * size**3 / sample
        torch.save(torch.cat(found), answer)
    elif side == "dense":
        field = regnet(moving, fixed).displacement[0]
        seconds = time.perf_counter() - started
        torch.save(field[:, *centres.T].T.clone(), answer)
    else:
        tile = regnet.tile((size, size, size))
        field = torch.zeros(1, 3, size, size, size)
        tiles = math.prod(-(-size // t) for t in tile)
        if side == "whole":
            regnet(moving, fixed)
        else:
            start = [size // 2 // t * t for t in tile]
            field[..., :1, :1, :1] = regnet._tile(moving, fixed, start, tile)[..., :1, :1, :1]
        times = 1 if side == "whole" else tiles
        return {
            "seconds": (time.perf_counter() - started) * times,
            "cpu": (time.process_time() - worked) * times,
            "memory": peak_memory(),
            "tile": tile,
            "tiles": tiles,
        }
    return {"seconds": seconds, "memory": peak_memory()}


def apart(side: str, arguments: argparse.Namespace, size: int, answer: Path) -> dict:
    """The measurement of one side in a process of its own."""
    command = [sys.executable, __file__, "--one", side, "--answer", str(answer)]
    for name in ("sample", "threads", "memory"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(
        [*command, "--size", str(size)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--sample", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=float, default=2048, help="of a tile, MiB")
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--whole", action="store_true", help="all tiles of the large volume")
    sides = ("dense", "sliding", "tile", "whole")
    parser.add_argument("--one", choices=sides, help=argparse.SUPPRESS)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(arguments.threads)
        sizes = arguments.size, arguments.sample, arguments.memory
        print(json.dumps(measure(arguments.one, *sizes, Path(arguments.answer))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.large:
            side = "whole" if arguments.whole else "tile"
            large = apart(side, arguments, arguments.large, Path(folder) / "none.pt")
            one, tiles = large["seconds"] / large["tiles"], large["tiles"]
            print(
                f"{arguments.large}³: {tiles} tiles of {large['tile']} (z, y, x), "
                f"{one:.1f} s each ({large['cpu'] / tiles:.1f} of the CPU), so "
                f"{large['seconds']:.0f} s in all ({large['cpu']:.0f} of the CPU), "
                f"peak {large['memory']:.0f} MiB"
            )
            return
        answers = {side: Path(folder) / f"{side}.pt" for side in ("dense", "sliding")}
        results = {
            side: apart(side, arguments, arguments.size, path) for side, path in answers.items()
        }
        a, b = (torch.load(path, weights_only=True) for path in answers.values())
    scaled = f"scaled from {arguments.sample} voxels"
    for side, result in results.items():
        print(
            f"{side:8s} {arguments.size}³: {result['seconds']:9.1f} s"
            f"{f' ({scaled})' if side == 'sliding' else ''}, peak {result['memory']:.0f} MiB"
        )
    ratio = results["sliding"]["seconds"] / results["dense"]["seconds"]
    print(
        f"dense is {ratio:.0f} times as fast; largest difference {(a - b).abs().max():.1e} voxels"
    )
    print(f"displacements of {a.abs().mean():.2f} voxels on average")


if __name__ == "__main__":
    main()
