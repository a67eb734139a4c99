"""A batch of a user's own scans becomes prepared cases, or every bad one is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from schema_tools import told_of

from warpline.acquire.batch import IMPORTED, import_batch
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

DATASET = told_of(case_sheet="own.tsv")


def rows(*cases):
    empty = dict.fromkeys(("labels", "mask", "landmarks"), "")
    return [{"case": case, "image": f"{case}.nii.gz", **empty} for case in cases]


def scan(folder, name, slices=16):
    array = np.random.default_rng(1).integers(-1000, 400, (slices, 18, 20)).astype(np.int16)
    grid = Grid(array.shape, (1.1, 0.9, 2.5), (3.0, -4.0, 5.0))
    write_image(folder / f"{name}.nii.gz", Image(array, grid))
    return array


def test_a_prepared_case_keeps_the_record_of_its_import(tmp_path):
    array = scan(tmp_path, "a")
    steps = [{"clip": {"low": -500, "high": 100}}]
    import_batch(tmp_path, DATASET, rows("a"), steps, tmp_path / "batch")
    case = read_case(tmp_path / "batch/a")
    np.testing.assert_array_equal(case.image.array, np.clip(array, -500, 100))
    assert json.loads((tmp_path / "batch/a" / IMPORTED).read_text())["orientation"] == "LPS"
    # What was canonical on the way is gone.
    assert sorted(path.name for path in (tmp_path / "batch").iterdir()) == ["a"]


def test_every_bad_case_of_a_batch_is_named_and_nothing_is_left(tmp_path):
    for name, slices in (("thin", 3), ("good", 16), ("flat", 4)):
        scan(tmp_path, name, slices)
    steps = [{"resize": {"shape": [8, 8, 8]}}]
    with pytest.raises(WarplineError) as error:
        import_batch(
            tmp_path, DATASET, rows("thin", "good", "flat", "gone"), steps, tmp_path / "batch"
        )
    message = str(error.value)
    assert "3 of 4 cases are refused" in message
    for part in ("case thin", "3 × 18 × 20", "case flat", "4 × 18 × 20", "gone"):
        assert part in message
    assert "good" not in message
    assert not (tmp_path / "batch").exists()
