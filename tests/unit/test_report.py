"""The report holds all it shows, and nothing that a reader's browser would fetch or run."""

import base64
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from warpline.errors import WarplineError
from warpline.report.page import PaperPart, Picture, TablePart, render
from warpline.report.papers import paper_entry

sys.path.insert(0, str(Path(__file__).parents[1]))
import browser

TEMPLATES = Path(__file__).parents[2] / "workflow" / "report"
VOID = {"meta", "link", "img", "br", "input"}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
RUN = {"title": "scale demo", "means": "Small.", "data": "generated images only"}
RUN |= {"date": "2026-01-01", "code": "abc", "machine": "a <machine>"}
EXPLORER, TABLES = "explorer/index.html", ("table1", "t2")


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.headings = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def papers(tmp_path):
    (tmp_path / "table1.html").write_text("<figure><table><tr><td>0.8</td></tr></table></figure>")
    (tmp_path / "table1.csv").write_text("a,b\n")
    (tmp_path / "figure2.png").write_bytes(PIXEL)
    picture = {
        "title": "Figure <2>",
        "caption": "A & B",
        "image": tmp_path / "figure2.png",
        "files": [tmp_path / "figure2.svg"],
    }
    files = tmp_path / "table1.html", [tmp_path / "table1.csv"]
    tables = [TablePart("table1", "Table 1", *files, False), TablePart("t2", "Road", *files, True)]
    claim = {"text": "A > B", "verdict": "holds, but not beyond chance", "sentence": "A 1, B 0."}
    return [
        PaperPart(
            id="estienne2020",
            title="Deep <learning>",
            citation="Estienne & al.",
            url="https://arxiv.org/abs/2010.10897",
            notes="",
            claims=[claim],
            tables=tables,
            figures=[Picture(id="figure2", **picture)],
            curves=[Picture(id="curves", **picture)],
            provenance={"seed": 1, "note": "</pre><script>"},
        ),
        PaperPart("bare", "Bare", "Nobody", "javascript:alert(1)", "", [], [], [], [], None),
    ]


@pytest.fixture
def page(papers, tmp_path):
    render(
        "Five <papers>",
        papers,
        tmp_path / "out" / "report.html",
        TEMPLATES,
        RUN,
        tmp_path / EXPLORER,
    )
    text = (tmp_path / "out" / "report.html").read_text()
    parsed = Page()
    parsed.feed(text)
    return text, parsed


def test_markup_is_sound(page):
    _, parsed = page
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert all(link[1:] in parsed.ids for link in parsed.links if link.startswith("#"))
    assert parsed.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(parsed.headings, parsed.headings[1:], strict=False))


def test_everything_is_in_the_page(page):
    text, parsed = page
    assert all(image["src"].startswith("data:image/webp;base64,") for image in parsed.images)
    assert all(image["alt"] for image in parsed.images)
    assert parsed.images[0]["width"] == "1"
    outside = {link for link in parsed.links if not link.startswith(("#", "data:"))}
    beside = {"../figure2.png", "../figure2.svg"}
    pages = {f"../{EXPLORER}{at}" for at in ("", *(f"#/table/estienne2020/{t}" for t in TABLES))}
    assert outside == {"https://arxiv.org/abs/2010.10897", *beside, *pages}
    assert "a &lt;machine&gt;" in text
    assert "data:text/csv;base64,YSxiCg==" in text
    assert "<script" not in text
    assert not re.search(r"@import|url\(", text)


def test_claims_stand_first_with_their_verdict_and_only_what_is_folded_is_folded(page):
    text, _ = page
    assert text.index("A &gt; B") < text.index("<td>0.8</td>")
    assert (
        'verdict-holds-but-not-beyond-chance" title="A &gt; B">holds, but not beyond chance' in text
    )
    assert text.count("<summary>Road</summary>") == 1
    assert "<summary>Table 1</summary>" not in text


