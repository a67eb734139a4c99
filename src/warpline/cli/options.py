"""What the commands on fields share: their arguments, how errors are told, how a field is read."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warpline.errors import WarplineError
from warpline.fields.exchange import FORMATS

if TYPE_CHECKING:
    import numpy as np

    from warpline.fields.physical import DisplacementField
    from warpline.images.grid import Grid

log = logging.getLogger("warpline")
IN_FOLDER = "field.nii.gz"  # the field in a folder that holds a registration
FILE = click.Path(path_type=Path)

field_argument = click.argument("field", nargs=-1, required=True, metavar="FIELD...")
program_option = functools.partial(
    click.option, type=click.Choice(sorted(FORMATS)), default="itk", show_default=True
)
from_option = program_option("--from", "source", help="The program that made FIELD.")
to_option = program_option("--to", "target", help="The program that is to read the result.")
fixed_option = click.option("--fixed", type=FILE, help="The fixed image.")
moving_option = click.option("--moving", type=FILE, help="The moving image.")
json_option = click.option("--json", "machine", is_flag=True, help="The same for other programs.")
directory_option = click.option(
    "-d",
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="One's own folder, where results go too; the working folder by itself.",
)
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=lambda context, option, value: log.setLevel(logging.INFO if value else logging.NOTSET),
    help="Say what was read of every header, and what was done to it.",
)
volume_option = click.option(
    "--volume",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of a file that holds several volumes that of number N, from 0.",
)
output_option = click.option("-o", "--output", type=FILE, required=True, help="What to write.")


def in_words(function: Callable[..., None]) -> Callable[..., None]:
    """A command that tells an error or a warning as one message; an error ends with status 2."""

    @functools.wraps(function)
    def command(*arguments: Any, **named: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", RuntimeWarning)
            warnings.showwarning = lambda message, *rest, **more: click.echo(message, err=True)
            try:
                with _told():
                    function(*arguments, **named)
            except (WarplineError, OSError) as error:
                click.echo(str(_in_place(error)), err=True)
                click.get_current_context().exit(2)

    return command


def _in_place(error: Exception) -> Exception:
    """An error; one of the system as what was wrong, and where."""
    if not isinstance(error, OSError) or not error.filename or not error.strerror:
        return error
    return WarplineError(f"{error.strerror}.", where=Path(error.filename).absolute())


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before work is done for it.

    Raises
    ------
    WarplineError
        If it, or of one that is to be made the nearest above it, may not be written.
    """
    folder = folder.absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "may not be written" if there.is_dir() else "is a file, not a folder"
        raise WarplineError(
            f"The folder {what}.", where=there, do="Name another one, or work in another one."
        )


class _Heard(logging.Handler):
    """Keeps every record, each line once, and hands it on."""

    def __init__(self, then: Callable[[str], None]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.then = then

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self.lines:
            self.lines.append(line)
            self.then(line)


@contextmanager
def heard(then: Callable[[str], None] = lambda line: None) -> Iterator[list[str]]:
    """What the library says within the block, each line once, as it comes."""
    handler = _Heard(then)
    log.addHandler(handler)
    before, log.propagate = log.propagate, False
    try:
        yield handler.lines
    finally:
        log.propagate = before
        log.removeHandler(handler)


def _told() -> Any:
    """A block in which the terminal shows what the library says."""
    return heard(lambda line: click.echo(line, err=True))


def grid_of(path: Path | None) -> Grid | None:
    """The grid of an image, or None of none."""
    if path is None:
        return None
    from warpline.images.files import read_grid

    return read_grid(path)


def beyond(grid: Grid, points: np.ndarray) -> np.ndarray:
    """Which of the points (n, 3), mm, LPS, lie off the voxels of a grid."""
    index = grid.physical_to_index(points)
    return ((index < -0.5) | (index > [n - 0.5 for n in grid.shape])).any(axis=1)


def read_field(
    files: Sequence[str], source: str, fixed: Path | None, moving: Path | None
) -> DisplacementField:
    """The field of a command's arguments; a folder stands for the field of a registration in it."""
    from warpline.fields.exchange import read_transform

    inside = [Path(name) / IN_FOLDER for name in files]
    names = [str(own) if own.is_file() else name for own, name in zip(inside, files, strict=True)]
    return read_transform(names, source, grid_of(fixed), grid_of(moving))


def wrote(paths: Sequence[Path]) -> None:
    """Say what was written."""
    for path in paths:
        click.echo(f"wrote {path}", err=True)


def as_table(rows: Sequence[Sequence[object]]) -> str:
    """Rows of cells below one another, the first of which names the columns."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their columns' names, as wide as the terminal; whole in a file or a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=any(head), header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
