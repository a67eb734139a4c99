"""``warpline convert``: a transform of one program as another one reads it."""

from __future__ import annotations

from pathlib import Path

import click

from warpline.cli import options


@click.command()
@options.field_argument
@options.from_option
@options.to_option
@options.fixed_option
@options.moving_option
@options.output_option
@options.verbose_option
@options.in_words
def convert(
    field: tuple[str, ...],
    source: str,
    target: str,
    fixed: Path | None,
    moving: Path | None,
    output: Path,
) -> None:
    """Convert the transform FIELD of one program to that of another.

    FIELD is from the fixed to the moving image: what brings the moving image onto the fixed one.
    Several files are those of one transform, for ANTs in the order of its option -t; a prefix
    such as out_ stands for out_1Warp.nii.gz out_0GenericAffine.mat. The suffix of the output
    chooses among the files that a program has, a field or an affine matrix.

    Which images are needed depends on the programs (docs/exchange.md); an error says so.

    \b
    Examples:
      warpline convert out_ --from ants --fixed ct1.nii.gz -o field.nii.gz
      warpline convert field.nii.gz --to fsl --fixed a.nii --moving b.nii -o warp.nii.gz
      warpline convert TransformParameters.1.txt --from elastix --to slicer -o field.h5
      warpline convert disp_0001_0002.nii.gz --from learn2reg --to ants \\
          --fixed img_0001.nii.gz --moving img_0002.nii.gz -o 1Warp.nii.gz

    The exit status is 2 if something cannot be read or written.
    """
    from warpline.fields.exchange import write_transform

    read = options.read_field(field, source, fixed, moving)
    options.wrote(write_transform(output, read, target, options.grid_of(moving)))
