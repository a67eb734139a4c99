"""A whole pair's measurements, against the challenge's own program and by hand."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.evaluation import pairs as evaluate
from warpline.evaluation import records
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image

LABELS = {1: "head", 2: "tail"}


def values(rows, metric):
    return {r["label"]: r["value"] for r in rows if r["metric"] == metric}


@pytest.fixture(scope="session")
def reference():
    root = os.environ.get("WARPLINE_REAL_DATA")
    if not root:
        pytest.skip("WARPLINE_REAL_DATA is not set: no reference data")
    folder = Path(root) / "reference"
    if not folder.exists():
        pytest.skip(f"{folder} does not exist")
    return folder


def reference_rows(folder, name):
    expected = json.loads((folder / "learn2reg_expected.json").read_text())[name]
    data = np.load(folder / f"{name}.npz")
    i, j, k = expected["landmark_spacing_mm"]
    # The program's array axes i, j, k are our z, y, x.
    grid = Grid(shape=data["fixed_label"].shape, spacing=(k, j, i))
    field = DisplacementField.from_voxel(
        torch.from_numpy(data["displacement"]).permute(3, 0, 1, 2), grid, grid
    )

    def case(prefix):
        points = grid.index_to_physical(data[f"{prefix}_landmarks"])
        landmarks = pd.DataFrame(points, columns=["x", "y", "z"])
        landmarks.insert(0, "id", [f"{n:02d}" for n in range(len(points))])
        labels = Image(data[f"{prefix}_label"], grid)
        return Case(prefix, labels, labels, landmarks=landmarks)

    rows = evaluate.evaluate_pair(
        case("fixed"), case("moving"), field, labels=LABELS, outside="background"
    )
    return rows, expected


@pytest.mark.parametrize("name", ["case0", "case1", "case2"])
def test_learn2reg_prints_the_same(reference, name):
    rows, expected = reference_rows(reference, name)
    exact = {"abs": 1e-6, "rel": 0}
    assert list(values(rows, "dice").values()) == pytest.approx(expected["dice_per_label"], **exact)
    assert list(values(rows, "hd95_voxels").values()) == pytest.approx(
        expected["hd95_per_label_voxels"], **exact
    )
    assert values(rows, "sdlogj_learn2reg")[""] == pytest.approx(
        expected["sdlogj_learn2reg"], **exact
    )
    assert values(rows, "stdj_estienne2020")[""] == pytest.approx(
        expected["stdj_estienne2020"], **exact
    )
    assert values(rows, "folding_fraction")[""] == pytest.approx(
        expected["fraction_jacobian_nonpositive_interior"], **exact
    )
    # float32 vectors in mm: 1e-6 of the largest displacement
    assert list(values(rows, "tre").values()) == pytest.approx(expected["tre_mm"], abs=1e-5)


@pytest.fixture
def pair():
    grid = Grid((12, 14, 16), spacing=(2.0, 2.0, 2.0), origin=(5.0, -3.0, 1.0))
    rng = np.random.default_rng(0)
    image = Image(rng.normal(size=grid.shape).astype(np.float32), grid)
    labels = np.zeros(grid.shape, np.uint8)
    labels[3:8, 4:9, 4:10] = 1
    labels[8:10, 4:9, 4:10] = 2
    landmarks = pd.DataFrame(
        {"id": ["a", "b", "c"], "x": [15.0, 17.0, 19], "y": [7.0, 9, 5], "z": [9.0, 11, 13]}
    )
    case = Case("a", image, Image(labels, grid), landmarks=landmarks)
    return case, grid


def test_a_case_registers_to_itself(pair):
    case, grid = pair
    rows = evaluate.evaluate_pair(case, case, DisplacementField.identity(grid), labels=LABELS)
    assert values(rows, "dice") == {"head": 1.0, "tail": 1.0}
    for metric in ("hd95", "hausdorff", "hd95_voxels"):
        assert values(rows, metric) == {"head": 0.0, "tail": 0.0}
    for metric in ("tre", "tre_snapped", "tre_x", "tre_y", "tre_z"):
        assert values(rows, metric) == pytest.approx({"a": 0.0, "b": 0.0, "c": 0.0}, abs=1e-6)
    assert values(rows, "mse")[""] == pytest.approx(0.0, abs=1e-9)
    assert values(rows, "cc")[""] == pytest.approx(1.0)
    assert values(rows, "sdlogj")[""] == pytest.approx(0.0, abs=1e-6)


def test_distances_in_mm_are_voxels_times_spacing(pair):
    case, grid = pair
    shifted = DisplacementField(np.full((*grid.shape, 3), (4.0, 0, 0), np.float32), grid)
    rows = evaluate.evaluate_pair(case, case, shifted, labels=LABELS)
    assert values(rows, "hausdorff")["head"] == pytest.approx(4.0)
    assert values(rows, "hd95_voxels")["head"] == pytest.approx(2.0)
    assert values(rows, "tre")["a"] == pytest.approx(4.0)
    assert values(rows, "tre_x")["b"] == pytest.approx(4.0)
    assert values(rows, "tre_y")["b"] == pytest.approx(0.0, abs=1e-6)
    assert values(rows, "displacement_x")["b"] == pytest.approx(4.0)
    assert values(rows, "target_x") == pytest.approx({"a": 0.0, "b": 0.0, "c": 0.0})
    units = {r["metric"]: r["unit"] for r in rows}
    assert (units["hd95"], units["hd95_voxels"], units["tre"], units["dice"]) == (
        "mm",
        "voxel",
        "mm",
        "",
    )


def test_what_comes_from_beyond_the_moving_labels_is_as_asked(pair):
    """A label at the border, the field three voxels beyond it: smeared there, or gone."""
    case, grid = pair
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, :, :2] = 1
    case = Case("a", case.image, Image(labels, grid))
    vectors = np.zeros((*grid.shape, 3), np.float32)
    vectors[..., 0] = -6.0  # the content moves three voxels towards larger x
    field = DisplacementField(vectors, grid)
    smeared, background = (
        values(evaluate.evaluate_pair(case, case, field, labels={1: "a"}, outside=outside), "dice")
        for outside in ("border", "background")
    )
    # Fixed: x of 0 and 1. Moved: those and three more, or 3 and 4 alone.
    assert smeared["a"] == pytest.approx(2 * 2 / (2 + 5))
    assert background["a"] == 0


def test_learn2reg_counts_in_voxels_of_both_images(pair):
    """Twice the moving spacing: J between indices is ⅛, though nothing moves in space."""
    case, grid = pair
    coarse = Grid((6, 7, 8), spacing=(4.0, 4.0, 4.0), origin=grid.origin)
    moving = Case("m", Image(np.zeros(coarse.shape, np.float32), coarse))
    bumpy = np.zeros((*grid.shape, 3), np.float32)
    bumpy[..., 0] = np.sin(np.arange(16))
    field = DisplacementField(bumpy, grid)
    rows = evaluate.evaluate_pair(Case("f", case.image), moving, field, labels={})
    x = np.arange(2, 14)
    j = 1 + (np.sin(x + 1) - np.sin(x - 1)) / 4
    assert values(rows, "sdlogj")[""] == pytest.approx(np.log(j).std(), rel=1e-5)
    assert values(rows, "sdlogj_learn2reg")[""] == pytest.approx(np.log(j / 8 + 3).std(), rel=1e-4)
    assert values(rows, "stdj_estienne2020")[""] == pytest.approx(
        np.log(j / 8 + 15).std(), rel=1e-3
    )


def test_labels_that_only_one_case_holds_do_not_count(pair):
    case, grid = pair
    array = case.labels.array.copy()
    array[array == 2] = 0
    rows = evaluate.evaluate_pair(
        case,
        replace(case, labels=Image(array, grid)),
        DisplacementField.identity(grid),
        labels=LABELS,
    )
    assert values(rows, "dice") == pytest.approx({"head": 1.0, "tail": math.nan}, nan_ok=True)


def test_a_label_moved_off_the_grid_counts_as_missed(pair):
    case, grid = pair
    away = DisplacementField(np.full((*grid.shape, 3), (500.0, 0, 0), np.float32), grid)
    rows = evaluate.evaluate_pair(case, case, away, labels=LABELS)
    assert values(rows, "dice") == {"head": 0.0, "tail": 0.0}
    voxels = np.linalg.norm(grid.shape)
    mm = np.linalg.norm(np.multiply(grid.shape, grid.spacing[::-1]))
    for metric, diagonal in (("hd95", mm), ("hausdorff", mm), ("hd95_voxels", voxels)):
        assert values(rows, metric) == pytest.approx({"head": diagonal, "tail": diagonal})
    assert values(rows, "vanished") == {"head": 1.0, "tail": 1.0}


def test_losing_a_label_never_improves_a_score(pair):
    """A shift by three voxels, once with the tail lost on the way: means over labels are worse."""
    case, grid = pair
    kept = np.zeros((*grid.shape, 3), np.float32)
    kept[..., 0] = 3 * grid.spacing[0]
    lost = kept.copy()
    lost[DisplacementField(kept, grid).warp_labels(case.labels).array == 2] = (500.0, 0, 0)
    means = []
    for vectors in (kept, lost):
        rows = evaluate.evaluate_pair(case, case, DisplacementField(vectors, grid), labels=LABELS)
        means.append([np.nanmean(list(values(rows, m).values())) for m in ("dice", "hd95")])
    assert values(rows, "vanished") == {"head": 0.0, "tail": 1.0}
    assert means[1][0] < means[0][0]
    assert means[1][1] > means[0][1]


def test_a_label_that_one_case_lacks_has_not_vanished(pair):
    case, grid = pair
    bare = replace(case, labels=Image(np.where(case.labels.array == 2, 0, case.labels.array), grid))
    for fixed, moving in ((case, bare), (bare, case)):
        rows = evaluate.evaluate_pair(
            fixed, moving, DisplacementField.identity(grid), labels=LABELS
        )
        assert values(rows, "vanished") == {"head": 0.0}
        assert math.isnan(values(rows, "hd95")["tail"])


def test_masks_stand_in_for_labels(pair):
    case, grid = pair
    masked = Case("a", case.image, mask=Image(case.labels.array > 0, grid))
    still, labels = DisplacementField.identity(grid), {1: "lungs"}
    rows = evaluate.evaluate_pair(masked, masked, still, labels=labels)
    assert values(rows, "dice") == {"mask": 1.0}


def test_only_shared_landmarks_count(pair):
    case, grid = pair
    other = replace(case, landmarks=case.landmarks.iloc[[2, 0]])
    identity = DisplacementField.identity(grid)
    rows = evaluate.evaluate_pair(case, other, identity, labels=LABELS)
    assert values(rows, "tre") == pytest.approx({"a": 0.0, "c": 0.0}, abs=1e-6)
    none = replace(case, landmarks=case.landmarks.assign(id=["x", "y", "z"]))
    assert values(evaluate.evaluate_pair(case, none, identity, labels=LABELS), "tre") == {}


def test_grids_must_agree(pair):
    case, grid = pair
    other = Grid(grid.shape, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(WarplineError, match="different grids"):
        evaluate.evaluate_pair(case, case, DisplacementField.identity(other), labels=LABELS)


def some_records():
    rows = [records.row("dice", 0.5, "", "head"), records.row("sdlogj", 0.1)]
    return records.records(rows, "hippocampus", "identity", "val", "h1", "h2")


def test_records_survive_the_disk(tmp_path):
    frame = some_records()
    assert list(frame.columns) == list(records.COLUMNS)
    records.write_records(frame, tmp_path / "a" / "records.parquet")
    pd.testing.assert_frame_equal(records.read_records(tmp_path / "a" / "records.parquet"), frame)


def test_no_rows_are_records_too(tmp_path):
    empty = records.records([], "d", "m", "s", "f", "g")
    records.write_records(empty, tmp_path / "records.parquet")
    assert records.read_records(tmp_path / "records.parquet").empty


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop(columns="split"), "lack split"),
        (lambda f: f.assign(colour="red"), "unknown colour"),
        (lambda f: f.assign(value="high"), "not numeric"),
        (lambda f: f.assign(method=None), "gaps in method"),
    ],
)
def test_wrong_records_are_refused(tmp_path, spoil, message):
    wrong = spoil(some_records())
    with pytest.raises(WarplineError, match=message):
        records.write_records(wrong, tmp_path / "records.parquet")
    assert list(tmp_path.iterdir()) == []
    wrong.to_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(WarplineError, match=message):
        records.read_records(tmp_path / "wrong.parquet")


def test_unreadable_records_say_so(tmp_path):
    with pytest.raises(WarplineError, match="do not exist"):
        records.read_records(tmp_path / "none.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(WarplineError, match="cannot be read"):
        records.read_records(tmp_path / "cut.parquet")


def test_records_say_of_how_many_cases_the_mask_was_segmented():
    grid = Grid((6, 6, 6))
    image = Image(np.random.default_rng(0).random(grid.shape).astype(np.float32), grid)
    mask = Image(np.ones(grid.shape, np.uint8), grid)
    field = DisplacementField.identity(grid)
    for fixed, moving, expected in ((True, True, [2.0]), (False, True, [1.0]), (False, False, [])):
        rows = evaluate.evaluate_pair(
            Case("f", image, mask=mask, segmented=fixed),
            Case("m", image, mask=mask, segmented=moving),
            field,
            labels={},
        )
        assert list(values(rows, "segmented_masks").values()) == expected