def test_on_paper_tables_fit_with_all_that_is_shown_and_what_is_folded_is_there(papers, tmp_path):
    program = browser.found()
    if program is None:
        pytest.skip("no Chromium on this machine: the page is not printed")
    cell = '<td>0.812<span class="sub interval">[0.787, 0.834]</span></td>'
    head = "<th>Hausdorff (voxel)</th>"
    row = f"<tr><th>A method of some words</th>{11 * cell}</tr>"
    (tmp_path / "table1.html").write_text(
        '<figure class="table"><div class="scroll"><table>'
        f"<thead><tr><th>Method</th>{11 * head}</tr></thead>{row}</table></div></figure>"
    )
    render("Report", papers, tmp_path / "report.html", TEMPLATES, RUN)
    with browser.browser(program, tmp_path / "chromium") as page:
        page.size(703, 1000)  # what A4 leaves between its margins
        page.go((tmp_path / "report.html").as_uri(), "document.readyState === 'complete'")
        wide = (
            "Math.max(...[...document.querySelectorAll('.table table')].map((t) => t.scrollWidth))"
        )
        page.run("document.querySelector('#show-intervals').click()")
        assert page.run(wide) > 703  # on the screen it scrolls
        page.call("Emulation.setEmulatedMedia", media="print", features=[])
        assert 500 < page.run(wide) <= 703
        tall = (
            "[...document.querySelectorAll('.table')].map((t) => t.getBoundingClientRect().height)"
        )
        assert min(page.run(tall)) > 30  # the folded one too
        assert page.run("document.querySelector('.history').getBoundingClientRect().height") == 0
        assert page.errors == []


def test_text_is_escaped_and_tables_are_not(page):
    text, _ = page
    assert "Five &lt;papers&gt;" in text
    assert "Deep &lt;learning&gt;" in text
    assert "<td>0.8</td>" in text
    assert "&lt;/pre&gt;" in text


def test_a_missing_part_names_its_file(papers, tmp_path):
    gone = replace(papers[0].figures[0], image=tmp_path / "gone.png")
    papers[0] = replace(papers[0], figures=[gone])
    with pytest.raises(WarplineError, match=r"gone\.png"):
        render("Title", papers, tmp_path / "out" / "report.html", TEMPLATES, RUN)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def paper():
    return {
        "title": "Deep",
        "citation": "Somebody",
        "url": "https://example.org",
        "notes": "docs/papers/deep.md",
        "tables": {"table1": {"title": "Table 1", "folded": False}},
        "figures": {"figure2": {"title": "Figure 2", "caption": "At scale {scale}, seed {seed}."}},
    }


def test_an_entry_names_the_files_of_a_paper_and_quotes_the_run(paper, tmp_path):
    sidecar = tmp_path / "models" / "brains" / "net" / "model.json"
    sidecar.parent.mkdir(parents=True)
    sidecar.write_text(json.dumps({"seed": 3}))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/claims.json").write_text('[{"verdict": "holds"}]')
    values = {"scale": "demo", "seed": "3"}
    entry = paper_entry("deep", paper, {"brains/net": str(sidecar)}, values, tmp_path)
    own = tmp_path / "deep"
    assert entry.notes == "Deviations from the paper and choices: docs/papers/deep.md."
    (table,), (figure,), (curves,) = entry.tables, entry.figures, entry.curves
    assert table.html == own / "tables" / "table1.html"
    assert [path.name for path in table.files] == ["table1.csv", "table1.md", "table1.tex"]
    assert figure.caption == "At scale demo, seed 3."
    assert figure.image == own / "figures" / "figure2.png"
    assert curves.files == [own / "figures" / "learning_curves.svg"]
    assert entry.claims == [{"verdict": "holds"}]
    assert entry.provenance["models"] == {"brains/net": {"seed": 3}}
    assert entry.provenance["run"].items() >= values.items()


def test_a_paper_without_networks_has_no_curves_and_without_notes_no_page(paper, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/claims.json").write_text("[]")
    entry = paper_entry("deep", paper | {"notes": ""}, {}, {"scale": "cpu", "seed": "–"}, tmp_path)
    assert entry.curves == []
    assert entry.notes == ""
