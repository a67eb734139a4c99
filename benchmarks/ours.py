"""The project's own method beside others: error, folds and time of each, in one run.

    python benchmarks/ours.py hippocampus --real /folder/with/mirror [--pairs 30] [--split val]
    python benchmarks/ours.py chest [--pairs 5] [--seed 2009]
    python benchmarks/ours.py copd [--pairs 3] [--seed 2013]
    python benchmarks/ours.py ctmr [--pairs 6] [--seed 0]
    python benchmarks/ours.py abdomen [--pairs 15] [--seed 2020]
    python benchmarks/ours.py field [--pairs 1] [--seed 0] [--size 96]
    … [--methods warpline,warpline-fast,warpline-labels,warpline-unmasked,affine,syn,syn-mi,elastix,
      convexadam] [--threads 1]
      [--out rows.csv] [--set smoothness=0.02] [--cache /folder/for/generated/chests]

- hippocampus: Learn2Reg 2020's validation pairs that the mirror's archive allows, prepared as the
  dataset says at scale cpu; mean Dice of head and tail. ``--split train`` takes pairs of training
  cases instead, which settings may be chosen on.
- chest: generated patients of DIR-Lab's sizes at both ends of a deep breath, as `dirlab-4dct` has
  them, lungs segmented; distance in mm of 300 landmarks from their true places, with fractions.
- copd: the same of patients of COPD's sizes, in voxels twice as wide, of breaths of 25 to 30 mm
  that are uneven.
- ctmr: a generated abdomen in CT, and the same in shades as MR might have them (inverted, not
  linear, with a bias field of 40 % and noise), bent by a known smooth field; its mean error in mm
  inside the body.
- abdomen: generated subjects of 12 mm voxels, every pair of the six; mean Dice of 13 organs.
- field: a texture and a known smooth field; mean error in voxels, without the outer eighth.

``warpline-labels`` is told by a model of the house what is where (hippocampi, abdomens); its
seconds hold the segmentation. ``warpline-unmasked`` is not given the lungs. convexAdam is no
dependency: where it cannot be imported its rows are left out. Seconds are those of the wall and,
as ``cpu``, of the process' threads; on a shared machine the latter are to compare.
"""

from __future__ import annotations

import argparse
import pickle
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rows import append
from scipy import ndimage

from warpline.acquire.formats.dirlab import DIRECTION, OFFSET
from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.networks.weights import trained
from warpline.phantoms.providers.dirlab import stored_pair
from warpline.phantoms.providers.learn2reg import stored_scan
from warpline.plan.catalog import Catalog
from warpline.plan.models import Models
from warpline.plan.recipe import NetworkEntry
from warpline.registration.method import Method, registrar
from warpline.registration.variational.labels import Segmenter
from warpline.registration.variational.registrar import VariationalRegistrar
from warpline.registration.variational.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
CATALOG = Catalog({"scale": "cpu"}, ROOT)
FILES = {
    "affine": "affine",
    "syn": "syn",
    "syn-mi": "syn-mi",
    "elastix": "elastix-bspline",
    "warpline": "warpline",
    "warpline-fast": "warpline",
    "warpline-labels": "warpline-labels",
    "warpline-unmasked": "warpline",
}
SEGMENTERS = {"hippocampus": "hippocampus-segmenter", "abdomen": "abdomen-generated-segmenter"}
LUNGS = [{"segment_lungs": {}}]
Pair = tuple[str, Case, Case, Callable[[DisplacementField], float]]


def dice(fixed: Case, moving: Case) -> Callable[[DisplacementField], float]:
    """The mean over the labels that both cases have."""
    target = fixed.labels.array
    both = sorted((set(np.unique(target)) & set(np.unique(moving.labels.array))) - {0})

    def value(field: DisplacementField) -> float:
        warped = field.warp_labels(moving.labels, "background").array
        return float(
            np.mean(
                [
                    2
                    * ((warped == k) & (target == k)).sum()
                    / ((warped == k).sum() + (target == k).sum())
                    for k in both
                ]
            )
        )

    return value


def hippocampus(arguments: argparse.Namespace) -> Iterator[Pair]:
    mirror = Path(arguments.real) / "mirror"
    if arguments.split == "val":
        lines = (mirror / "l2r2020_task4_pairs_val.csv").read_text().split()[1:]
        pairs = [tuple(map(int, line.split(","))) for line in lines]
    else:
        ids = np.array((mirror / "l2r2020_task4_train.txt").read_text().split(), int)
        np.random.default_rng(arguments.seed).shuffle(ids)
        pairs = list(zip(ids[::2].tolist(), ids[1::2].tolist(), strict=True))
    steps = CATALOG.dataset("hippocampus").spec["prepare"]
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(mirror / "Task04_Hippocampus.tar") as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder) / "Task04_Hippocampus"

        def case(number: int) -> Case:
            image, labels = (
                read_image(root / part / f"hippocampus_{number:03d}.nii.gz")
                for part in ("imagesTr", "labelsTr")
            )
            return prepare(Case(f"{number:03d}", image, labels=labels), steps)

        for first, second in pairs[: arguments.pairs]:
            fixed, moving = case(first), case(second)
            yield f"{fixed.id}__{moving.id}", fixed, moving, dice(fixed, moving)


