"""How sure `warpline` is of generated pairs, how right it is, and whether the one tells the other.

    python benchmarks/confidence.py run --seed 77 --draws 6 --out fitted.csv [--kinds shift,metal]
    python benchmarks/confidence.py run --seed 2009 --draws 6 --out checked.csv
    python benchmarks/confidence.py fit fitted.csv      the curve's numbers (`variational/sure.py`)
    python benchmarks/confidence.py check checked.csv   how often what it calls sure is right

A draw is a generated patient at both ends of a breath (the diaphragm moves 10 to 20 mm), in voxels
of 3.9 × 3.9 × 2.5 mm, without masks; each kind makes one thing of it hard:

- plain: nothing;            - rotation: 30° about a random axis;   - shift: 100 mm, any direction;
- view: half of the slices;  - thick: slices of 5 mm;               - noise: 50 HU beside its own;
- metal: a streaking implant; - inverted: the contrast of the moving image, and not linearly;
- constant: the moving image; - unrelated: a texture instead of it; - empty: both of one value;
- turned: 60° about a random axis; - quarter of the slices; - grain: noise of 300 HU;
- all: rotation, shift, view and noise at once;
- eighth of the slices; - astray: 10 to 60 mm away, and no start is looked for.

The error is the mean distance in mm of up to 300 landmarks, those that the moving image still
holds, from their exact places; of the last three kinds there is none, and nothing is right. Right
is what is below `RIGHT`, sure what has a confidence of at least `SURE`.
"""

from __future__ import annotations

import argparse
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rows import append
from scipy import ndimage, optimize

from warpline.acquire.formats.dirlab import DIRECTION, OFFSET
from warpline.cases.case import Case
from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to
from warpline.phantoms.providers.dirlab import stored_pair
from warpline.registration.variational import pipeline
from warpline.registration.variational.call import settings_of
from warpline.registration.variational.sure import LEAST, SURE, WEIGHTS, confidence

RIGHT = 5.0  # mm
DRAWN = 0.02  # weight of the squares of a curve's slopes, in spreads of what they are of
GRID = Grid((94, 64, 64), (3.9, 3.9, 2.5), direction=DIRECTION)
AIR = -1024.0
NOTHING = ("constant", "unrelated", "empty")
KINDS = (
    *("plain", "rotation", "shift", "view", "thick", "noise", "metal", "inverted"),
    *("turned", "quarter", "grain", "all", "eighth", "astray"),
    *NOTHING,
)


def draw(seed: int, number: int) -> tuple[Image, Image, np.ndarray, np.ndarray]:
    """Inhale, exhale, landmarks at inhale and their exact places at exhale."""
    pair = stored_pair((seed, number), GRID, diaphragm=(10, 20))
    images = [
        Image((array - np.int16(OFFSET)).astype(np.float32), GRID)
        for array in (pair.inhale, pair.exhale)
    ]
    points = [
        GRID.index_to_physical((p - 1.0)[:, ::-1]) for p in (pair.inhale_points, pair.true_points)
    ]
    return (*images, *points)


def turned(
    image: Image, points: np.ndarray, degrees: float, rng: np.random.Generator
) -> tuple[Image, np.ndarray]:
    """An image turned about a random axis through its middle, and its points."""
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    turn = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    middle = image.grid.index_to_physical((np.asarray(image.grid.shape) - 1) / 2)
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = turn.T, middle - turn.T @ middle
    moved = resample_to(image, image.grid, matrix=back, fill=AIR)
    return moved, (points - middle) @ turn.T + middle


