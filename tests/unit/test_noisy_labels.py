"""Noisy labels: what is kept, which components, and outliers by hand-made patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_tools import limits_of
from scipy.spatial.transform import Rotation

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.segmentation.noisy_labels import (
    Distribution,
    Limits,
    judge,
    largest_components,
    measure,
    noisy_labels,
    verdicts,
    with_annotations,
)

OBLIQUE = tuple(Rotation.from_rotvec([0.3, -0.2, 0.4]).as_matrix().ravel())
SHAPE = (24, 20, 30)
LIMITS = Limits(**limits_of())
GRID = Grid(SHAPE, (5.0, 4.0, 6.0), (-80.0, 10.0, 3.0), OBLIQUE)
LIVER, SPLEEN, AORTA, PANCREAS = 6, 1, 8, 11
ORGANS = (SPLEEN, LIVER, AORTA, PANCREAS)
# First voxel and size (z, y, x) of each organ, a box.
BOXES = {
    LIVER: ((8, 4, 2), (8, 8, 8)),
    SPLEEN: ((10, 10, 22), (5, 5, 4)),
    AORTA: ((6, 12, 14), (10, 2, 2)),
    PANCREAS: ((8, 8, 13), (2, 2, 6)),
}


def patient(shift=(0, 0, 0), **boxes) -> Image:
    """A label map of boxes; `boxes` by organ name replace their first voxel and size."""
    array = np.zeros(SHAPE, np.uint8)
    for number, box in BOXES.items():
        first, size = boxes.get(f"o{number}", box)
        place = tuple(slice(f + s, f + s + n) for f, s, n in zip(first, shift, size, strict=True))
        array[place] = number
    return Image(array, GRID)


def a_case(labels: Image | None, annotated=None) -> Case:
    return Case("p", Image(np.zeros(SHAPE, np.float32), GRID), labels, annotated=annotated)


def population(count: int = 7) -> pd.DataFrame:
    """Alike patients, scanned from other heights; the liver is 1 to 3 voxels thicker in some."""
    tables = []
    for k in range(count):
        labels = patient((k % 5 - 2, k % 3 - 1, 0), o6=((8, 4, 2), (8, 8, 8 + k % 3)))
        tables.append(measure(labels, ORGANS, f"t{k}"))
    return pd.concat(tables)


# Measures ---------------------------------------------------------------------------------------


def test_measures_by_hand():
    labels = patient()
    labels.array[20, 18, 28] = LIVER
    found = measure(labels, (LIVER, PANCREAS, 2), "p", annotated=(LIVER, 2)).set_index("organ")
    assert found.loc["liver", "volume_ml"] == pytest.approx((8**3 + 1) * 0.12)
    assert found.loc["liver", "components"] == 2
    assert found.loc["liver", "share"] == pytest.approx(512 / 513)
    middle = GRID.index_to_physical(np.array([8.5, 8.5, 15.5]))
    assert found.loc["pancreas", ["x", "y", "z"]].tolist() == pytest.approx(middle.tolist())
    assert found["source"].tolist() == ["annotated", "predicted", "annotated"]
    absent = found.loc["right_kidney"]
    assert absent["volume_ml"] == absent["components"] == 0
    assert absent[["x", "y", "z", "share"]].isna().all()


# Annotations and components ---------------------------------------------------------------------


def test_annotations_hold():
    """The liver is annotated: its prediction goes, also where it is beside the annotation."""
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, :6] = [LIVER, LIVER, SPLEEN, SPLEEN, PANCREAS, 0]
    truth = np.zeros(SHAPE, np.uint8)
    truth[0, 0, :6] = [0, LIVER, LIVER, PANCREAS, PANCREAS, LIVER]
    case = a_case(Image(truth, GRID), annotated=(LIVER,))
    found = with_annotations(Image(array, GRID), case, ORGANS)
    assert found.array[0, 0, :6].tolist() == [0, LIVER, LIVER, SPLEEN, PANCREAS, LIVER]
    whole = with_annotations(Image(array, GRID), replace(case, annotated=None), ORGANS)
    assert np.array_equal(whole.array, truth)
    alone = with_annotations(Image(array, GRID), a_case(None), ORGANS)
    assert np.array_equal(alone.array, array)
    elsewhere = Image(array, replace(GRID, origin=(0.0, 0.0, 0.0)))
    with pytest.raises(WarplineError, match="does not lie on the case's grid"):
        with_annotations(elsewhere, case, ORGANS)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=12, max_size=12),
    st.lists(st.integers(0, 3), min_size=12, max_size=12),
    st.sets(st.integers(1, 3)),
)
def test_annotated_organs_are_exactly_as_annotated(predicted, truth, annotated):
    grid = Grid((1, 3, 4))
    maps = [Image(np.array(a, np.uint8).reshape(grid.shape), grid) for a in (predicted, truth)]
    case = Case("p", maps[1], maps[1], annotated=tuple(annotated))
    found = with_annotations(maps[0], case, (1, 2, 3)).array
    for organ in (1, 2, 3):
        if organ in annotated:
            assert np.array_equal(found == organ, maps[1].array == organ)
        else:
            taken = np.isin(maps[1].array, list(annotated))
            assert np.array_equal(found == organ, (maps[0].array == organ) & ~taken)


def test_largest_components_by_hand():
    array = np.zeros((4, 5, 6), np.uint8)
    array[0, 0, :3] = 1
    array[1, 1, 3] = 1  # touches at a corner
    array[3, 4, 4:] = 1
    array[2, 0, 0] = array[2, 0, 5] = 2
    array[3, 0, 5] = 2
    array[0, 4, 5] = array[0, 2, 5] = 3  # not asked for
    labels = Image(array, Grid(array.shape))
    found = largest_components(labels, (1, 2, 4)).array
    assert np.argwhere(found == 1).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 1, 3]]
    assert np.argwhere(found == 2).tolist() == [[2, 0, 5], [3, 0, 5]]
    assert (found == 3).sum() == 2
    assert array[3, 4, 4] == 1  # the map that came in is as it was


# Outliers ---------------------------------------------------------------------------------------


def judged(labels: Image, annotated=(), limits: Limits = LIMITS, count: int = 7) -> pd.DataFrame:
    measured = measure(labels, ORGANS, "p", annotated)
    return judge(measured, Distribution(population(count)), limits).set_index("organ")


def test_scores_by_hand():
    """Volumes of the livers: 8, 9, 10, 8, 9, 10, 8 slices of 64 voxels; the median has 9."""
    found = judged(patient(o6=((8, 4, 2), (8, 8, 4))))
    deviation = 1.4826 * np.log(10 / 9)  # of |log(n / 9)|: 0, 0, .105, .105, .118 three times
    assert found.loc["liver", "volume_score"] == pytest.approx(np.log(4 / 9) / deviation)
    # The aorta is always as large: 10 % is what its deviation is at least.
    assert found.loc["aorta", "volume_score"] == pytest.approx(0, abs=1e-9)
    longer = judged(patient(o8=((6, 12, 14), (12, 2, 2))))
    assert longer.loc["aorta", "volume_score"] == pytest.approx(np.log(1.2) / 0.1)


def test_an_alike_patient_passes_wherever_the_scan_begins():
    for shift in ((0, 0, 0), (4, -2, 0), (-5, 1, 0)):
        found = judged(patient(shift))
        assert found["kept"].all()
        assert (found["reason"] == "").all()
        assert found[["volume_score", "position_score"]].abs().max().max() < 2


def test_an_organ_of_wrong_size():
    found = judged(patient(o11=((8, 8, 13), (1, 1, 2))))
    assert found["kept"].tolist() == [True, True, True, False]
    assert found.loc["pancreas", "reason"] == "too small: 0.2 ml"
    large = judged(patient(o1=((5, 6, 19), (15, 13, 9))))
    assert large.loc["spleen", "reason"] == "too large: 210.6 ml"


def test_a_misplaced_organ_does_not_condemn_the_others():
    """The spleen lies 14 voxels nearer to the feet: 84 mm along the grid's oblique z."""
    found = judged(patient((4, 0, 0), o1=((-4, 10, 22), (5, 5, 4))))
    assert found["kept"].tolist() == [False, True, True, True]
    assert found.loc["spleen", "reason"] == "misplaced along z"
    moved = -84 * np.asarray(OBLIQUE).reshape(3, 3)[2, 2]
    assert found.loc["spleen", "position_score"] == pytest.approx(moved / 5)
    assert found.loc["spleen", "position_axis"] == "z"


