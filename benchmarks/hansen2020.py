"""A pair registered by displacement embeddings: seconds of each stage and peak memory.

    python benchmarks/hansen2020.py [--size 192 160 192] [--keypoints 1500] [--radius 10]
        [--patch 3] [--step 1] [--components 512] [--threads 2] [--device cpu]

Scans of a phantom chest at inhale and exhale with 2.5 mm voxels are resampled to `--size`. The
network and the embedding hold random numbers, on which the cost does not depend; errors are not
looked at. Memory is that of the process before and after, so it includes the scans.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from warpline import networks
from warpline.cases.case import Case
from warpline.phantoms.anatomy import chest
from warpline.plan.catalog import Catalog
from warpline.provenance.record import peak_memory
from warpline.registration.embedding.pca import Pca
from warpline.registration.embedding.registration import register
from warpline.registration.embedding.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def pair() -> tuple[Case, Case]:
    """Inhale and exhale of a phantom chest, 2.5 mm voxels."""
    breath = chest.breathing((0, 0), shape=(134, 120, 160), spacing=2.5, diaphragm=30.0)
    return tuple(
        Case(name, scan.image, mask=scan.lungs.with_array((scan.lungs.array > 0).astype(np.uint8)))
        for name, scan in (("inhale", breath.inhale), ("exhale", breath.exhale))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(192, 160, 192), help="z y x")
    parser.add_argument("--keypoints", type=int, default=1500)
    parser.add_argument("--radius", type=int, default=10)
    parser.add_argument("--patch", type=int, default=3)
    parser.add_argument("--step", type=float, default=1.0)
    parser.add_argument("--components", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    fixed, moving = pair()
    published = Settings(**Catalog({"scale": "paper"}, ROOT).method("hansen2020-512")["embedding"])
    settings = replace(
        published,
        keypoints=arguments.keypoints,
        components=arguments.components,
        radius=arguments.radius,
        patch=arguments.patch,
        step=arguments.step,
        shape=tuple(arguments.size),
    )
    entries = (2 * arguments.radius + 1) ** 3
    rows = torch.randn(arguments.components, entries) / entries**0.5
    embedding = Pca(torch.zeros(entries), rows, torch.ones(arguments.components))
    network = networks.build("hansen2020", {}).eval().to(arguments.device)
    register(  # the first of everything pays for its set-up
        fixed,
        moving,
        network,
        Pca(torch.zeros(27), torch.eye(27), torch.ones(27)),
        replace(published, keypoints=50, components=27, radius=1, shape=(48, 48, 48)),
        arguments.device,
    )
    before = peak_memory()
    started = time.perf_counter()
    _, told = register(fixed, moving, network, embedding, settings, arguments.device)
    seconds = time.perf_counter() - started
    for stage, value in told.seconds.items():
        print(f"{stage:12s} {value:6.2f} s")
    print(f"{'in all':12s} {seconds:6.2f} s, {len(told.points)} keypoints")
    print(f"peak {peak_memory():.0f} MiB, {before:.0f} MiB before")


if __name__ == "__main__":
    main()
