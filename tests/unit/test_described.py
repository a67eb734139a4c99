"""Cases that are only looked at: which they are, what is kept of them, and the atlas among them."""

import json
from pathlib import Path

import numpy as np
import pytest
from schema_tools import told_of
from test_exploration import STEPS, scan

from warpline.acquire.batch import import_batch
from warpline.acquire.described import atlas_of_described, describe_batch
from warpline.cases.atlas import SOURCE, make_atlas
from warpline.cases.case import read_case
from warpline.cases.exploration import RECORDS, SLICES, gather
from warpline.errors import WarplineError
from warpline.images.files import write_image
from warpline.plan.inputs import described
from warpline.plan.pairs import ATLAS
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]
DATASET = told_of(case_sheet="own.tsv")


@pytest.fixture
def source(tmp_path) -> Path:
    """Three scans with lungs, of 9, 12 and 20 slices."""
    for name, slices in (("a", 9), ("b", 12), ("c", 20)):
        case = scan(slices=slices, name=name)
        write_image(tmp_path / f"{name}.nii.gz", case.image)
        write_image(tmp_path / f"{name}-mask.nii.gz", case.mask)
    return tmp_path


def rows(*cases: str) -> list[dict[str, str]]:
    return [
        {
            "case": c,
            "image": f"{c}.nii.gz",
            "mask": f"{c}-mask.nii.gz",
            "labels": "",
            "landmarks": "",
        }
        for c in cases
    ]


def test_what_is_kept_is_the_description_that_preparation_writes(source):
    import_batch(source, DATASET, rows("a", "b"), STEPS, source / "prepared", explore=True)
    describe_batch(source, DATASET, rows("a", "b"), STEPS, source / "described")
    kept = sorted(str(p.relative_to(source / "described")) for p in source.glob("described/*/*"))
    assert kept == [f"{case}/{name}" for case in ("a", "b") for name in (RECORDS, SLICES)]
    assert not [path for path in (source / "described").iterdir() if path.name.startswith(".")]
    for stage in ("prepared", "described"):
        folders = {case: source / stage / case for case in ("a", "b")}
        gather(folders, source / f"{stage}.parquet", source / f"{stage}.npz")
    for suffix in (".parquet", ".npz"):
        one, other = ((source / f"{s}{suffix}").read_bytes() for s in ("prepared", "described"))
        assert one == other


def test_every_bad_case_is_named_and_nothing_is_left(source):
    (source / "b.nii.gz").unlink()
    with pytest.raises(WarplineError, match="2 of 3 cases are refused"):
        describe_batch(source, DATASET, rows("a", "b", "gone"), STEPS, source / "described")
    assert not (source / "described").exists()


def test_the_atlas_is_the_one_that_prepared_candidates_have(source):
    cases = rows("a", "b", "c")
    import_batch(source, DATASET, cases, STEPS, source / "prepared", explore=True)
    describe_batch(source, DATASET, cases, STEPS, source / "described")
    prepared, looked_at = (
        {case: source / stage / case for case in "abc"} for stage in ("prepared", "described")
    )
    assert make_atlas(prepared, source / "one") == "b"  # the median height
    assert atlas_of_described(looked_at, source, DATASET, cases, STEPS, source / "two") == "b"
    one, two = (read_case(source / name / ATLAS) for name in ("one", "two"))
    np.testing.assert_array_equal(one.image.array, two.image.array)
    assert one.grid == two.grid
    notes = [json.loads((source / name / ATLAS / SOURCE).read_text()) for name in ("one", "two")]
    assert notes[0] == notes[1]
    assert [path.name for path in (source / "two").iterdir()] == [ATLAS]


def test_cubes_are_written_of_what_is_registered_or_learned_from():
    run = Run({"papers": ["bouabid2019"], "scale": "paper"}, ROOT)
    data = run.catalog.dataset("luna16")
    only = described.described_batches(run.catalog, "luna16")
    cases = {case for batch in only for case in data.batches()[batch]}
    assert cases <= set(data.split("rest"))
    assert len(cases) > 740  # of 757; the others share a batch with the last that are tested
    folders = described.explored_folders(run, "luna16")
    assert set(folders) == set(data.ids)
    assert {case for case, folder in folders.items() if "/described/" in folder} == cases
    assert described.whose_atlas_is_described(run) == "(?:luna16)"
    assert {row["case"] for row in described.candidate_rows(run, "luna16")} == set(
        data.split("rest")
    )


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "demo"},  # all cases are one batch
        {"override": {"datasets": {"luna16": {"explore": False}}, "papers": {}}},
    ],
)
def test_elsewhere_all_cases_are_prepared(change):
    if "override" in change:
        change = {**change, "papers": []}
    run = Run({"papers": ["bouabid2019"], **change}, ROOT)
    assert described.described_batches(run.catalog, "luna16") == frozenset()
    assert "/described/" not in "".join(described.explored_batches(run, "luna16"))
    assert described.whose_atlas_is_described(run) == "(?!)"
