"""The report: one page that holds everything it shows, to be read without a network."""

from __future__ import annotations

import base64
import json
import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warpline.errors import WarplineError
from warpline.files import write_text

TEMPLATE, STYLESHEET = "report.html.j2", "report.css"
KINDS = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def render(
    title: str,
    papers: Sequence[Mapping[str, Any]],
    output: str | os.PathLike,
    template_folder: str | os.PathLike,
) -> None:
    """Write the report.

    Parameters
    ----------
    title
        Of the page.
    papers
        One mapping a paper: `id` (unique on the page), `title`, `citation`; and optionally `url`,
        `notes` (a paragraph), `tables` (each: `id`, `title`, `html`: path of the table's markup,
        `files`: paths to offer for download), `figures` and `curves` (each: `id`, `title`,
        `caption`, `image`: path of a PNG, `files`), and `provenance` (any JSON value, shown
        folded). Images and files are put into the page itself.
    output
        The page's path.
    template_folder
        Where ``report.html.j2`` and ``report.css`` lie.

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
        papers=[_paper(paper) for paper in papers],
    )
    write_text(output, page)


def _paper(paper: Mapping[str, Any]) -> dict[str, Any]:
    url = str(paper.get("url") or "")
    provenance = paper.get("provenance")
    return {
        "id": paper["id"],
        "title": paper["title"],
        "citation": paper["citation"],
        "url": url if url.startswith(("https://", "http://")) else "",
        "notes": paper.get("notes") or "",
        "tables": [
            {
                "id": table["id"],
                "title": table["title"],
                # warpline.tables escapes what it writes
                "html": Markup(_read(table["html"]).decode()),
                "files": _downloads(table),
            }
            for table in paper.get("tables") or []
        ],
        "figures": [_picture(figure) for figure in paper.get("figures") or []],
        "curves": [_picture(figure) for figure in paper.get("curves") or []],
        "provenance": (
            json.dumps(provenance, indent=2, ensure_ascii=False, sort_keys=True)
            if provenance
            else ""
        ),
    }


def _picture(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": figure["id"],
        "title": figure["title"],
        "caption": figure.get("caption") or "",
        "image": _data_uri(figure["image"]),
        "files": _downloads(figure),
    }


def _downloads(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": Path(path).name, "kind": Path(path).suffix[1:].upper(), "uri": _data_uri(path)}
        for path in entry.get("files") or []
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