def streaks(image: Image, rng: np.random.Generator) -> Image:
    """An implant of 3000 HU in ten slices, with streaks that fade from it."""
    array = image.array.copy()
    depth, rows, columns = array.shape
    at = [rng.integers(n // 3, 2 * n // 3) for n in (depth, rows, columns)]
    y, x = np.mgrid[:rows, :columns]
    away = np.hypot(y - at[1], x - at[2])
    rays = np.cos(9 * np.arctan2(y - at[1], x - at[2])) * 900 * np.exp(-away / 25)
    for z in range(max(0, at[0] - 5), min(depth, at[0] + 5)):
        array[z] = np.where(away < 2.5, 3000, np.clip(array[z] + rays, AIR, 3000))
    return image.with_array(array.astype(np.float32))


def harder(
    kind: str, fixed: Image, moving: Image, points: np.ndarray, seed: int
) -> tuple[Image, Image, np.ndarray]:
    """A pair made hard: fixed, moving, and where the moving points now are."""
    rng = np.random.default_rng((seed, zlib.crc32(kind.encode())))
    for part in ("rotation", "shift", "view", "noise") if kind == "all" else (kind,):
        fixed, moving, points = _harder(part, fixed, moving, points, rng)
    return fixed, moving, points


def _harder(
    kind: str, fixed: Image, moving: Image, points: np.ndarray, rng: np.random.Generator
) -> tuple[Image, Image, np.ndarray]:
    grid, array = moving.grid, moving.array
    if kind in ("rotation", "turned"):
        degrees = 30 if kind == "rotation" else 60
        moving, points = turned(moving, points, degrees, rng)
    elif kind in ("shift", "astray"):
        far = rng.standard_normal(3)
        far *= (100 if kind == "shift" else rng.uniform(10, 60)) / np.linalg.norm(far)
        origin = tuple(float(v) for v in np.asarray(grid.origin) + far)
        moving, points = Image(array, replace(grid, origin=origin)), points + far
    elif kind in ("view", "quarter", "eighth"):
        slices = grid.shape[0] // {"view": 2, "quarter": 4, "eighth": 8}[kind]
        first = int(rng.integers(0, grid.shape[0] - slices + 1))
        half = Grid(
            (slices, *grid.shape[1:]),
            grid.spacing,
            tuple(map(float, grid.index_to_physical(np.array([first, 0, 0])))),
            grid.direction,
        )
        moving = Image(array[first : first + slices].copy(), half)
    elif kind == "thick":
        both = (array[0::2] + array[1::2]) / 2
        origin = tuple(map(float, grid.index_to_physical(np.array([0.5, 0, 0]))))
        size = (*grid.spacing[:2], 2 * grid.spacing[2])
        moving = Image(both, Grid(both.shape, size, origin, grid.direction))
    elif kind == "noise":
        fixed, moving = (
            image.with_array(image.array + rng.normal(0, 50, image.array.shape).astype(np.float32))
            for image in (fixed, moving)
        )
    elif kind == "metal":
        moving = streaks(moving, rng)
    elif kind == "inverted":
        shade = np.clip((array - AIR) / 2024, 0, 1)
        moving = moving.with_array((1000 * (1 - shade) ** 1.7).astype(np.float32))
    elif kind in ("constant", "empty"):
        moving = moving.with_array(np.zeros_like(array))
        fixed = fixed.with_array(np.zeros_like(array)) if kind == "empty" else fixed
    elif kind == "unrelated":
        texture = ndimage.gaussian_filter(rng.standard_normal(array.shape), 3)
        moving = moving.with_array((texture / texture.std() * 300 - 300).astype(np.float32))
    return fixed, moving, points


def error_of(field, fixed: np.ndarray, moving: np.ndarray, grid: Grid) -> float:
    """The mean error at the landmarks whose places the moving image holds."""
    index = grid.physical_to_index(moving)
    inside = ((index >= 0) & (index <= np.asarray(grid.shape) - 1)).all(axis=1)
    return float(
        np.linalg.norm(field.transform_points(fixed[inside]) - moving[inside], axis=1).mean()
    )


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    settings = settings_of(quality=arguments.quality)
    for number in range(arguments.draws):
        first, second, points, targets = draw(arguments.seed, number)
        for kind in arguments.kinds.split(","):
            fixed, moving, places = harder(kind, first, second, targets, arguments.seed + number)
            cpu = time.process_time()
            own = replace(settings, start="none") if kind == "astray" else settings
            found = pipeline.register(
                Case("fixed", fixed), Case("moving", moving), own, inverse=False
            )
            cpu = time.process_time() - cpu
            row = {"seed": arguments.seed, "draw": number, "kind": kind, "cpu": cpu}
            row["error"] = (
                np.nan if kind in NOTHING else error_of(found.field, points, places, moving.grid)
            )
            row["before"] = float(np.linalg.norm(points - places, axis=1).mean())
            row |= {key: float(value) for key, value in found.values.items()}
            print(" ".join(f"{v:.3g}" if isinstance(v, float) else f"{v}" for v in row.values()))
            append(arguments.out, row)


def fit(table: pd.DataFrame) -> None:
    """Print the weights of a logistic curve through all pairs, slightly drawn to 0.

    None has a sign that would make a result surer that is less alike, or stretches more.
    """
    names = list(WEIGHTS)[1:]
    values = table[names].clip(lower=LEAST).to_numpy(float)
    right = (table["error"] <= RIGHT).to_numpy(float)
    middle, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(values)), (values - middle) / spread])

    def loss(weights: np.ndarray) -> float:
        odds = design @ weights
        return float(
            np.logaddexp(0, -odds * (2 * right - 1)).sum() + DRAWN * (weights[1:] ** 2).sum()
        )

    bounds = [(None, None), *((None, 0) if name == "strain" else (0, None) for name in names)]
    weights = optimize.minimize(loss, np.zeros(design.shape[1]), bounds=bounds).x
    slopes = weights[1:] / spread
    print({"constant": round(float(weights[0] - slopes @ middle), 3)})
    print({name: round(float(slope), 3) for name, slope in zip(names, slopes, strict=True)})


def check(table: pd.DataFrame) -> None:
    """Print of each kind errors and confidences, and how often what is called sure is right."""
    # As the method now is: the rows may be older than its weights.
    sure = [confidence(row) for row in table.to_dict("records")]
    table = table.assign(right=table["error"] <= RIGHT, confidence=sure)
    table = table.assign(sure=table["confidence"] >= SURE)
    kinds = table.groupby("kind", sort=False)
    shown = kinds[["before", "error", "confidence", "right", "sure"]].mean()
    shown["worst"] = kinds["error"].max()
    print(shown.assign(n=kinds.size()).round(3).to_string())
    sure = table[table["sure"]]
    print(f"sure: {len(sure)} of {len(table)}, right of these: {int(sure['right'].sum())}")
    print(f"right and not called sure: {int((table['right'] & ~table['sure']).sum())}")
    bins = pd.cut(table["confidence"], [0, 0.2, 0.5, 0.8, 0.9, 1], include_lowest=True)
    print(table.groupby(bins, observed=True)["right"].agg(["mean", "size"]).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--seed", type=int, required=True)
    runs.add_argument("--draws", type=int, default=6)
    runs.add_argument("--kinds", default=",".join(KINDS))
    runs.add_argument("--quality", default=None)
    runs.add_argument("--out", type=Path, required=True)
    for name in ("fit", "check"):
        commands.add_parser(name).add_argument("rows", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments)
    else:
        rows = pd.concat(map(pd.read_csv, arguments.rows), ignore_index=True)
        # A few slices may hold no landmark.
        rows = rows[rows["error"].notna() | rows["kind"].isin(NOTHING)]
        {"fit": fit, "check": check}[arguments.command](rows)


if __name__ == "__main__":
    main()
