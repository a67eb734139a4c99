"""``warpline evaluate``: the project's metrics of any program's field."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warpline.cli import options
from warpline.errors import WarplineError

if TYPE_CHECKING:
    import pandas as pd

    from warpline.cases.case import Case
    from warpline.images.grid import Grid, Image


@click.command()
@options.field_argument
@options.from_option
@click.option("--fixed", type=options.FILE, required=True, help="The fixed image.")
@click.option("--moving", type=options.FILE, required=True, help="The moving image.")
@click.option("--fixed-labels", type=options.FILE, help="Label map of the fixed image.")
@click.option("--moving-labels", type=options.FILE, help="Label map of the moving image.")
@click.option("--fixed-landmarks", type=options.FILE, help="Points of the fixed image.")
@click.option("--moving-landmarks", type=options.FILE, help="The same points, moving image.")
@click.option("--each", is_flag=True, help="Every label and landmark by itself.")
@options.json_option
@options.in_words
def evaluate(
    field: tuple[str, ...],
    source: str,
    fixed: Path,
    moving: Path,
    fixed_labels: Path | None,
    moving_labels: Path | None,
    fixed_landmarks: Path | None,
    moving_landmarks: Path | None,
    each: bool,
    machine: bool,
) -> None:
    """Measure the transform FIELD of any program by the metrics of this project.

    Always: how alike the images are (cc, mse) and how smooth the field is (sdlogj, folds). With
    label maps: Dice and surface distances of the labels that both have. With landmarks: the
    target registration error; landmarks are matched by their names. docs/architecture.md lists
    the metrics.

    \b
    Examples:
      warpline evaluate field.nii.gz --fixed a.nii.gz --moving b.nii.gz
      warpline evaluate out_ --from ants --fixed a.nii --moving b.nii \\
          --fixed-labels a_organs.nii --moving-labels b_organs.nii --each
      warpline evaluate disp_0001_0002.nii.gz --from learn2reg --fixed img_0001.nii.gz \\
          --moving img_0002.nii.gz --fixed-landmarks a.fcsv --moving-landmarks b.csv

    With --json one object a metric, label or landmark. The exit status is 2 if something cannot be
    read.
    """
    from warpline.cases.case import Case
    from warpline.evaluation.pairs import evaluate_pair
    from warpline.images.files import read_image

    cases = []
    for name, image, labels, landmarks in (
        ("fixed", fixed, fixed_labels, fixed_landmarks),
        ("moving", moving, moving_labels, moving_landmarks),
    ):
        read = read_image(image)
        cases.append(
            Case(
                name,
                read,
                labels=None if labels is None else _labels(labels, read.grid, image),
                landmarks=None if landmarks is None else _landmarks(landmarks, read.grid),
            )
        )
    _check_partners(*cases)
    rows = evaluate_pair(*cases, options.read_field(field, source, fixed, moving), _names(*cases))
    if machine:
        known = [
            {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
            for row in rows
        ]
        click.echo(json.dumps(known, indent=2))
    else:
        click.echo(options.as_table(_each(rows) if each else _means(rows)))


def _labels(path: Path, grid: Grid, image: Path) -> Image:
    """A label map on its image's grid, from which headers may differ in their last digits."""
    import numpy as np

    from warpline.fields.exchange.common import same_place
    from warpline.images.files import read_image
    from warpline.images.grid import Image

    read = read_image(path)
    if not same_place(read.grid, grid):
        raise WarplineError(
            f"The label map does not lie where its image lies ({image}).",
            where=path,
            do="Give the labels of this image, on its own grid.",
        )
    whole = np.rint(read.array)
    if np.abs(read.array - whole).max(initial=0) > 1e-3 or not np.isfinite(whole).all():
        raise WarplineError("The label map holds numbers that are not whole.", where=path)
    return Image(whole.astype(np.int32), grid)


def _landmarks(path: Path, grid: Grid) -> pd.DataFrame:
    import pandas as pd

    from warpline.fields.exchange.points import read_points

    points = read_points(path)
    table = pd.DataFrame(points.physical(grid), columns=["x", "y", "z"])
    table.insert(0, "id", list(points.ids))
    return table


def _check_partners(fixed: Case, moving: Case) -> None:
    """That both images have labels or landmarks, and the same landmarks."""
    for what in ("labels", "landmarks"):
        if (getattr(fixed, what) is None) != (getattr(moving, what) is None):
            other = "moving" if getattr(moving, what) is None else "fixed"
            raise WarplineError(
                f"The {what} of the {other} image are missing.", do=f"Give --{other}-{what}."
            )
    if fixed.landmarks is None:
        return
    one, two = set(fixed.landmarks["id"]), set(moving.landmarks["id"])
    if one != two:
        lone = [
            f"{name} (only {of})"
            for of, names in (("fixed", one - two), ("moving", two - one))
            for name in sorted(names)
        ]
        raise WarplineError(
            f"{len(lone)} landmarks have no partner of their name: {', '.join(lone[:10])}"
            + (" …" if len(lone) > 10 else "")
            + ".",
            where="--fixed-landmarks, --moving-landmarks",
            do="Name corresponding points alike in both files, and leave out the others.",
        )


def _names(fixed: Case, moving: Case) -> dict[int, str]:
    """The labels that either image has, by their numbers; 0 is the background."""
    if fixed.labels is None:
        return {}
    import numpy as np

    values = np.union1d(fixed.labels.array, moving.labels.array)
    return {int(value): str(int(value)) for value in values if value > 0}


def _each(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    told = [(r["metric"], r["label"], f"{float(r['value']):.4g}", r["unit"]) for r in rows]
    return [("metric", "label", "value", "unit"), *told]


def _means(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The mean of each metric over its labels or landmarks, of which some may have no value."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["metric"], row["unit"]), []).append(float(row["value"]))
    told = []
    for (metric, unit), values in groups.items():
        known = [value for value in values if not math.isnan(value)]
        mean = f"{sum(known) / len(known):.4g}" if known else "–"
        told.append((metric, mean, unit, str(len(known))))
    return [("metric", "mean", "unit", "n"), *told]
