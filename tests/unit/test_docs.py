"""The reference pages are what the program says of itself, and links of pages lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRAWINGS = runpy.run_path(str(ROOT / "docs" / "site" / "drawings.py"))["drawings"]()
REFERENCE = runpy.run_path(str(ROOT / "docs" / "site" / "reference.py"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "config" / "README.md"])


@pytest.mark.parametrize("path", REFERENCE["pages"]().keys(), ids=lambda path: path.name)
def test_a_reference_page_is_up_to_date(path):
    told = "run: python docs/site/reference.py"
    assert path.read_text(encoding="utf-8") == REFERENCE["pages"]()[path], told


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_a_drawing_is_up_to_date(path):
    assert path.read_text(encoding="utf-8") == DRAWINGS[path], "run: python docs/site/drawings.py"


def test_every_dataset_s_licence_is_told():
    text = (ROOT / "docs" / "reference" / "datasets.md").read_text(encoding="utf-8")
    known = [path.stem for path in (ROOT / "config" / "datasets").glob("*.yaml")]
    assert [name for name in known if f"`{name}`" not in text] == []


def test_every_key_has_a_meaning():
    rows = [line for line in REFERENCE["configuration"]().splitlines() if line.startswith("| `")]
    assert len(rows) > 250
    assert [row for row in rows if row.split(" | ")[-1].strip(" |") == ""] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (path.parent / link).exists()] == []
