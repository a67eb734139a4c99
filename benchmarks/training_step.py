"""A training step of each paper's network beside the same network without warpline's layers.

    python benchmarks/training_step.py [names …] [--threads 1] [--repeats 5]
        [--before SRC]

Sides take turns, `--repeats` times, each time in a process of its own that takes three steps and
tells the CPU seconds of the faster one of the last two, so that other work and the first step's
set-up count little and the peak of memory is its own. Medians over the turns.

now
    The network and its losses as they are trained: forward, backward, Adam.
before
    The same by another version of the library, whose folder `src` is given.
plain
    The same with torch's own layers in torch's default layout of memory.
package, package+
    Of `voxelmorph`: the U-Net and the warp of VoxelMorph's own package (PyPI, 0.3), and the same
    network on warpline's convolutions, layout and warp. Their loss is that of `now`. Left out with
    a word where the package cannot be imported; it need not be installed for anything else.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENCODER, DECODER = (16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16)
NCC = {"similarity": {"name": "local_ncc", "weight": 1}}
# Name of the network, its parameters, (z, y, x) and batch; the loss of a registration network.
STEPS = {
    "bouabid2019": (
        "bouabid2019",
        {},
        (32, 48, 32),
        1,
        {
            "similarity": {"name": "mse", "weight": 1},
            "regularisation": {"name": "identity_gradients", "weight": 0.01},
        },
    ),
    "estienne2020": (
        "estienne2020",
        {},
        (64, 64, 64),
        1,
        {**NCC, "regularisation": {"name": "identity_gradients", "weight": 0.1}},
    ),
    "estienne2020-cpu": (
        "estienne2020",
        {"channels": (8, 16, 32, 64, 128)},
        (48, 64, 48),
        1,
        {**NCC, "regularisation": {"name": "identity_gradients", "weight": 0.1}},
    ),
    "hansen2020": ("hansen2020", {}, (48, 48, 48), 2, None),
    "hansen2020-voxelmorph": (
        "voxelmorph",
        {"encoder": ENCODER, "decoder": DECODER, "levels": 2, "half_resolution": True},
        (96, 96, 96),
        1,
        {**NCC, "regularisation": {"name": "displacement_gradient", "weight": 1}},
    ),
    "voxelmorph": (
        "voxelmorph",
        {"encoder": ENCODER, "decoder": DECODER},
        (96, 96, 96),
        1,
        {
            "similarity": {"name": "mse", "weight": 1},
            "regularisation": {"name": "displacement_gradient", "weight": 1},
        },
    ),
    "hu2020": (
        "hu2020",
        {},
        (96, 112, 96),
        1,
        {
            "similarity": {"name": "mse", "weight": 25},
            "regularisation": {"name": "velocity_prior", "weight": 1, "precision": 10},
        },
    ),
    "sokooti2017": ("sokooti2017", {}, (29, 27), 4, None),
}


def plainly() -> None:
    """Put torch's own layers, and its layout, in the place of warpline's."""
    import torch
    from torch import nn

    from warpline import networks
    from warpline.networks import layers

    layers.Conv3d.forward = nn.Conv3d.forward
    build = networks.build
    networks.build = lambda *a: build(*a).to(memory_format=torch.contiguous_format)


def step_of(name: str):
    """A network's parameters and a function that gives the loss of a step."""
    import numpy as np
    import torch

    from warpline import networks
    from warpline.networks.sokooti2017 import Patches
    from warpline.training.registration_loss import Batch, RegistrationLoss

    torch.manual_seed(0)
    kind, parameters, shape, batch, loss = STEPS[name]
    network = networks.build(kind, parameters).train()
    if kind == "sokooti2017":
        patches = Patches(*(torch.rand(batch, 1, *[n] * 3) for n in (29, 29, 27, 27)))
        target = torch.rand(batch, 3)
        return network, lambda: (network.displacements(patches) - target).abs().mean()
    images = torch.from_numpy(np.random.default_rng(0).random((2, batch, 1, *shape), np.float32))
    if loss is None:
        target = torch.rand(batch, 12, *(n // 2 for n in shape))
        return network, lambda: (network(images[0]) - target).square().mean()
    criterion = RegistrationLoss(loss, symmetric=False, masked=False)
    return network, lambda: criterion(network, Batch(images[0], images[1]))[0]


def package_step(ours: bool):
    """As `step_of`, of the package's network with the features of `ENCODER`."""
    import numpy as np
    import torch
    from torch import nn
    from voxelmorph.nn.models import VxmPairwise

    from warpline.fields.sampling import warp
    from warpline.networks.layers import Conv3d
    from warpline.training.losses import displacement_gradient, mean_squared_error

    torch.manual_seed(0)
    network = VxmPairwise(3, 1, 1, nb_features=ENCODER, integration_steps=0).train()
    shape = STEPS["voxelmorph"][2]
    moving, fixed = torch.from_numpy(np.random.default_rng(0).random((2, 1, 1, *shape), np.float32))
    if ours:
        network.to(memory_format=torch.channels_last_3d)
        for module in network.modules():
            if type(module) is nn.Conv3d:
                module.__class__ = Conv3d

    def loss():
        if ours:
            field = network(moving, fixed)
            warped = warp(moving, field)
        else:
            field, warped = network(moving, fixed, return_warped_source=True)
        return mean_squared_error(warped, fixed) + displacement_gradient(field)

    return network, loss


def measure(side: str, name: str, threads: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    if side == "plain":
        plainly()
    packaged = side.startswith("package")
    network, loss = package_step(side == "package+") if packaged else step_of(name)
    if side in ("before", "now"):
        network.to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    seconds, losses = [], []
    for _ in range(3):
        started = time.process_time()
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        seconds.append(time.process_time() - started)
        losses.append(float(value.detach()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": min(seconds[1:]), "memory": memory, "loss": losses[-1]}


def package_sides() -> list[str]:
    """The sides of VoxelMorph's package, if it can be imported."""
    try:
        importlib.import_module("voxelmorph")
    except ImportError as error:
        print(f"voxelmorph             package     left out: {error}")
        return []
    return ["package", "package+"]


def apart(side: str, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One turn of a side, in a process of its own."""
    paths = [str(arguments.before) if side == "before" else str(ROOT / "src")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__, name, "--one", side, "--threads", str(arguments.threads)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.names[0], arguments.threads)))
        return
    for name in arguments.names:
        sides = ["now", "plain"] + ["before"] * bool(arguments.before)
        if name == "voxelmorph":
            sides += package_sides()
        turns = [{s: apart(s, name, arguments) for s in sides} for _ in range(arguments.repeats)]
        found = {
            s: {key: statistics.median(turn[s][key] for turn in turns) for key in turns[0][s]}
            for s in sides
        }
        for side, result in found.items():
            ratio = result["seconds"] / found["now"]["seconds"]
            print(
                f"{name:22s} {side:10s} {result['seconds']:7.3f} s, {ratio:5.2f} of now, peak "
                f"{result['memory']:5.0f} MiB, loss {result['loss']:.6f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
