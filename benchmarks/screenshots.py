"""Pictures of the explorer for the documentation, of a finished demo (`make demo`).

    python benchmarks/screenshots.py results docs/images [NAME ...]

Names are those of some pictures; without them all are made. Needs a Chromium. The images that are
seen are generated, so nobody's scan is in the repository.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import browser

CHEST = "#/pair/hansen2020/dirlab-4dct/all/2"
READY = "document.querySelector('.panes')?.dataset.ready"
# Name → address within the page, what has to be there, width, height, dark.
VIEWS = {
    "explorer-table": (
        "#/table/estienne2020/table1",
        "document.querySelector('td a')",
        1280,
        720,
        0,
    ),
    "explorer-pairs": (
        "#/value/hansen2020/table1/4/tre",
        "document.querySelector('.strips')",
        *(1280, 720, 0),
    ),
    "explorer-pair": (f"{CHEST}?window=lung&m=3&m2=4", READY, 1280, 1100, 0),
    "explorer-six": (f"{CHEST}?window=lung&six=1&plane=coronal&m=4", READY, 1280, 1000, 1),
    "explorer-field": (
        f"{CHEST}?window=lung&m=4&show=fixed&field=grid&jacobian=1",
        READY,
        1280,
        720,
        1,
    ),
    "explorer-inverse": (
        f"{CHEST}?window=lung&m=4&m2=2&show=warped&inverse=1&points=0&at=73,28,6",
        READY,
        1280,
        1100,
        0,
    ),
    "explorer-phone": (f"{CHEST}?window=lung&m=4", READY, 390, 844, 1),
}


def main(results: str, target: str, *names: str) -> None:
    """Write a picture of each view, or of those with these names."""
    program = browser.found()
    if program is None:
        sys.exit("no Chromium on this machine")
    Path(target).mkdir(parents=True, exist_ok=True)
    page = (Path(results) / "explorer" / "index.html").absolute().as_uri()
    with tempfile.TemporaryDirectory() as folder, browser.browser(program, Path(folder)) as seen:
        for name in names or VIEWS:
            where, ready, width, height, dark = VIEWS[name]
            seen.size(width, height, bool(dark))
            seen.go(f"{page}{where}", ready)
            path = Path(target) / f"{name}.webp"
            seen.screenshot(path, "webp")
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)
        if seen.errors:
            sys.exit("\n".join(seen.errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
