"""``warpline compose``: two transforms as one."""

from __future__ import annotations

from pathlib import Path

import click

from warpline.cli import options
from warpline.fields.exchange import FORMATS


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--from",
    "sources",
    type=click.Choice(sorted(FORMATS)),
    multiple=True,
    help="The program that made A and B; twice, if A and B come from two.  [default: itk]",
)
@options.to_option
@options.fixed_option
@click.option("--between", type=options.FILE, help="The image between: moving in A, fixed in B.")
@options.moving_option
@options.output_option
@options.in_words
def compose(
    a: str,
    b: str,
    sources: tuple[str, ...],
    target: str,
    fixed: Path | None,
    between: Path | None,
    moving: Path | None,
    output: Path,
) -> None:
    """Join the transforms A and B: A of the images 1 and 2, B of the images 2 and 3.

    The result is that of the images 1 (fixed) and 3 (moving), on the grid of A: a point of image 1
    goes through A to image 2, and through B to image 3. So image 3 is resampled once, not twice.
    This is the order of ANTs' option -t and of elastix' chains.

    \b
    Examples:
      warpline compose day1_day2.nii.gz day2_day3.nii.gz -o day1_day3.nii.gz
      warpline compose warp.nii.gz affine.tfm -o whole.nii.gz
      warpline compose field.nii.gz flirt.mat --from itk --from fsl \\
          --between t1.nii.gz --moving mni.nii.gz -o whole.nii.gz

    The exit status is 2 if something cannot be read or written.
    """
    from warpline.fields.affine import affine_of, joined
    from warpline.fields.exchange import read_transform, write_transform
    from warpline.fields.exchange.common import MissingGrid

    sources = sources or ("itk",)
    first = read_transform(a, sources[0], options.grid_of(fixed), options.grid_of(between))
    # What has no grid of its own, such as an affine map, is read on that of A.
    try:
        second = read_transform(b, sources[-1], options.grid_of(between), options.grid_of(moving))
    except MissingGrid:
        second = read_transform(b, sources[-1], first.grid, options.grid_of(moving))
        if affine_of(second) is None:
            raise
    options.wrote(write_transform(output, joined(second, first), target, options.grid_of(moving)))
