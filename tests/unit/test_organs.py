"""Label tables: what becomes of each value, which organs are known, how kidneys are parted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from warpline.cases.case import Case, read_case, write_case
from warpline.cases.organs import KIDNEYS, LEFT, NUMBER, ORGANS, RIGHT, harmonise, part_kidneys
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image

SHAPE = (12, 14, 40)
SPACING = (5.0, 6.0, 4.0)
OBLIQUE = tuple(Rotation.from_rotvec([0.2, -0.3, 0.25]).as_matrix().ravel())
# x runs to the patient's left, to the right, and somewhere between the axes.
GRIDS = {
    "to the left": Grid(SHAPE, SPACING, (-100.0, -30.0, 5.0)),
    "to the right": Grid(SHAPE, SPACING, (100.0, 30.0, 5.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)),
    "oblique": Grid(SHAPE, SPACING, (-80.0, 20.0, 9.0), OBLIQUE),
}


def row(*values: int) -> Image:
    array = np.array(values, np.uint8).reshape(1, 1, -1)
    return Image(array, Grid(array.shape))


def body(grid: Grid = GRIDS["to the left"]) -> Image:
    """Tissue everywhere."""
    return Image(np.zeros(grid.shape, np.float32), grid)


def test_the_common_numbers_are_learn2regs():
    assert list(NUMBER.values()) == list(range(1, 14))
    assert [NUMBER[n] for n in ("spleen", "right_kidney", "liver", "left_adrenal")] == [1, 2, 6, 13]
    assert (RIGHT, LEFT) == (2, 3)


def test_tumours_are_merged_and_null_is_left_out():
    labels = row(0, 1, 2, 3, 1)
    found = harmonise(labels, labels, {1: "liver", 2: "liver", 3: None})
    assert found.labels.array.ravel().tolist() == [0, 6, 6, 0, 6]
    assert found.labels.array.dtype == np.uint8
    assert found.annotated == (6,)


def test_an_organ_that_is_not_drawn_is_annotated_all_the_same():
    labels = row(0, 7, 7)
    assert harmonise(labels, labels, {7: "spleen", 9: "gallbladder"}).annotated == (1, 4)


def test_an_organ_is_known_if_all_its_parts_are():
    """What the case has of the others is left out: it may be a part only."""
    labels = row(1, 2, 3, 4)
    values = {1: "liver", 2: "liver", 3: "pancreas", 4: "spleen"}
    found = harmonise(labels, labels, values, annotated=(2, 3))
    assert found.labels.array.ravel().tolist() == [0, 0, 11, 0]
    assert found.annotated == (11,)
    whole = harmonise(labels, labels, values, annotated=(1, 2, 4))
    assert whole.labels.array.ravel().tolist() == [6, 6, 0, 1]
    assert whole.annotated == (1, 6)


def test_a_dataset_without_an_organ_has_no_label_map():
    labels = row(0, 1)
    found = harmonise(labels, labels, {1: None})
    assert found.labels is None
    assert found.annotated == ()


def test_bad_tables_and_maps():
    labels = row(0, 1, 5, 5)
    with pytest.raises(WarplineError, match=r"does not name: 5 \(2 voxels\)"):
        harmonise(labels, labels, {1: "liver"})
    with pytest.raises(WarplineError, match="'livr', which is no common") as error:
        harmonise(labels, labels, {1: "livr", 5: None})
    assert "Did you mean 'liver'?" in str(error.value)
    with pytest.raises(WarplineError, match=r"No organ is annotated.*\[5\].*liver"):
        harmonise(labels, labels, {1: "liver", 5: None}, annotated=(5,))
    with pytest.raises(WarplineError, match="does not name: 5"):  # also where no organ is known
        harmonise(labels, labels, {1: None})


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=30),
    st.dictionaries(st.integers(1, 5), st.sampled_from([*ORGANS, None]), min_size=5, max_size=5),
    st.sets(st.integers(1, 5)),
)
def test_any_table_value_by_value(values, table, annotated):
    labels = row(*values)
    whole = {o for o in table.values() if o and {v for v in table if table[v] == o} <= annotated}
    if not any(table.values()):
        assert harmonise(labels, labels, table, annotated).labels is None
    elif not whole:
        with pytest.raises(WarplineError, match="No organ is annotated"):
            harmonise(labels, labels, table, annotated)
    else:
        found = harmonise(labels, labels, table, annotated)
        expected = [NUMBER[table[v]] if v and table[v] in whole else 0 for v in values]
        assert found.labels.array.ravel().tolist() == expected
        assert found.annotated == tuple(sorted(NUMBER[o] for o in whole))


# Kidneys ----------------------------------------------------------------------------------------


def balls(grid: Grid, *middles_and_radii) -> np.ndarray:
    """Balls at places relative to the grid's middle, mm along x; bool."""
    points = grid.index_to_physical(grid.indices())
    middle = grid.index_to_physical((np.array(grid.shape) - 1) / 2)
    inside = np.zeros(grid.shape, bool)
    for x, radius in middles_and_radii:
        inside |= np.linalg.norm(points - middle - [x, 0, 0], axis=-1) < radius
    return inside


