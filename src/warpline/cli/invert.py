"""``warpline invert``: the way back."""

from __future__ import annotations

import json
from pathlib import Path

import click

from warpline.cli import options


@click.command()
@options.field_argument
@options.from_option
@options.to_option
@options.fixed_option
@options.moving_option
@options.json_option
@options.output_option
@click.pass_context
@options.in_words
def invert(
    context: click.Context,
    field: tuple[str, ...],
    source: str,
    target: str,
    fixed: Path | None,
    moving: Path | None,
    machine: bool,
    output: Path,
) -> None:
    """Invert the transform FIELD, that of the fixed image and the moving one.

    The result is that of the two images with their parts exchanged: it lies on the moving image's
    grid (on that of FIELD where --moving is not given) and brings the fixed image onto the moving
    one.

    \b
    Examples:
      warpline invert field.nii.gz --moving b.nii.gz -o inverse.nii.gz
      warpline invert out_ --from ants --fixed a.nii --moving b.nii -o back.nii.gz

    The exit status is 1 if the field folds, where it has no inverse, and 2 if something cannot be
    read or written.
    """
    import numpy as np

    from warpline.fields.exchange import write_transform
    from warpline.fields.inverse import invert_onto

    read = options.read_field(field, source, fixed, moving)
    grid = options.grid_of(moving) or read.grid
    inverse, residual = invert_onto(read, grid)
    options.wrote(write_transform(output, inverse, target, read.grid))
    known = residual[np.isfinite(residual)]
    folds = int((read.jacobian_determinant() <= 0).sum())
    told = {
        "folds": folds,
        "voxels": int(known.size),
        "residual_median_mm": float(np.median(known)) if known.size else None,
        "residual_99_percent_mm": float(np.percentile(known, 99)) if known.size else None,
        "residual_largest_mm": float(known.max()) if known.size else None,
    }
    if machine:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(_in_words(told))
    context.exit(1 if folds else 0)


def _in_words(told: dict[str, float | None]) -> str:
    if not told["voxels"]:
        return "No voxel of the moving grid comes from the fixed image: do the images overlap?"
    return (
        f"There and back, {told['voxels']} voxels that come from the fixed image are off by "
        f"{told['residual_median_mm']:.3g} mm (median), {told['residual_99_percent_mm']:.3g} mm "
        f"(99 %), {told['residual_largest_mm']:.3g} mm (at most); the field folds at "
        f"{told['folds']} voxels."
    )