def test_annotated_organs_are_kept_and_missing_ones_are_not():
    labels = patient(o11=((8, 8, 13), (1, 1, 2)), o1=((0, 0, 0), (0, 0, 0)))
    predicted = judged(labels)
    assert predicted["reason"].tolist() == ["not found", "", "", "too small: 0.2 ml"]
    annotated = judged(labels, annotated=(SPLEEN, PANCREAS))
    assert annotated["kept"].all()
    assert (annotated["reason"] == "").all()
    assert annotated.loc["pancreas", "volume_score"] < -5


def test_with_too_few_examples_nothing_is_judged():
    found = judged(patient(o11=((8, 8, 13), (1, 1, 2))), count=4)
    assert found["kept"].all()
    assert found[["volume_score", "position_score"]].isna().all().all()
    fewer = judged(
        patient(o11=((8, 8, 13), (1, 1, 2))), count=4, limits=Limits(**limits_of(examples=4))
    )
    assert not fewer.loc["pancreas", "kept"]


def test_only_annotations_make_the_distribution():
    alike, odd = population(), measure(patient(o6=((0, 0, 0), (2, 2, 2))), ORGANS, "odd", ())
    with_odd = Distribution(pd.concat([alike, odd, odd, odd]))
    alone = Distribution(alike)
    assert with_odd.volumes == alone.volumes
    assert with_odd.offsets.keys() == alone.offsets.keys()
    assert all(with_odd.offsets[k].count == alone.offsets[k].count for k in alone.offsets)


