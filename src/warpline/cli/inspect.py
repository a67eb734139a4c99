"""``warpline inspect``: what is in a file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from warpline.cli import options


@click.command()
@click.argument("files", nargs=-1, required=True, type=options.FILE, metavar="FILE...")
@options.json_option
@click.pass_context
@options.in_words
def inspect(context: click.Context, files: tuple[Path, ...], machine: bool) -> None:
    """Say what is in each FILE: image, field, affine map or points, and what looks wrong.

    Told are the grid, the units, of which program the file seems to be and why, and what a reader
    should know: codes and disagreement of qform and sform, left-handed and sheared grids, values
    that are no finite numbers, folds.

    \b
    Examples:
      warpline inspect field.nii.gz
      warpline inspect out_1Warp.nii.gz out_0GenericAffine.mat points.fcsv --json

    The exit status is 1 if something looks wrong, and 2 if a file cannot be read.
    """
    from warpline.fields.exchange.inspection import inspect_file

    found = [inspect_file(path) for path in files]
    if machine:
        click.echo(json.dumps([one.as_data() for one in found], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(one.as_text() for one in found))
    context.exit(1 if any(one.problems for one in found) else 0)
