"""How the settings that Hansen & Heinrich 2020 leave open were chosen: errors of many settings.

    python benchmarks/hansen2020_settings.py [--scale cpu] [--training 4] [--pairs 3]
        [--dimensions 0 256 512] [--strength ...] [--temperature ...] [--neighbours ...]
        [--patch ...] [--share ...] [--shift ...] [--keep FOLDER] [--threads 2]

Generated breathing patients, none of which stands in a table: at scale `cpu` of 256 × 256 × 94
voxels, at `demo` of 64 × 64 × 47. On `--training` of them the feature network and the embedding are
learned as the recipes say, on `--pairs` others the settings are compared; 0 dimensions, and a share
of 0, are none. The error is the mean over all landmarks, whose places at exhale are exact. With
`--keep` the patients and the weights stay in a folder and are taken from it the next time.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from warpline import networks
from warpline.acquire.formats.dirlab import DIRECTION, OFFSET
from warpline.cases.case import Case, read_case, write_case
from warpline.cases.steps import prepare
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.networks.weights import save_weights, trained
from warpline.phantoms.providers.dirlab import stored_pair
from warpline.plan.catalog import Catalog
from warpline.plan.recipe import NetworkEntry
from warpline.registration.embedding import pca
from warpline.registration.embedding.boxes import lung_box
from warpline.registration.embedding.densify import densify
from warpline.registration.embedding.graph import diffuse, laplacian
from warpline.registration.embedding.pair_search import STRIDE, Search, search_pair
from warpline.registration.embedding.search import displacements, soft_argmin, to_one_depth
from warpline.registration.embedding.settings import Settings
from warpline.training.descriptors import DescriptorObjective, Sampling
from warpline.training.loop import train
from warpline.training.settings import Settings as TrainingSettings

SEED = 1877  # not of the datasets
GRIDS = {
    "cpu": Grid((94, 256, 256), (1.1, 1.1, 2.5), direction=DIRECTION),
    "demo": Grid((47, 64, 64), (4.4, 4.4, 5.0), direction=DIRECTION),
}
ROOT = Path(__file__).resolve().parent.parent
STEPS = [{"segment_lungs": {}}, {"orient": {}}, {"clip_background": {}}]


def patient(folder: Path, number: int, grid: Grid) -> tuple[Case, Case]:
    """Inhale and exhale of a patient, with exact landmarks."""
    names = [f"{number}-{phase}" for phase in ("inhale", "exhale")]
    if not (folder / names[1]).exists():
        pair = stored_pair((SEED, number), grid, diaphragm=(10, 30), threads=2)
        stored = ((pair.inhale, pair.inhale_points), (pair.exhale, pair.true_points))
        for name, (volume, points) in zip(names, stored, strict=True):
            marks = grid.index_to_physical(points[:, ::-1] - 1)
            table = pd.DataFrame(marks, columns=["x", "y", "z"])
            table.insert(0, "id", [str(i) for i in range(len(marks))])
            case = Case(name, Image(volume - np.int16(OFFSET), grid), landmarks=table)
            write_case(folder / name, prepare(case, STEPS))
    return tuple(read_case(folder / name) for name in names)


def feature_network(folder: Path, cases: list[Case], recipe: Mapping[str, Any]) -> nn.Module:
    """The feature network of a recipe, trained on the cases."""
    weights = folder / "features.safetensors"
    if weights.exists():
        return trained(NetworkEntry.of(recipe), weights, torch.device("cpu"))
    torch.manual_seed(recipe["seed"])
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    training = recipe["training"]
    objective = DescriptorObjective(
        [prepare(case, recipe["prepare"]) for case in cases],
        [],
        error=recipe["loss"]["error"],
        batch_size=training["batch_size"],
        sampling=Sampling(**training["sampling"]),
        seed=recipe["seed"],
    )
    settings = TrainingSettings.of(training, recipe["seed"], validated=False)
    with tempfile.TemporaryDirectory() as state:
        train(network, objective, settings, state, label="features")
    save_weights(weights, network)
    return network.eval()


@torch.inference_mode()
def errors(
    search: Search, embedding: pca.Pca | None, settings: Settings, fixed: Case, moving: Case
) -> np.ndarray:
    """Distances (n,) mm of the mapped landmarks; `register` without its dense field."""
    index = search.points * STRIDE + (STRIDE - 1) / 2
    points = search.fixed.index_to_physical(index.numpy())
    graph = laplacian(torch.from_numpy(points), settings.neighbours)
    maps = search.maps if embedding is None else embedding.encode(search.maps)
    maps = diffuse(maps, graph, settings.strength)
    maps = maps if embedding is None else embedding.decode(maps)
    moves = displacements(settings.radius, settings.step) * STRIDE
    found = soft_argmin(to_one_depth(maps), moves, settings.temperature)
    voxel = densify(index, found, search.fixed.shape, settings.corrections)
    field = DisplacementField.from_voxel(voxel, search.fixed, search.moving)
    return distances(field, fixed, moving)


def distances(field: DisplacementField, fixed: Case, moving: Case) -> np.ndarray:
    """Of the mapped landmarks from where they are, (n,) mm."""
    marks, there = (case.landmarks[["x", "y", "z"]].to_numpy() for case in (fixed, moving))
    return np.linalg.norm(field.transform_points(marks) - there, axis=1)


def before(fixed: Case, moving: Case, settings: Settings) -> tuple[float, float]:
    """Mean errors (mm) without a registration, and with one box of the lungs on the other."""
    boxes = [
        lung_box(case, fixed.grid.direction, settings.shape, settings.margin)
        for case in (fixed, moving)
    ]
    still = torch.zeros(1, 3, *settings.shape)
    fields = DisplacementField.identity(fixed.grid), DisplacementField.from_voxel(still, *boxes)
    return tuple(float(distances(field, fixed, moving).mean()) for field in fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=GRIDS, default="cpu")
    parser.add_argument("--training", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dimensions", type=int, nargs="*", default=[0, 256, 512])
    parser.add_argument("--strength", type=float, nargs="*", default=[0.1, 0.3, 1.0, 3.0])
    parser.add_argument("--temperature", type=float, nargs="*", default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--neighbours", type=int, nargs="*", default=[10, 15])
    parser.add_argument("--patch", type=int, nargs="*", default=[3])
    parser.add_argument("--share", type=float, nargs="*", default=[0.005])
    parser.add_argument("--shift", type=int, nargs="*", default=[3])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    catalog = Catalog({"scale": arguments.scale}, ROOT)
    chosen = catalog.method("hansen2020-512")["embedding"]
    folder = (arguments.keep or Path(tempfile.mkdtemp())) / arguments.scale
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(arguments.training + arguments.pairs)
    patients = [patient(folder, n, GRIDS[arguments.scale]) for n in numbers]
    learned, watched = patients[: arguments.training], patients[arguments.training :]
    recipe = catalog.method("hansen2020-features")
    network = feature_network(folder, [case for pair in learned for case in pair], recipe)
    starts = np.array([before(*pair, Settings(**chosen)) for pair in watched])
    for name, values in zip(("initial", "boxes aligned"), starts.T, strict=True):
        print(f"{name}: {values.mean():.2f} mm, " + " ".join(f"{v:.2f}" for v in values))
    print("patch share shift dimensions neighbours λ temperature | mean TRE (mm), of each pair")
    for patch, share, shift in itertools.product(arguments.patch, arguments.share, arguments.shift):
        basic = Settings(**chosen | {"patch": patch, "share": share or None, "shift": shift})
        full = None
        if any(arguments.dimensions):
            random = torch.Generator().manual_seed(0)
            maps = [search_pair(*pair, network, basic, generator=random).maps for pair in learned]
            full = pca.fit(maps, max(arguments.dimensions))
            del maps
        searches = [search_pair(*pair, network, basic) for pair in watched]
        for dimensions, neighbours, strength, temperature in itertools.product(
            arguments.dimensions, arguments.neighbours, arguments.strength, arguments.temperature
        ):
            settings = dataclasses.replace(
                basic, neighbours=neighbours, strength=strength, temperature=temperature
            )
            embedding = full.first(dimensions) if dimensions else None
            each = [
                errors(search, embedding, settings, *pair).mean()
                for search, pair in zip(searches, watched, strict=True)
            ]
            setting = f"{patch} {share:5g} {shift} {dimensions or 'none':>4} {neighbours:>3}"
            found = f"{np.mean(each):6.2f}  " + " ".join(f"{e:.2f}" for e in each)
            print(f"{setting} {strength:5g} {temperature:5g} | {found}", flush=True)


if __name__ == "__main__":
    main()
