"""The command ``warpline``: what is asked of results and models, not of the workflow."""

from __future__ import annotations

import click

from warpline.cli.models import models
from warpline.cli.provenance import provenance


@click.group()
@click.version_option(package_name="warpline")
def main() -> None:
    """What is asked of results and models; the workflow itself is run by snakemake."""


main.add_command(models)
main.add_command(provenance)
