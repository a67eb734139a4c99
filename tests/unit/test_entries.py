"""What leaves the YAML: every entry of the project becomes the dataclass that the library reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from warpline.acquire.dataset import DatasetFiles
from warpline.figures.entry import FigureEntry
from warpline.phantoms.providers.request import Phantom
from warpline.plan.inputs import acquire, papers, register
from warpline.plan.run import Run
from warpline.registration.align import Alignment
from warpline.registration.method import Method
from warpline.tables.entry import TableEntry

ROOT = Path(__file__).parents[2]
PAPERS = sorted(path.stem for path in (ROOT / "config" / "papers").glob("*.yaml"))


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_every_entry_of_the_papers_becomes_its_dataclass(scale):
    run = Run({"scale": scale, "papers": PAPERS}, ROOT)
    datasets, methods = set(), set()
    for paper in PAPERS:
        for spec in papers.table_specs(run, paper).values():
            table = TableEntry.of(spec)
            assert list(table.columns) == list(spec["columns"])
            assert [row.id for row in table.rows] == [row["id"] for row in spec["rows"]]
            datasets |= {row.dataset for row in table.rows if row.method}
            methods |= {row.method for row in table.rows if row.method}
        for spec in run.catalog.paper(paper)["figures"].values():
            figure = FigureEntry.of(spec)
            assert list(figure.titles) == [row["method"] for row in spec["experiments"]]
    assert len(methods) > len(PAPERS)
    for name in methods:
        recipe = register.network_recipe(run, name)
        method = Method.of(register.method_spec(run, name), recipe=recipe)
        assert (method.network is None) == (recipe is None)
    for name in datasets:
        data = run.catalog.dataset(name)
        if "members" in data.spec:
            continue
        files = DatasetFiles.of(acquire.source_spec(run, name, next(iter(data.batches()))))
        assert set(files.labels.values()) == set(data.spec["labels"].values())
        assert files.patients
        if data.spec["phantom"]:
            assert Phantom.of(acquire.phantom_spec(run, name)).scans == files.scans
        if data.spec["prealign"]:
            assert Alignment.of(data.spec["prealign"]).reference
