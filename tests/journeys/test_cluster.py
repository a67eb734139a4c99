"""A group with a cluster: cluster.md, from the dry run to a table, with a queue of one machine."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from desk import ROOT, Desk, scans

HERE = Path(__file__).parent
DRY_RUN = "snakemake --workflow-profile profiles/slurm --dry-run -- bouabid2019"


@pytest.fixture
def queued(desk: Desk, tmp_path) -> Desk:
    """A desk whose Snakemake finds the queue by the name of SLURM's plugin."""
    package = tmp_path / "plugins/snakemake_executor_plugin_slurm"
    package.mkdir(parents=True)
    shutil.copyfile(HERE / "queue_plugin.py", package / "__init__.py")
    return Desk(desk.folder, plugins=(package.parent,))


def test_the_dry_run_of_the_page_tells_what_each_job_would_ask_for(queued: Desk, timed):
    assert DRY_RUN in (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    told = queued.run("warpline run bouabid2019 --workflow-profile slurm --dry-run")
    jobs = re.split(r"^(?:local)?rule ", told, flags=re.MULTILINE)[1:]
    training = next(job for job in jobs if job.startswith("train:"))
    resources = dict(
        part.split("=") for part in re.search(r"resources: (.*)", training)[1].split(", ")
    )
    assert resources["gpu"] == "1"  # at the published setting
    assert int(resources["mem_mb"]) >= 25_000  # of its data, whatever this machine has
    assert int(resources["runtime"]) >= 60
    assert not (queued.folder / "asked.jsonl").exists()
    assert not (queued.folder / "results").exists()


@pytest.mark.long  # each of the jobs starts a Snakemake of its own
def test_a_study_goes_through_the_queue_to_its_table(queued: Desk, timed):
    scans(queued.folder.parent / "scans", "anna")
    queued.run("warpline init ../scans")
    study = "datasets: [scans]\nmethods: [identity, warpline]\nsplit: test\n"
    queued.write("studies/compare-scans.yaml", study)
    queued.run(
        "warpline run compare-scans --workflow-profile slurm "
        "--config scale=demo memory_mb=2000 threads=3"
    )
    path = queued.folder / "results/compare-scans/tables/table.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        table = {row["row"]: row for row in csv.DictReader(stream)}
    assert float(table["warpline"]["dice"]) > 0.9 > float(table["identity"]["dice"])
    lines = (queued.folder / "asked.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    assert any(job["name"].startswith("cases") for job in asked)  # the group of the profile
    assert all(job["mem_mb"] > 0 and job["runtime"] > 0 for job in asked)
    assert not any(job.get("gpu") for job in asked)
    # As configured, however many cores the machine has from which the jobs are submitted.
    assert max(job["threads"] for job in asked) == 3
