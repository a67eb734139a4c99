"""The case sheet of LUNA16."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from warpline.plan.sheets import read_case_sheet

SHEET = Path(__file__).parents[2] / "config" / "datasets" / "luna16.tsv"
ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
# the first three patients of LIDC-IDRI, from the headers of their scans
SOME = {
    f"{ROOT}179049373636438705059720603192": "LIDC-IDRI-0001",
    f"{ROOT}619372068417051974713149104919": "LIDC-IDRI-0002",
    f"{ROOT}170706757615202213033480003264": "LIDC-IDRI-0003",
}


def test_the_888_scans():
    rows = read_case_sheet(SHEET)
    cases = {row["case"]: row["patient"] for row in rows}
    assert Counter(row["split"] for row in rows) == {"train": 98, "test": 33, "rest": 757}
    assert len(cases) == 888
    assert len(set(cases.values())) == 887  # LIDC-IDRI-0332 was scanned twice
    assert SOME.items() <= cases.items()
    assert all(case.startswith(ROOT) and len(case) == 64 for case in cases)


def test_the_splits_follow_from_the_ids_alone():
    rows = [(row["case"], row["patient"], row["split"]) for row in read_case_sheet(SHEET)]

    def order(row: tuple[str, str, str]) -> tuple[str, str]:
        return hashlib.sha256(row[1].encode()).hexdigest(), row[0]

    assert rows == sorted(rows, key=order)
    assert [split for _, _, split in rows] == ["train"] * 98 + ["test"] * 33 + ["rest"] * 757