def sides(parted: np.ndarray, grid: Grid) -> dict[int, set]:
    """For each kidney, on which sides of the grid's middle it lies."""
    x = grid.index_to_physical(grid.indices())[..., 0]
    middle = grid.index_to_physical((np.array(grid.shape) - 1) / 2)[0]
    return {n: set((x[parted == n] > middle).tolist()) for n in (RIGHT, LEFT)}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_two_kidneys(grid):
    kidneys = balls(grid, (-55, 18), (55, 20))
    parted, note = part_kidneys(kidneys, body(grid))
    assert note == ""
    assert sides(parted, grid) == {RIGHT: {False}, LEFT: {True}}
    assert np.array_equal(parted > 0, kidneys)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_three_parts_two_of_them_one_kidney(grid):
    """The widest gap is between the kidneys; the mean of all voxels is not (it is at -22 mm)."""
    kidneys = balls(grid, (-68, 16), (-30, 12), (50, 12))
    parted, note = part_kidneys(kidneys, body(grid))
    assert note.startswith("3 parts of kidneys, told apart at x = ")
    assert sides(parted, grid) == {RIGHT: {False}, LEFT: {True}}


def test_a_speck_goes_with_its_side():
    grid = GRIDS["to the left"]
    kidneys = balls(grid, (-55, 18), (55, 18), (85, 6))
    parted, note = part_kidneys(kidneys, body(grid))
    assert "3 parts" in note
    assert sides(parted, grid) == {RIGHT: {False}, LEFT: {True}}


@pytest.mark.parametrize(("x", "name", "number"), [(-50, "right", RIGHT), (50, "left", LEFT)])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_one_kidney(grid, x, name, number):
    kidneys = balls(grid, (x, 20))
    parted, note = part_kidneys(kidneys, body(grid))
    assert note == f"one kidney, the {name} one"
    assert (parted[kidneys] == number).all()


def test_the_midline_is_the_patients_not_the_images():
    """A patient far to one side: a kidney at +50 mm is the right one."""
    grid = GRIDS["to the left"]
    image = body(grid)
    image.array[:, :, :28] = -1000
    parted, note = part_kidneys(balls(grid, (50, 20)), image)
    assert note == "one kidney, the right one"
    assert set(np.unique(parted)) == {0, RIGHT}


def test_one_kidney_and_its_tumour_far_from_it_stay_one():
    grid = GRIDS["to the left"]
    kidneys = balls(grid, (-75, 16), (-30, 14))
    parted, note = part_kidneys(kidneys, body(grid))
    assert note == "one kidney, the right one"
    assert set(np.unique(parted)) == {0, RIGHT}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_kidneys_that_touch_are_cut_at_their_thinnest(grid):
    """The isthmus runs from 14 to 24 mm, beside the image's middle."""
    kidneys = balls(grid, (-26, 40), (19, 12), (52, 28))
    parted, note = part_kidneys(kidneys, body(grid))
    assert note.startswith("kidneys that touch are cut at x = ")
    middle = grid.index_to_physical((np.array(grid.shape) - 1) / 2)[0]
    assert float(note.split("=")[1].split()[0]) - middle == pytest.approx(19, abs=7)
    x = grid.index_to_physical(grid.indices())[..., 0] - middle
    assert abs(x[kidneys].mean()) < 5
    assert x[parted == RIGHT].max() < x[parted == LEFT].min()
    assert np.array_equal(parted > 0, kidneys)


