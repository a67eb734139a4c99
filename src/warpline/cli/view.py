"""``warpline view``: look through results in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from warpline.cli import options


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default="results"
)
@click.option("--port", type=int, default=0, help="Of the small server; any free one by itself.")
@click.option("--no-browser", is_flag=True, help="Only say the address.")
@options.in_words
def view(folder: Path, port: int, no_browser: bool) -> None:
    """Look through the results of a run, or of "warpline register", in a browser.

    FOLDER is a run's folder of results ("results" where it is not given), whose pages
    "snakemake explorer" has made, or the folder that "warpline register" wrote. Only programs of
    this machine reach the server; Ctrl+C ends it. The pages work without it too: open
    FOLDER/explorer/index.html.

    \b
    Examples:
      warpline view
      warpline view out  # of 'warpline register … -o out'
    """
    import webbrowser

    from warpline.explorer.serve import server

    pages = pages_of(folder)
    with server(pages, port) as found:
        address = f"http://127.0.0.1:{found.server_address[1]}/index.html"
        click.echo(f"{address} shows {pages / 'index.html'}; Ctrl+C ends this.")
        if not no_browser:
            webbrowser.open(address)
        try:
            found.serve_forever()
        except KeyboardInterrupt:
            click.echo()


def pages_of(folder: Path) -> Path:
    """The folder with the pages; those of a single registration are made if they are not there."""
    from warpline.errors import WarplineError

    for pages in (folder / "explorer", folder):
        if (pages / "index.html").is_file() and (pages / "start.js").is_file():
            return pages
    if (folder / "registration.json").is_file():
        from warpline.explorer.own import write_registration

        return write_registration(folder)
    raise WarplineError(
        "There are no pages to look at.",
        where=folder,
        do="Make them (snakemake --cores 2 explorer), or give the folder of 'warpline register'.",
    )
