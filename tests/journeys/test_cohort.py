"""Someone with a cohort: own-data.md, from an empty folder to a table, as the page says."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from desk import Desk, blocks, scans

from warpline.images.files import read_image, write_image
from warpline.images.grid import Image


def rows(desk: Desk, study: str) -> dict[str, dict[str, str]]:
    path = desk.folder / f"results/{study}/tables/table.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["title"]: row for row in csv.DictReader(stream)}


def test_a_cohort_of_ones_own(desk: Desk, timed):
    scans(desk.folder.parent / "scans", "anna", "bert")
    page = blocks("own-data.md")
    look, study, run, apply = (page[n] for n in range(4))
    told = desk.follow([look])
    assert "4 scans of 2 patients" in told
    assert "two scans of each of 2 patients are a pair" in told
    told = desk.follow([study, run])
    assert (desk.folder / "results/report.html").is_file()
    assert "methods measured  2 of 2" in told
    table = rows(desk, "compare-scans")
    before, after = (float(table[name]["dice"]) for name in ("Unregistered", "warpline"))
    assert before < 0.7 < 0.9 < after
    assert table["warpline"]["n"] == "2"

    # The page's last command: a field of the study onto a label map, on the fixed scan's own grid.
    desk.follow([apply])
    warped = read_image(desk.folder / "labels.nii.gz")
    fixed = read_image(desk.folder.parent / "scans/anna_1_seg.nii.gz")
    assert warped.grid == fixed.grid
    assert np.mean(warped.array == fixed.array) > 0.95


@pytest.mark.long  # the same start, and a second run
def test_a_scan_that_is_wrong_is_named_by_the_run_and_by_the_status(desk: Desk):
    scans(desk.folder.parent / "scans", "anna", "bert")
    desk.follow(blocks("own-data.md")[:2])
    path = desk.folder.parent / "scans/bert_2_seg.nii.gz"
    broken = read_image(path)
    write_image(path, Image(broken.array + np.uint8(5) * (broken.array > 0), broken.grid))
    told = desk.run("warpline run --keep-going", ok=False)
    assert "bert_2" in told
    told = desk.run("warpline status")
    assert "The last run's error, prepare scans bert_2" in told
    assert "bert_2_seg.nii.gz" in told
    assert "results/logs/prepare/scans/bert_2.log" in told
