"""``warpline jacobian``: where a field stretches, shrinks and folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from warpline.cli import options

if TYPE_CHECKING:
    import numpy as np


@click.command()
@options.field_argument
@options.from_option
@options.fixed_option
@options.moving_option
@options.json_option
@click.option("--map", "output", type=options.FILE, help="Write the determinant as an image.")
@click.pass_context
@options.in_words
def jacobian(
    context: click.Context,
    field: tuple[str, ...],
    source: str,
    fixed: Path | None,
    moving: Path | None,
    machine: bool,
    output: Path | None,
) -> None:
    """The Jacobian determinant J of the transform FIELD: 1 keeps volumes, 0 or less folds.

    Central differences in mm on the fixed grid; sdlogj is the standard deviation of log J, for
    which J is at least 1e-9. The outer two layers of voxels do not count, as in Learn2Reg; those
    of the map take the value of the next one.

    \b
    Examples:
      warpline jacobian field.nii.gz
      warpline jacobian 1Warp.nii.gz --from ants --map jacobian.nii.gz --json

    The exit status is 1 if the field folds, and 2 if something cannot be read or written.
    """
    read = options.read_field(field, source, fixed, moving)
    determinant = read.jacobian_determinant()
    told = _statistics(determinant)
    if output is not None:
        import numpy as np

        from warpline.images.files import write_image
        from warpline.images.grid import Image

        write_image(output, Image(np.pad(determinant, 1, "edge"), read.grid))
        options.wrote([output])
    if machine:
        click.echo(json.dumps(told, indent=2))
    else:
        rows = [(name, f"{value:.6g}") for name, value in told.items()]
        click.echo(options.as_table([("", "value"), *rows]))
    context.exit(1 if told["folds"] else 0)


def _statistics(determinant: np.ndarray) -> dict[str, float]:
    import numpy as np

    from warpline.errors import WarplineError
    from warpline.evaluation.metrics import folding_fraction, sdlogj
    from warpline.evaluation.metrics.jacobian import interior

    inside = interior(determinant)
    if not inside.size:
        raise WarplineError("The field has fewer than five voxels along an axis.", where="FIELD")
    low, middle, high = np.percentile(inside, (1, 50, 99))
    return {
        "voxels": int(inside.size),
        "folds": int((inside <= 0).sum()),
        "folding_fraction": folding_fraction(determinant),
        "sdlogj": sdlogj(determinant),
        "least": float(inside.min()),
        "1_percent": float(low),
        "median": float(middle),
        "99_percent": float(high),
        "most": float(inside.max()),
    }