def test_organs_that_no_case_has_together_do_not_place_each_other():
    tables = [measure(patient(), (LIVER,), "a"), measure(patient(), (SPLEEN, AORTA), "b")]
    assert set(Distribution(pd.concat(tables)).offsets) == {
        ("spleen", "aorta"),
        ("aorta", "spleen"),
    }


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(4)))
def test_the_order_of_organs_does_not_matter(order):
    measured = measure(patient(o11=((8, 8, 13), (1, 1, 2))), ORGANS, "p", ())
    distribution = Distribution(population())
    straight = judge(measured, distribution, LIMITS).set_index("organ")
    other = judge(measured.iloc[list(order)], distribution, LIMITS).set_index("organ")
    pd.testing.assert_frame_equal(other.loc[straight.index], straight)


# Cases ------------------------------------------------------------------------------------------


def test_a_case_from_end_to_end():
    """Liver annotated; of the predicted, the spleen has a speck and the pancreas is too small."""
    truth = patient(o6=((8, 4, 2), (8, 8, 9)))
    predicted = patient(o11=((8, 8, 13), (1, 1, 2)))
    predicted.array[1, 1, 1] = SPLEEN
    case = a_case(truth, annotated=(LIVER,))
    found, table = noisy_labels(case, predicted, ORGANS, Distribution(population()), LIMITS)
    assert found.annotated == (SPLEEN, LIVER, AORTA)
    assert set(np.unique(found.labels.array)) == {0, SPLEEN, LIVER, AORTA}
    assert np.array_equal(found.labels.array == LIVER, truth.array == LIVER)
    assert found.labels.array[1, 1, 1] == 0
    table = table.set_index("organ")
    assert table["source"].tolist() == ["predicted", "annotated", "predicted", "predicted"]
    assert table.loc["spleen", ["components", "share"]].tolist() == [2, pytest.approx(100 / 101)]
    assert table.loc["spleen", "volume_ml"] == pytest.approx(100 * 0.12)
    assert table["kept"].tolist() == [True, True, True, False]
    assert np.array_equal(case.labels.array, truth.array)


def test_which_cases_are_fit():
    distribution = Distribution(population())
    nothing = Image(np.zeros(SHAPE, np.uint8), GRID)
    tables = [
        noisy_labels(replace(a_case(None), id=name), labels, ORGANS, distribution, LIMITS)[1]
        for name, labels in (("good", patient()), ("bad", nothing))
    ]
    found = verdicts(pd.concat(tables), LIMITS).set_index("case")
    assert found["kept"].tolist() == [True, False]
    assert found["dropped"].tolist() == [0, 4]
    assert found.loc["good", "reason"] == ""
    assert found.loc["bad", "reason"].startswith("spleen not found, liver not found")
    assert verdicts(pd.concat(tables), Limits(**limits_of(dropped=4)))["kept"].all()