def breath(
    patient: str, arguments: argparse.Namespace, wider: int = 1, **parameters: object
) -> tuple[Case, Case, np.ndarray, np.ndarray]:
    """Inhale and exhale of a generated patient with lung masks, landmarks and their true places."""
    kept = arguments.cache / f"{patient}-{arguments.seed}.pkl" if arguments.cache else None
    if kept is not None and kept.exists():
        return pickle.loads(kept.read_bytes())
    dataset = "dirlab-copd" if patient.startswith("copd") else "dirlab-4dct"
    scan = Catalog({"scale": "paper"}, ROOT).dataset(dataset).spec["scans"][patient]
    (x, y, z), (dx, dy, dz) = scan["size"], scan["spacing"]
    size, sides = (z, y // wider, x // wider), (dx * wider, dy * wider, dz)
    grid = Grid(size, sides, direction=DIRECTION)
    seed = (arguments.seed, zlib.crc32(patient.encode()))
    pair = stored_pair(seed, grid, **{"diaphragm": (20, 30), **parameters})
    cases = [
        prepare(Case(f"{patient}-{phase}", Image(array - np.int16(OFFSET), grid)), LUNGS)
        for phase, array in (("inhale", pair.inhale), ("exhale", pair.exhale))
    ]
    points = [
        grid.index_to_physical((p - 1.0)[:, ::-1]) for p in (pair.inhale_points, pair.true_points)
    ]
    made = (*cases, *points)
    if kept is not None:
        kept.write_bytes(pickle.dumps(made))
    return made


def chest(arguments: argparse.Namespace) -> Iterator[Pair]:
    for patient in [f"case{k}" for k in range(1, 6)][: arguments.pairs]:
        yield landmarked(patient, *breath(patient, arguments))


def copd(arguments: argparse.Namespace) -> Iterator[Pair]:
    for patient in [f"copd{k}" for k in range(1, 11)][: arguments.pairs]:
        made = breath(patient, arguments, wider=2, diaphragm=(25, 30), uneven=0.3)
        yield landmarked(patient, *made)


def landmarked(
    patient: str, fixed: Case, moving: Case, points: np.ndarray, targets: np.ndarray
) -> Pair:
    """A pair whose error is that at landmarks."""

    def error(field: DisplacementField) -> float:
        return float(np.linalg.norm(field.transform_points(points) - targets, axis=1).mean())

    return patient, fixed, moving, error


# HU, and how bright MR shows them: air and bone dark, fat bright, what is between turned round.
SHADES = ((-1000, -200, -120, -60, 0, 60, 150, 400, 1500), (0, 0.05, 1, 0.9, 0.6, 0.4, 0.3, 0.1, 0))


def ctmr(arguments: argparse.Namespace) -> Iterator[Pair]:
    for k in range(arguments.pairs):
        rng = np.random.default_rng((arguments.seed, k, 7))
        image = stored_scan((arguments.seed, k), coarser=3).image
        grid, hu = image.grid, image.array.astype(np.float32)

        def smooth(millimetres: float, rng=rng, grid=grid) -> np.ndarray:
            sigma = millimetres / np.asarray(grid.spacing[::-1])
            made = ndimage.gaussian_filter(rng.standard_normal(grid.shape), sigma, mode="reflect")
            return made / np.abs(made).max()

        shade = np.interp(hu, *SHADES) * (1 + 0.4 * smooth(80)) + rng.normal(0, 0.03, hu.shape)
        moving = Image((1000 * shade).astype(np.float32), grid)
        true = DisplacementField(np.stack([15 * smooth(40) for _ in range(3)], axis=-1), grid)
        fixed = true.warp_image(Image(hu, grid), outside=-1000.0)
        body = ndimage.binary_opening(fixed.array > -300, iterations=2)

        def error(found: DisplacementField, true=true, body=body) -> float:
            return float(np.linalg.norm((found.vectors - true.vectors)[body], axis=-1).mean())

        yield f"subject{k}", Case(f"ct{k}", fixed), Case(f"mr{k}", moving), error


def abdomen(arguments: argparse.Namespace) -> Iterator[Pair]:
    cases = []
    for name in ("0001", "0004", "0007", "0010", "0013", "0016"):
        seed = arguments.seed, zlib.crc32(f"AbdomenCTCT/{name}".encode())
        scan = stored_scan(seed, coarser=6)
        cases.append(Case(name, scan.image, labels=scan.labels))
    for fixed, moving in list(combinations(cases, 2))[: arguments.pairs]:
        yield f"{fixed.id}__{moving.id}", fixed, moving, dice(fixed, moving)


def field(arguments: argparse.Namespace) -> Iterator[Pair]:
    size = arguments.size
    grid = Grid((size,) * 3)
    for k in range(arguments.pairs):
        rng = np.random.default_rng((arguments.seed, k))

        def noise(sigma: float, parts: int = 1, rng=rng) -> np.ndarray:
            made = rng.standard_normal((parts, *grid.shape))
            made = ndimage.gaussian_filter(made, (0, sigma, sigma, sigma), mode="wrap")
            return made / made.std()

        texture = (noise(1.5) + 2 * noise(4) + 3 * noise(10))[0]
        truth = noise(size / 8, 3)
        truth *= 0.04 * size / np.abs(truth).max()
        true = DisplacementField(np.moveaxis(truth, 0, -1)[..., ::-1], grid)
        moving = Image(texture.astype(np.float32), grid)
        places = grid.indices().transpose(3, 0, 1, 2) + truth
        warped = ndimage.map_coordinates(texture, places, order=3, mode="nearest")
        fixed = Image(warped.astype(np.float32), grid)
        inner = (slice(size // 8, -size // 8),) * 3

        def error(found: DisplacementField, true=true, inner=inner) -> float:
            return float(np.linalg.norm((found.vectors - true.vectors)[inner], axis=-1).mean())

        yield f"field{k}", Case("f", fixed), Case("m", moving), error


def convexadam(fixed: Case, moving: Case) -> DisplacementField:
    """With its own defaults; both images lie on one grid."""
    from convexAdam.convex_adam_MIND import convex_adam_pt

    arrays = [torch.from_numpy(case.image.array.astype(np.float32)) for case in (fixed, moving)]
    found = convex_adam_pt(*arrays, dtype=torch.float32, device=torch.device("cpu"))
    voxel = torch.from_numpy(np.moveaxis(np.asarray(found, np.float32), -1, 0).copy())
    return DisplacementField.from_voxel(voxel, fixed.grid, moving.grid)


@cache
def segmenter(name: str) -> Segmenter:
    """A model of the house, for cases that are prepared as those that it learned from."""
    models, cpu = Models(ROOT), torch.device("cpu")
    recipe = models.card(name)["recipe"]
    entry = NetworkEntry.of(recipe)
    network = trained(entry, models.file(name, "safetensors"), cpu)
    return Segmenter(network, recipe["training"]["sampling"]["crop"], entry.steps, cpu)


def run(name: str, fixed: Case, moving: Case, arguments: argparse.Namespace) -> DisplacementField:
    if name == "convexadam":
        return convexadam(fixed, moving)
    if name == "identity":
        return DisplacementField.identity(fixed.grid)
    spec = CATALOG.method(FILES[name])
    if name.startswith("warpline"):
        changes = dict(item.split("=") for item in arguments.set)
        own = {key: float(value) if value[0].isdigit() else value for key, value in changes.items()}
        quality = {"quality": "fast"} if name.endswith("fast") else {}
        spec = {**spec, "warpline": {**spec["warpline"], **quality, **own}}
    if name == "warpline-labels":
        eyes = segmenter(SEGMENTERS[arguments.set_name])
        own = Settings(**spec["warpline"])
        return VariationalRegistrar(own, "cpu", eyes).register(fixed, moving).field
    if name == "warpline-unmasked":
        fixed, moving = replace(fixed, mask=None), replace(moving, mask=None)
    files = [str(ROOT / path) for path in spec["parameter_files"]]
    method = Method.of(spec, parameter_files=files, threads=arguments.threads)
    with registrar(method, "cpu", "benchmark") as chosen:
        return chosen.register(fixed, moving).field


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sets = {each.__name__: each for each in (hippocampus, chest, copd, ctmr, abdomen, field)}
    parser.add_argument("set_name", choices=sets, metavar="set")
    parser.add_argument("--real", help="folder with mirror/")
    parser.add_argument("--split", choices=("val", "train"), default="val")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="so many of the first pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--methods", default="identity,affine,warpline,syn,elastix,convexadam")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], help="settings of warpline, key=value")
    parser.add_argument("--cache", type=Path, help="folder that keeps generated chests")
    parser.add_argument("--out", type=Path, help="a row for each pair and method, as they come")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    missing: set[str] = set()
    for pair, fixed, moving, value in islice(
        sets[arguments.set_name](arguments), arguments.skip, None
    ):
        for name in arguments.methods.split(","):
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                found = run(name, fixed, moving, arguments)
            except ImportError as error:
                if name not in missing:
                    print(f"{name} is left out: {error}")
                missing.add(name)
                continue
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            folds = float((found.jacobian_determinant() <= 0).mean())
            row = {"pair": pair, "method": name, "value": value(found), "folds": folds}
            rows.append(row | {"seconds": wall, "cpu": cpu})
            print(
                " ".join(f"{v:.4g}" if isinstance(v, float) else v for v in rows[-1].values()),
                flush=True,
            )
            if arguments.out:
                append(arguments.out, rows[-1])
    table = pd.DataFrame(rows).groupby("method", sort=False)
    print(table[["value", "folds", "seconds", "cpu"]].mean().assign(n=table.size()).to_string())


if __name__ == "__main__":
    main()
