"""Pictures of the project's own method for docs/methods/warpline.md: a success, and a failure.

    python benchmarks/pictures.py docs/images [--cache /folder/for/generated/chests]

Both are generated patients at both ends of a breath, as `benchmarks/ours.py` makes them: case 1 of
``chest`` (seed 2009) with lung masks, and patient 1 of ``copd`` (seed 2013) without; its masks are
only drawn. Writes ``warpline-success.png`` and ``warpline-failure.png``, prints errors and folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from ours import chest, copd, run
from PIL import Image as Picture

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.registration import registration_figure
from warpline.files import atomic_path

WIDTH, COLOURS = 1100, 128  # pixels, and how many shades a picture has


def with_outlines(case: Case) -> Case:
    """The lungs as the label that is drawn."""
    return replace(case, labels=case.mask)


def picture(
    pair: tuple[str, Case, Case, Callable[[DisplacementField], float]],
    method: str,
    arguments: argparse.Namespace,
    target: Path,
) -> None:
    _, fixed, moving, error = pair
    found = run(method, fixed, moving, arguments)
    before, after = error(DisplacementField.identity(fixed.grid)), error(found)
    folds = int((found.jacobian_determinant() <= 0).sum())
    print(f"{target.name}: {before:.2f} mm before, {after:.2f} mm after, {folds} folded voxels")
    title = "lungs given" if method == "warpline" else "lungs not given"
    with TemporaryDirectory() as folder:
        drawn, _ = registration_figure(
            with_outlines(fixed),
            with_outlines(moving),
            {f"warpline, {title}": found},
            {1: "lungs"},
            Path(folder) / "figure",
            plane="coronal",
            notes={f"warpline, {title}": f"{before:.1f} → {after:.2f} mm"},
        )
        with Picture.open(drawn) as opened:
            small = opened.convert("RGB")
    height = round(small.height * WIDTH / small.width)
    with atomic_path(target) as temporary:
        small.resize((WIDTH, height), Picture.Resampling.LANCZOS).quantize(COLOURS).save(
            temporary, format="PNG", optimize=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path, help="folder that keeps generated chests")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    own = argparse.Namespace(cache=arguments.cache, pairs=1, threads=1, set=[])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    own.seed = 2009
    picture(next(chest(own)), "warpline", own, arguments.folder / "warpline-success.png")
    own.seed = 2013
    picture(next(copd(own)), "warpline-unmasked", own, arguments.folder / "warpline-failure.png")


if __name__ == "__main__":
    main()
