"""The reference pages are what the program says of itself, and links of pages lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click
import pytest

from warpline.cli.main import main

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


# Pages for those who use the project; others are exact before they are easy.
USED = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "config/README.md", "docs/README.md"),
    *("docs/start.md", "docs/tour.md", "docs/glossary.md", "docs/troubleshooting.md"),
    *("docs/explorer.md", "docs/conventions.md", "docs/own-data.md", "docs/new-method.md"),
    *("docs/exchange.md", "docs/cluster.md", "docs/environments.md", "docs/provenance.md"),
    *("docs/models.md", "docs/scale.md", "docs/statistics.md", "docs/configure/run.md"),
    *("docs/configure/datasets.md", "docs/configure/methods.md", "docs/configure/papers.md"),
]
LONGEST = 35  # words of a sentence, or of what stands before or after its colon


@pytest.mark.parametrize("page", USED)
def test_sentences_of_users_pages_are_short(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    cells = [
        cell
        for line in text.splitlines()
        for cell in (line.strip("|").split("|") if line.startswith("|") else [line])
    ]
    sentences = [s for cell in cells for s in re.split(r"[.!?:]\*{0,2}\s", cell)]
    assert [s for s in sentences if len(s.split()) > LONGEST] == []


COMMAND = re.compile(r"(?:^|`|/)warpline ([a-z]+)((?: [^`\n#|]+)?)", re.M)


def test_commands_in_pages_are_ones_that_there_are():
    context = click.Context(main)
    known = {
        name: {
            option
            for parameter in main.get_command(context, name).params
            for option in parameter.opts
        }
        for name in main.list_commands(context)
    }
    passed_on = {"run", "train"}  # they hand further options to Snakemake
    found, wrong = 0, []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.S))
        for name, rest in COMMAND.findall(code):
            found += 1
            options = set(re.findall(r"(?<= )--?[a-z][a-z-]*", rest))
            if name not in known or (name not in passed_on and options - known[name] - {"--help"}):
                wrong.append(f"{path.name}: warpline {name}{rest}")
    assert found > 60
    assert wrong == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (path.parent / link).exists()] == []
