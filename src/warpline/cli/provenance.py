"""``warpline provenance``: how a result came to be."""

from __future__ import annotations

import json
from pathlib import Path

import click

from warpline.errors import WarplineError
from warpline.provenance.history import history
from warpline.provenance.text import as_data, as_text


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "machine", is_flag=True, help="All records, for other programs.")
@click.option("--full", is_flag=True, help="The jobs that prepared the data too, one by one.")
@click.pass_context
def provenance(context: click.Context, path: Path, machine: bool, full: bool) -> None:
    """How a table, figure, model, report or other result came to be.

    The exit status is 0 if everything is as its records say, 1 if something has changed since, and
    2 if nothing is known.
    """
    try:
        found = history(path)
    except WarplineError as error:
        click.echo(str(error), err=True)
        context.exit(2)
    if machine:
        click.echo(json.dumps(as_data(found), indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(found, full=full))
    context.exit(1 if found.problems else 0)
