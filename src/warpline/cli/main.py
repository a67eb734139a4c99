"""The command ``warpline``: what is asked of fields, results and models, not of the workflow."""

from __future__ import annotations

import click

from warpline.cli.apply import apply
from warpline.cli.budget import budget
from warpline.cli.compose import compose
from warpline.cli.convert import convert
from warpline.cli.evaluate import evaluate
from warpline.cli.inspect import inspect
from warpline.cli.invert import invert
from warpline.cli.jacobian import jacobian
from warpline.cli.models import models
from warpline.cli.provenance import provenance
from warpline.cli.register import register


@click.group()
@click.version_option(package_name="warpline")
def main() -> None:
    """What is asked of fields, results and models; the workflow itself is run by snakemake."""


for command in (
    apply,
    budget,
    compose,
    convert,
    evaluate,
    inspect,
    invert,
    jacobian,
    models,
    provenance,
    register,
):
    main.add_command(command)
