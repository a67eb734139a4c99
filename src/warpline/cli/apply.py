"""``warpline apply``: images, label maps and points brought from one image to the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from warpline.cli import options
from warpline.errors import WarplineError

if TYPE_CHECKING:
    from warpline.fields.physical import DisplacementField

OVER = 0.01  # mm by which a point may be missed before it is told
WHOLE = 1e-3  # by which programs that keep labels as fractions miss them


@click.command()
@options.field_argument
@options.from_option
@options.fixed_option
@options.moving_option
@click.option("--image", type=options.FILE, help="An image; it is read linearly.")
@click.option("--labels", type=options.FILE, help="A label map; no label comes anew.")
@click.option("--points", type=options.FILE, help="A file of points: .csv, .fcsv, .mrk.json, …")
@click.option(
    "--inverse", is_flag=True, help="The file belongs to the FIXED image and goes to the MOVING."
)
@click.option("--onto", type=options.FILE, help="An image whose grid the result shall have.")
@click.option(
    "--outside", type=float, help="Value beyond the image; that of its border if not given."
)
@options.volume_option
@options.output_option
@options.verbose_option
@options.in_words
def apply(
    field: tuple[str, ...],
    source: str,
    fixed: Path | None,
    moving: Path | None,
    image: Path | None,
    labels: Path | None,
    points: Path | None,
    inverse: bool,
    onto: Path | None,
    outside: float | None,
    volume: int | None,
    output: Path,
) -> None:
    """Bring an image, labels or points of the moving image to the fixed one.

    Whatever the file is, it belongs to the MOVING image, and the result belongs to the FIXED one.
    With --inverse it belongs to the FIXED image, and the result to the MOVING one. No more has to
    be known: that FIELD takes points the other way than images is seen to here.

    Images and labels come onto the grid of the image that they go to, or onto that of --onto.
    Points beyond the fixed image move as its border does.

    \b
    Examples:
      warpline apply field.nii.gz --image moving.nii.gz -o warped.nii.gz
      warpline apply field.nii.gz --labels moving_organs.nii.gz -o organs_on_fixed.nii.gz
      warpline apply field.nii.gz --points moving.mrk.json -o on_fixed.mrk.json
      warpline apply field.nii.gz --inverse --points fixed.csv -o on_moving.csv
      warpline apply out_ --from ants --fixed a.nii.gz --moving b.nii.gz \\
          --inverse --labels a_organs.nii.gz -o organs_on_b.nii.gz

    Points in voxels (columns i, j, k) need the image to which they belong, --moving or, with
    --inverse, --fixed. The exit status is 2 if something cannot be read or written.
    """
    given = [path for path in (image, labels, points) if path is not None]
    if len(given) != 1:
        raise click.UsageError("Give one of --image, --labels and --points.")
    read = options.read_field(field, source, fixed, moving)
    if points is not None:
        _bring_points(read, points, fixed if inverse else moving, inverse, output)
    else:
        target = onto or (moving if inverse else None)
        if inverse and target is None:
            raise click.UsageError("With --inverse an image needs --moving (or --onto).")
        _check_side(given[0], read, moving, inverse)
        _bring_image(read, given[0], labels is not None, target, inverse, outside, volume, output)
    options.wrote([output])


def _check_side(path: Path, field: DisplacementField, moving: Path | None, inverse: bool) -> None:
    """Refuse an image that lies where the other one of the pair lies, not where its own does."""
    from warpline.fields.exchange.common import same_place

    other = options.grid_of(moving)
    if other is None or same_place(other, field.grid):
        return
    own, wrong = (field.grid, other) if inverse else (other, field.grid)
    grid = options.grid_of(path)
    if same_place(grid, wrong) and not same_place(grid, own):
        raise WarplineError(
            f"This belongs to the {'moving' if inverse else 'fixed'} image: it lies on its grid.",
            where=path,
            do=f"Give what belongs to the {'fixed' if inverse else 'moving'} image, or "
            + ("leave out --inverse." if inverse else "add --inverse."),
        )


def _bring_image(
    field: DisplacementField,
    path: Path,
    is_labels: bool,
    target: Path | None,
    inverse: bool,
    outside: float | None,
    volume: int | None,
    output: Path,
) -> None:
    import numpy as np

    from warpline.acquire.scans import looks_like_labels, read_scan
    from warpline.fields.inverse import invert_onto
    from warpline.images.files import write_image

    if inverse:
        field = invert_onto(field, options.grid_of(target)).field
    elif target is not None:
        field = field.resample(options.grid_of(target))
    image = read_scan(path, volume)
    if image.array.ndim != 3:
        raise WarplineError("The image has more than one value a voxel.", where=path)
    if is_labels and not np.allclose(image.array, np.rint(image.array), rtol=0, atol=WHOLE):
        raise WarplineError(
            "This is no label map: it holds numbers that are not whole.",
            where=path,
            do="Give an image by --image, or export the labels without interpolation.",
        )
    if not is_labels and looks_like_labels(image):
        options.log.warning(
            "%s: holds few whole numbers, as label maps do; --labels would bring it over without "
            "values that are none of it",
            path,
        )
    mode = "nearest" if is_labels else "linear"
    write_image(output, field.warp_image(image, mode, outside))


def _bring_points(
    field: DisplacementField, path: Path, own: Path | None, inverse: bool, output: Path
) -> None:
    from warpline.fields.exchange.points import read_points, write_points
    from warpline.fields.inverse import invert_points

    read = read_points(path)
    grid = options.grid_of(own) or (field.grid if inverse else None)
    if read.in_voxels and grid is None:
        raise WarplineError(
            "The points are in voxels; of which image?", where=path, do="Give it with --moving."
        )
    places = read.physical(grid) if read.in_voxels else read.values
    if inverse:
        moved = field.transform_points(places, order=1)
        starts = places
    else:
        moved, missed = invert_points(field, places)
        starts = moved
        if (missed > OVER).any():
            names = ", ".join(n for n, m in zip(read.ids, missed, strict=True) if m > OVER)
            click.echo(
                f"No point of the fixed image goes to these points, within {missed.max():.2g} mm: "
                f"{names}",
                err=True,
            )
    off = options.beyond(field.grid, starts)
    if off.any():
        names = ", ".join(n for n, o in zip(read.ids, off, strict=True) if o)
        click.echo(f"Beyond the fixed image: {names}", err=True)
    write_points(output, read.ids, moved)
