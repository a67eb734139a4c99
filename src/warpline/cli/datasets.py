"""``warpline datasets``: what data the project knows, and what one's own folder adds."""

from __future__ import annotations

import json

import click

from warpline.cli import options


@click.command()
@options.json_option
@options.in_words
def datasets(machine: bool) -> None:
    """The datasets of the project and of the working folder.

    Told is where each comes from: it is downloaded, asked for by hand, generated, or a folder of
    one's own.

    \b
    Examples:
      warpline datasets
      warpline datasets --json

    The exit status is 2 if a file cannot be read.
    """
    from warpline.plan.places import Places, project_folder
    from warpline.registration.chosen import config_files

    files = config_files(Places.here(project_folder()))
    rows = []
    for name in files.known("datasets"):
        spec = files.raw("datasets", name)
        rows.append(
            {
                "dataset": name,
                "title": spec.get("title", ""),
                "from": _source(spec),
                "licence": spec.get("licence", ""),
                "file": files.told("datasets", name),
            }
        )
    if machine:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    options.show_table(
        ("dataset", "from", "what it is", "licence"),
        [(r["dataset"], r["from"], r["title"], r["licence"]) for r in rows],
    )


def _source(spec: dict) -> str:
    if spec.get("members"):
        return "other datasets"
    if spec.get("folder"):
        return str(spec["folder"])
    if spec.get("ask"):
        return "asked for by hand"
    return "download" if spec.get("archives") or spec.get("per_case") else "generated"