def test_no_kidney():
    grid = GRIDS["to the left"]
    parted, note = part_kidneys(np.zeros(SHAPE, bool), body(grid))
    assert not parted.any()
    assert note == "no kidney is drawn"


@settings(deadline=None, max_examples=50)
@given(st.floats(-30, 30), st.floats(12, 22), st.floats(12, 22), st.booleans())
def test_every_voxel_has_one_side_and_right_is_right(shift, first, second, flipped):
    grid = GRIDS["to the right" if flipped else "to the left"]
    kidneys = balls(grid, (shift - 52, first), (shift + 52, second))
    parted, _ = part_kidneys(kidneys, body(grid))
    x = grid.index_to_physical(grid.indices())[..., 0]
    assert np.array_equal(parted > 0, kidneys)
    assert x[parted == RIGHT].max() < x[parted == LEFT].min()


# As a step --------------------------------------------------------------------------------------


def a_case(values: tuple[int, ...] = (1, 2)) -> Case:
    grid = GRIDS["to the left"]
    labels = np.zeros(SHAPE, np.uint8)
    labels[balls(grid, (-55, 18), (55, 20))] = values[0]
    labels[balls(grid, (-55, 7))] = values[1]
    return Case("c7", body(grid), Image(labels, grid))


def test_the_step_and_what_travels_along(tmp_path, capsys):
    step = {"harmonise": {"values": {1: KIDNEYS, 2: KIDNEYS}}}
    case = prepare(a_case(), [step])
    assert case.annotated == (RIGHT, LEFT)
    assert set(np.unique(case.labels.array)) == {0, RIGHT, LEFT}
    assert capsys.readouterr().out == ""
    later = prepare(case, [{"resample": {"spacing": [7, 7, 7]}}, {"window": {"low": 0, "high": 1}}])
    write_case(tmp_path / "c7", later)
    assert read_case(tmp_path / "c7").annotated == (RIGHT, LEFT)
    one = replace(case, labels=case.labels.with_array((case.labels.array == RIGHT).astype("u1")))
    prepare(replace(one, annotated=None), [{"harmonise": {"values": {1: KIDNEYS}}}])
    assert capsys.readouterr().out == "c7: one kidney, the right one\n"


def test_the_record_of_a_canonical_case_says_what_is_annotated(tmp_path):
    step = {"harmonise": {"values": {1: "liver", 2: "spleen"}}}
    write_case(tmp_path / "c7", a_case())
    assert read_case(tmp_path / "c7").annotated is None
    (tmp_path / "c7" / "record.json").write_text(json.dumps({"annotated": [2], "size": [1]}))
    case = read_case(tmp_path / "c7")
    assert case.annotated == (2,)
    assert prepare(case, [step]).annotated == (1,)
    assert set(np.unique(prepare(case, [step]).labels.array)) == {0, 1}
    (tmp_path / "c7" / "labels.nii.gz").unlink()
    unlabelled = read_case(tmp_path / "c7")
    assert unlabelled.annotated is None
    assert prepare(unlabelled, [step]) is unlabelled


def test_the_step_without_organs_and_its_errors():
    case = prepare(a_case(), [{"harmonise": {"values": {1: None, 2: None}}}])
    assert case.labels is None
    assert case.annotated is None
    with pytest.raises(WarplineError, match="does not name: 2") as error:
        prepare(a_case(), [{"harmonise": {"values": {1: "liver"}}}])
    assert error.value.where == "case c7"
