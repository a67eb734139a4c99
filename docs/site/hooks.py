"""What the site takes from elsewhere: two pages, links to the project's files, and search."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.structure.files import File

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Page of the site to the file that it shows.
ADDED = {"configuration.md": "config/README.md", "changelog.md": "CHANGELOG.md"}
# What lets a page that is opened from a folder search: the browser gives it no worker.
SEARCH = "assets/iframe-worker.js"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)]*)?\)")


def on_files(files, config):
    """Add the pages that lie elsewhere in the project."""
    for page, path in ADDED.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, SEARCH, content=(HERE / "iframe-worker.js").read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links: those to added pages go there, those to other files of the project name them."""
    place = page.file.src_uri
    folder = (ROOT / ADDED[place]).parent if place in ADDED else (ROOT / "docs" / place).parent
    shown = {str((ROOT / path).resolve()): name for name, path in ADDED.items()}

    def turned(found: re.Match) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        path = (folder / target).resolve()
        docs = ROOT / "docs"
        if str(path) in shown:
            name = shown[str(path)]
        elif path.is_relative_to(docs) and path.exists():
            name = path.relative_to(docs).as_posix()
        elif path.is_relative_to(ROOT):
            known = path.relative_to(ROOT).as_posix()
            return text if known in text else f"{text} (`{known}`)"
        else:
            return found[0]
        link = os.path.relpath(name, Path(place).parent).replace(os.sep, "/")
        return f"[{text}]({link}{anchor})"

    return LINK.sub(turned, markdown)
