"""The report: one page that holds everything it shows, to be read without a network."""

from __future__ import annotations

import base64
import io
import json
import mimetypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warpline.errors import WarplineError
from warpline.files import write_text

TEMPLATE, STYLESHEET = "report.html.j2", "report.css"
KINDS = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
}
# Pictures are put in as WebP: a third of a PNG's bytes, and no difference that one sees.
QUALITY = 82


@dataclass(frozen=True)
class TablePart:
    """A table of a paper: `html` is the file of its markup, `files` are offered for download.

    What is `folded` is shown when it is opened.
    """

    id: str
    title: str
    html: Path
    files: Sequence[Path]
    folded: bool


@dataclass(frozen=True)
class Picture:
    """A figure of a paper: `image` is a PNG; `files` lie beside the page, which links to them."""

    id: str
    title: str
    caption: str
    image: Path
    files: Sequence[Path]


@dataclass(frozen=True)
class PaperPart:
    """What the page shows of a paper.

    Attributes
    ----------
    id
        Unique on the page.
    url
        May be empty, and is left out if it is no web address.
    notes
        A paragraph, may be empty.
    claims
        What the paper claims, each with ``text``, ``verdict`` and ``sentence``
        (`warpline.tables.claims.Finding.as_data`).
    provenance
        Any JSON value, shown folded; None for none.
    """

    id: str
    title: str
    citation: str
    url: str
    notes: str
    claims: Sequence[Mapping[str, Any]]
    tables: Sequence[TablePart]
    figures: Sequence[Picture]
    curves: Sequence[Picture]
    provenance: object


def render(
    title: str,
    papers: Sequence[PaperPart],
    output: str | os.PathLike,
    template_folder: str | os.PathLike,
    run: Mapping[str, str],
    explorer: str | os.PathLike | None = None,
) -> None:
    """Write the report.

    Parameters
    ----------
    title
        Of the page.
    papers
        In their order. Pictures and tables are put into the page itself.
    output
        The page's path.
    template_folder
        Where ``report.html.j2`` and ``report.css`` lie.
    run
        Of `warpline.provenance.banner.banner`.
    explorer
        The page to look through the results, which tables and papers link to; None for none.

    Raises
    ------
    WarplineError
        If a file to show does not exist.
    """
    folder = Path(template_folder)
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(
        title=title,
        style=Markup(_read(folder / STYLESHEET).decode()),
        papers=[_paper(paper, Path(output).parent) for paper in papers],
        run=run,
        explorer="" if explorer is None else _relative(explorer, Path(output).parent),
    )
    write_text(output, page)


def _paper(paper: PaperPart, folder: Path) -> dict[str, Any]:
    """What the template puts in; `folder` is where the page will lie."""
    return {
        "id": paper.id,
        "title": paper.title,
        "citation": paper.citation,
        "url": paper.url if paper.url.startswith(("https://", "http://")) else "",
        "notes": paper.notes,
        "claims": paper.claims,
        "tables": [
            {
                "id": table.id,
                "title": table.title,
                # warpline.tables escapes what it writes
                "html": Markup(_read(table.html).decode()),
                "files": _downloads(table.files),
                "folded": table.folded,
            }
            for table in paper.tables
        ],
        "figures": [_picture(figure, folder) for figure in paper.figures],
        "curves": [_picture(figure, folder) for figure in paper.curves],
        "provenance": (
            json.dumps(paper.provenance, indent=2, ensure_ascii=False, sort_keys=True)
            if paper.provenance
            else ""
        ),
    }


def _picture(figure: Picture, folder: Path) -> dict[str, Any]:
    picture, size = _as_webp(figure.image)
    return {
        "id": figure.id,
        "title": figure.title,
        "caption": figure.caption,
        "image": picture,
        "width": size[0],
        "height": size[1],
        "files": [
            {"kind": path.suffix[1:].upper(), "uri": _relative(path, folder)}
            for path in (figure.image, *figure.files)
        ],
    }


def _as_webp(path: str | os.PathLike) -> tuple[str, tuple[int, int]]:
    """A picture as a data URI, and its width and height."""
    from PIL import Image

    with Image.open(io.BytesIO(_read(path))) as image:
        packed = io.BytesIO()
        image.convert("RGB").save(packed, "WEBP", quality=QUALITY, method=2)
        size = image.size
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}", size


def _relative(path: str | os.PathLike, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _downloads(files: Sequence[Path]) -> list[dict[str, str]]:
    return [
        {"name": path.name, "kind": path.suffix[1:].upper(), "uri": _data_uri(path)}
        for path in files
    ]


def _data_uri(path: str | os.PathLike) -> str:
    suffix = Path(path).suffix
    kind = KINDS.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(_read(path)).decode()}"


def _read(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WarplineError(
            f"A part of the report cannot be read ({error.strerror}).",
            where=path,
            do="Make it first; the workflow's report rule asks for every part.",
        ) from error
