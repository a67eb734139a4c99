"""What registering a pair takes, at two sizes: the table 'jobs.register' of config/budget.yaml.

    python benchmarks/needs.py [--sizes 64 112] [--only syn warpline …]

Every kind of method, and the networks of the papers at their published widths with weights of
chance, registers a texture bent by a smooth field, each size in a process of its own, one thread.
Printed are the process' peak memory and the CPU seconds of the pair, with those of a program that
a method calls; then what follows from both: MB whatever the size, bytes a voxel, CPU seconds of a
pair whatever its size, and a million voxels.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = 32  # voxels along each axis
METHODS = (
    "identity",
    "affine",
    "elastix-bspline",
    "syn",
    "demons",
    "greedy",
    "convexadam",
    "warpline",
    "bouabid2019-alpha-1e-5",
    "hu2020-voxelmorph",
    "estienne2020-task4-sym",
    "estienne2020-task3-sym",
    "hansen2020-voxelmorph",
)


def spent() -> tuple[float, float]:
    """MB at the most so far and CPU seconds, of this process and its children together."""
    own, others = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = sum(u.ru_utime + u.ru_stime for u in (own, others))
    return (own.ru_maxrss + others.ru_maxrss) * 1024 / 1e6, seconds


def one(name: str, size: int) -> None:
    import torch
    from ours import field

    from warpline.plan.catalog import Catalog
    from warpline.registration.method import Method, registrar
    from warpline.registration.network import predict

    torch.set_num_threads(1)
    catalog = Catalog({"scale": "paper", "device": "cpu"}, ROOT)
    spec = catalog.method(name)
    if "network" in spec:
        import importlib

        module = importlib.import_module(f"warpline.networks.{spec['network']['name']}")
        network = module.Network(**spec["network"]["parameters"]).eval()
        register = partial(predict, network)
        doors = nullcontext()
    else:
        files = [str(ROOT / path) for path in spec["parameter_files"]]
        doors = registrar(Method.of(spec, parameter_files=files), "cpu", "benchmark")
    with doors as chosen:
        for each in (FIRST, size):  # the first one loads what it needs
            _, fixed, moving, _ = next(field(argparse.Namespace(size=each, pairs=1, seed=0)))
            _, before = spent()
            found = chosen.register(fixed, moving).field if chosen else register(fixed, moving)
            found.jacobian_determinant()
            found.warp_image(moving.image)
            peak, seconds = spent()
    print(json.dumps({"peak": peak, "seconds": seconds - before, "voxels": size**3}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(64, 112))
    parser.add_argument("--only", nargs="*", default=METHODS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], int(arguments.one[1]))
        return
    for name in arguments.only:
        measured = []
        for size in arguments.sizes:
            command = [sys.executable, __file__, "--one", name, str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: {done.stderr.splitlines()[-1]}", flush=True)
                break
            measured.append(json.loads(done.stdout.splitlines()[-1]))
        else:
            print(f"{name}: {told(*measured)}", flush=True)


def told(small: dict[str, float], large: dict[str, float]) -> str:
    """What two sizes took, and what follows for others."""
    a_voxel = (large["peak"] - small["peak"]) / (large["voxels"] - small["voxels"])
    start = large["peak"] - a_voxel * large["voxels"]
    rate = (large["seconds"] - small["seconds"]) / (large["voxels"] - small["voxels"]) * 1e6
    rate = min(rate, large["seconds"] / large["voxels"] * 1e6)
    pair = large["seconds"] - rate * large["voxels"] / 1e6
    sizes = " and ".join(
        f"{each['peak']:.0f} MB {each['seconds']:.1f} s" for each in (small, large)
    )
    return (
        f"{sizes}; start {start:.0f}, bytes {1e6 * a_voxel:.0f}, pair {pair:.2f}, "
        f"seconds {rate:.1f}"
    )


if __name__ == "__main__":
    main()
