"""``warpline methods``: by what two scans can be registered."""

from __future__ import annotations

import json

import click

from warpline.cli import options


@click.command()
@options.json_option
@options.in_words
def methods(machine: bool) -> None:
    """The methods of the project and of the working folder, and which are ready for two scans.

    Ready are those that need no training, and those whose weights are there. The others are trained
    by a study ('warpline run').

    \b
    Examples:
      warpline methods
      warpline register fixed.nii.gz moving.nii.gz --method syn -o out

    The exit status is 2 if a file cannot be read.
    """
    from warpline.plan.places import Places, project_folder
    from warpline.registration.chosen import all_methods, known_methods

    places = Places.here(project_folder())
    ready = known_methods(places)
    rows = [
        {"method": name, "kind": kind, "title": title, "ready": name in ready}
        for name, (kind, title) in all_methods(places).items()
    ]
    if machine:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    ordered = sorted(rows, key=lambda row: (not row["ready"], row["kind"], row["method"]))
    options.show_table(
        ("method", "kind", "ready", "what it is"),
        [(r["method"], r["kind"], "yes" if r["ready"] else "", r["title"]) for r in ordered],
    )
