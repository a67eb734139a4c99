"""The five tasks of docs/tour.md, done in a browser as a reader does them: clicks and keys.

    python tests/tour.py results docs/images

does them on a finished run of the demo, says how long the pages took, and takes the pictures.
`tests/unit/test_explorer.py` does them on small pages and looks at what comes out.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import browser

READY = "document.querySelector('.panes')?.dataset.ready"
NOTE = "document.querySelector('.note')?.innerText ?? ''"


class Reader:
    """Who looks: clicks on what is seen, chooses, presses keys; `steps` counts that."""

    def __init__(self, page: browser.Page):
        self.page, self.steps = page, 0

    def click(self, words: str, within: str = "main", until: str = "true") -> None:
        """Click on the first link, button or value that has these words."""
        found = f"""(() => {{
            const all = [...document.querySelectorAll("{within} a, {within} button")];
            const named = (e) => (e.innerText || e.getAttribute("aria-label") || "").trim();
            const it = all.find((e) => named(e) === {json.dumps(words)})
                || all.find((e) => named(e).startsWith({json.dumps(words)}));
            if (!it) return null;
            it.scrollIntoView({{ block: "center" }});
            const box = it.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }})()"""
        place = self.page.run(found)
        assert place is not None, f"nothing says '{words}'"
        self.point(*place)
        self.page.wait(until)

    def point(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.page.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )
        self.steps += 1

    def choose(self, label: str, words: str, until: str) -> None:
        """Choose an entry of a list by its words."""
        self.page.run(
            f"""(() => {{
            const field = [...document.querySelectorAll("label.field")]
                .find((f) => f.querySelector("span").innerText === {json.dumps(label)});
            const list = field.querySelector("select");
            list.value = [...list.options].find((o) => o.text === {json.dumps(words)}).value;
            list.dispatchEvent(new Event("change"));
        }})()"""
        )
        self.steps += 2
        self.page.wait(until)

    def press(self, key: str, until: str) -> None:
        """Press a key."""
        self.page.press(key)
        self.steps += 1
        self.page.wait(until)


def worst_pair(reader: Reader, table: str, method: str, column: str) -> str:
    """From the first page to the worst pair of a method; its name."""
    reader.click(table, until="document.querySelector('td a.value')")
    box = reader.page.run(
        f"""(() => {{
        const value = [...document.querySelectorAll("td a.value")]
            .find((a) => a.getAttribute("aria-label").startsWith("{column} of {method}:"));
        value.scrollIntoView({{ block: "center" }});
        return value.getBoundingClientRect().toJSON(); }})()"""
    )
    reader.point(box["left"] + box["width"] / 2, box["top"] + box["height"] / 2)
    reader.page.wait("document.querySelector('.pairs a')")
    return reader.page.run("document.querySelector('.pairs tbody th').innerText")


def open_worst(reader: Reader) -> None:
    """From the list of pairs to the first one's images."""
    reader.click("look at it", within=".pairs", until=READY)


def fold(reader: Reader) -> str:
    """Where the shown method folds: what the page says at that place, or that it does not fold."""
    told = "document.querySelector('.readout').innerText"
    reader.press("f", f"{told}.includes('a fold') || ({NOTE}).includes('folds nowhere')")
    return reader.page.run(f"({NOTE}) + ' ' + {told}")


def compare(reader: Reader, other: str) -> None:
    """Put another method beside the one that is shown."""
    panes = "document.querySelectorAll('.panes h2.method').length"
    reader.choose("Beside it", other, f"{panes} === 2 && {READY}")


def send(reader: Reader) -> str:
    """Copy the link to the view as it is; the address."""
    reader.click("Copy link", until=f"({NOTE}).length > 0")
    return reader.page.run("location.href")


def take_numbers(reader: Reader, folder: Path) -> Path:
    """Save the table that is shown; the file."""
    reader.page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    before = set(folder.glob("*.csv"))
    reader.click("CSV")
    end = time.monotonic() + 30
    while not (new := set(folder.glob("*.csv")) - before):
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.1)
    return new.pop()


def main(results: str, target: str) -> None:
    """Do all five on a run of the demo, with a picture and the time of each."""
    program = browser.found()
    if program is None:
        sys.exit("no Chromium on this machine")
    start = (Path(results) / "explorer" / "index.html").absolute().as_uri()
    with tempfile.TemporaryDirectory() as folder, browser.browser(program, Path(folder)) as page:
        page.size(1280, 720)
        page.go(start, "document.querySelector('.cards a')")
        reader = Reader(page)
        number = 0

        def task(title: str, do: Callable[[], object]) -> None:
            nonlocal number
            number += 1
            begun, steps = time.monotonic(), reader.steps
            said = do()
            seconds = time.monotonic() - begun
            page.run("new Promise((done) => setTimeout(done, 300))")
            path = Path(target) / f"tour-{number}.webp"
            page.screenshot(path, "webp")
            print(f"{number} {title}: {reader.steps - steps} steps, {seconds:.1f} s; {said or ''}")

        def numbers() -> str:
            reader.click(title, within="#crumbs", until="document.querySelector('td a.value')")
            return take_numbers(reader, Path(folder)).read_text(encoding="utf-8").splitlines()[1]

        # Of the demo's five papers the one with fields worth a look.
        title = page.run(
            """(() => {
            const all = [...document.querySelectorAll(".cards a")];
            return (all.find((a) => a.href.includes("hansen2020")) || all[0]).innerText; })()"""
        )
        method = "Embedding, 512"
        task("the worst pair", lambda: worst_pair(reader, title, method, "TRE (mm)"))
        task("where it folds", lambda: (open_worst(reader), fold(reader))[1])
        task("two methods", lambda: compare(reader, "VoxelMorph"))
        task("a link", lambda: send(reader))
        task("the numbers", numbers)
        if page.errors:
            sys.exit("\n".join(page.errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
