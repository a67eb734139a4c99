"""The documentation as a site: it builds without a warning, no link is broken, one can search."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

ROOT = Path(__file__).parents[2]
OUTSIDE = ("http", "https", "mailto", "data", "javascript")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built in strict mode by the environment that ``make docs`` sets up."""
    program = shutil.which("mkdocs", path=f"{sys.prefix}/docs/bin:{os.environ['PATH']}")
    if program is None:
        pytest.skip("MkDocs is not installed: the site is not built (make docs sets it up)")
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [program, "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


class Page(HTMLParser):
    """What a page links to, what it loads, and the names within it."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attributes}
        self.names |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(found["href"])
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 40
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in OUTSIDE or link == "":
                if link in page.loaded and parts.scheme != "data":
                    broken.append(f"{path.relative_to(site)} loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            here = target in pages and parts.fragment not in ("", "__skip")
            if not target.exists() or (here and unquote(parts.fragment) not in pages[target].names):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


READY = "document.readyState === 'complete'"


def test_search_finds_pages_that_are_opened_from_a_folder(page, site):
    page.size(1280, 720)
    page.go((site / "index.html").as_uri(), READY)
    page.run("document.querySelector('[data-md-component=search-query]').focus()")
    for key in "jacobian":
        page.press(key)
    page.wait("document.querySelectorAll('.md-search-result__link').length > 2")
    found = page.run(
        "[...document.querySelectorAll('.md-search-result__link')].map((a) => a.href).join('\\n')"
    )
    assert "explorer.html" in found
    assert "glossary.html" in found


@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_a_phone_and_follow_the_reader_s_colours(page, site, dark):
    page.size(390, 844, dark)
    for name in (
        "index.html",
        "explorer.html",
        "reference/configuration.html",
        "results/demo.html",
    ):
        page.go((site / name).as_uri(), READY)
        page.run("localStorage.clear()")
        page.go((site / name).as_uri(), READY)
        assert page.run("document.documentElement.scrollWidth") <= 390, name
        colour = page.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, colour[4:-1].split(","))) < 384) is dark, name
