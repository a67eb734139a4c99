"""``warpline evaluate``: the project's metrics of any program's field."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from warpline.cli import options


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
    from warpline.evaluation.call import given_cases, label_names
    from warpline.evaluation.pairs import evaluate_pair

    cases = given_cases(
        (fixed, fixed_labels, fixed_landmarks), (moving, moving_labels, moving_landmarks)
    )
    read = options.read_field(field, source, fixed, moving)
    rows = evaluate_pair(*cases, read, label_names(*cases))
    if machine:
        known = [
            {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
            for row in rows
        ]
        click.echo(json.dumps(known, indent=2))
    else:
        click.echo(options.as_table(_each(rows) if each else _means(rows)))


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
