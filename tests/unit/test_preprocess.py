"""Preparation steps, each against a computation of its own."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from warpline.cases.case import Case, read_case, write_case
from warpline.cases.steps import prepare
from warpline.cases.steps.geometry import move_case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk
from warpline.images.resample import resample_to

DIRECTION = tuple(Rotation.from_rotvec([0.3, -0.2, 0.4]).as_matrix().ravel())
GRID = Grid((10, 12, 14), (0.8, 1.2, 2.0), (5.0, -3.0, 2.0), DIRECTION)
SLOPE, OFFSET = np.array([2.0, -1.5, 0.7]), 40.0
POINTS = np.array([[5.5, 0.0, 4.0], [8.0, 2.0, 12.25]])


def ramp(grid: Grid) -> np.ndarray:
    """A linear function of the physical position, at every voxel."""
    return (grid.index_to_physical(grid.indices()) @ SLOPE + OFFSET).astype(np.float32)


def landmarks(points=POINTS) -> pd.DataFrame:
    return pd.DataFrame({"id": ["001", "b"], **dict(zip("xyz", np.transpose(points), strict=True))})


def a_case(grid: Grid = GRID, array: np.ndarray | None = None) -> Case:
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:6, 3:8, 4:9] = 2
    return Case(
        "007",
        Image(ramp(grid) if array is None else array, grid),
        Image(labels, grid),
        Image((labels > 0).astype(np.uint8), grid),
        landmarks(),
    )


def of(*values: float, dtype=np.float32) -> Case:
    """A case whose image has these values."""
    array = np.array(values, dtype).reshape(1, 1, -1)
    return Case("007", Image(array, Grid(array.shape)))


def refusal(case: Case, *steps: dict) -> str:
    with pytest.raises(WarplineError) as error:
        prepare(case, steps)
    return str(error.value)


def values(case: Case) -> list[float]:
    return case.image.array.ravel().tolist()


# The list of steps ------------------------------------------------------------------------------


def test_steps_run_in_their_order():
    case = of(0, 5, 10)
    clip, rescale = {"clip": {"low": 0, "high": 5}}, {"rescale": {"low": 0, "high": 10}}
    assert values(prepare(case, [clip, rescale])) == [0, 10, 10]
    assert values(prepare(case, [rescale, clip])) == [0, 5, 5]
    assert prepare(case, []) is case
    assert values(prepare(case, [{"rescale": None}])) == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("step", "messages"),
    [
        ({"resampel": {}}, ["no preparation step 'resampel'", "Did you mean 'resample'?"]),
        ({"clip": {"hihg": 1}}, ["'clip' has no parameter 'hihg'", "Did you mean 'high'?"]),
        ({"clip": {"case": 1}}, ["'clip' has no parameter 'case'", "Known: high, low"]),
        ({"resample": {}}, ["'resample' needs the parameter 'spacing'"]),
        ({"pad_crop": {"shape": [4, 4]}}, ["'pad_crop' fails with {'shape': [4, 4]}", "case 007"]),
        ({"clip": {"low": "small"}}, ["'clip' fails with {'low': 'small'}"]),
        ({"resample": {"spacing": [1, 1]}}, ["'resample' fails with"]),
        ({"zscore": {"over": "positiv"}}, ["'over' is 'all' or 'positive', not 'positiv'"]),
        ({"pad_crop": {"shape": [9, 9, 9], "fill": "least"}}, ["could not convert", "'least'"]),
    ],
)
def test_a_wrong_step_is_refused(step, messages):
    message = refusal(of(0, 1, 2), step)
    for part in messages:
        assert part in message


def test_the_given_case_is_left_as_it_was():
    case = a_case()
    before = case.image.array.copy()
    steps = [{"clip": {"low": 30, "high": 60}}, {"zscore": {}}, {"centre_frame": {}}]
    prepare(case, [*steps, {"pad_crop": {"shape": [8, 8, 8]}}])
    assert (case.image.array == before).all()
    assert case.grid == GRID
    assert case.landmarks.equals(landmarks())


# Resampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.6, 2.4, 4.0), (0.7, 1.5, 1.1)])
def test_resampling_keeps_every_value_at_its_place(spacing):
    case = prepare(a_case(), [{"resample": {"spacing": list(spacing)}}])
    assert case.grid.spacing == spacing
    assert case.grid.direction == GRID.direction
    inside = GRID.physical_to_index(case.grid.index_to_physical(case.grid.indices()))
    limits = np.array(GRID.shape) - 1
    inner = ((inside >= 0) & (inside <= limits)).all(-1)
    assert inner.mean() > 0.5
    np.testing.assert_allclose(case.image.array[inner], ramp(case.grid)[inner], atol=1e-3)
    nearest = tuple(np.rint(np.clip(inside, 0, limits)).astype(int).transpose(3, 0, 1, 2))
    close = np.abs(inside - np.rint(inside)).max(-1) < 0.49  # away from a tie
    assert (case.labels.array == a_case().labels.array[nearest])[close].all()
    assert case.labels.grid == case.mask.grid == case.grid
    assert case.landmarks.equals(landmarks())


def test_resampling_covers_the_same_extent_about_the_same_centre():
    # 14 × 0.8 = 11.2, 12 × 1.2 = 14.4, 10 × 2 = 20 mm
    case = prepare(a_case(), [{"resample": {"spacing": [1.0, 1.0, 3.0]}}])
    assert case.grid.shape == (7, 14, 11)
    middle = [grid.index_to_physical((np.array(grid.shape) - 1) / 2) for grid in (GRID, case.grid)]
    np.testing.assert_allclose(*middle, atol=1e-9)
    assert case.image.array.min() >= ramp(GRID).min() - 1e-3


def test_resampling_to_the_same_spacing_changes_nothing():
    case = prepare(a_case(), [{"resample": {"spacing": list(GRID.spacing)}}])
    assert case.grid.close_to(GRID, 1e-9)
    np.testing.assert_allclose(case.image.array, ramp(GRID), atol=1e-4)
    assert (case.labels.array == a_case().labels.array).all()


def test_resampling_is_simpleitk_s():
    rng = np.random.default_rng(0)
    array = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 1).astype(np.float32)
    case = prepare(a_case(array=array), [{"resample": {"spacing": [1.1, 1.3, 1.7]}}])
    expected = sitk.Resample(
        to_sitk(Image(array, GRID)),
        [int(n) for n in case.grid.shape[::-1]],
        sitk.Transform(),
        sitk.sitkLinear,
        case.grid.origin,
        case.grid.spacing,
        case.grid.direction,
    )
    assert (case.image.array == sitk.GetArrayFromImage(expected)).all()


def test_integers_are_interpolated_not_cut_off():
    case = of(-1000, 1000, 1001, dtype=np.int16)
    grid = Grid((1, 1, 2), origin=(0.75, 0, 0))
    resampled = resample_to(case.image, grid)
    assert resampled.array.ravel().tolist() == [500, 1000.75]
    assert resample_to(case.image, grid, nearest=True).array.dtype == np.int16


def test_outside_the_image_is_the_fill():
    grid = Grid((1, 1, 4), origin=(-2, 0, 0))
    assert resample_to(of(5, 6).image, grid, fill=-1).array.ravel().tolist() == [-1, -1, 5, 6]


# Resizing ---------------------------------------------------------------------------------------


@given(
    shape=st.tuples(*[st.integers(8, 14)] * 3),
    target=st.tuples(*[st.integers(1, 20)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 4)] * 3),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
)
@settings(max_examples=40, deadline=None)
def test_resizing_keeps_the_outer_faces(shape, target, spacing, turn):
    direction = tuple(Rotation.from_rotvec(turn).as_matrix().ravel())
    grid = Grid(shape, spacing, (5.0, -3.0, 2.0), direction)
    case = Case("a", Image(np.zeros(shape, np.int16), grid))
    new = prepare(case, [{"resize": {"shape": list(target)}}]).grid
    assert new.shape == target
    assert new.direction == grid.direction
    for corner in np.ndindex(2, 2, 2):
        faces = [g.index_to_physical(np.array(corner) * g.shape - 0.5) for g in (grid, new)]
        np.testing.assert_allclose(*faces, atol=1e-9)


@pytest.mark.parametrize("shape", [(20, 24, 28), (9, 7, 30), (10, 12, 14)])
def test_resizing_is_simpleitk_s(shape):
    rng = np.random.default_rng(0)
    array = (1000 * ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 1)).astype(np.int16)
    case = prepare(a_case(array=array), [{"resize": {"shape": list(shape)}}])
    reference = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkFloat32)
    size = np.array(GRID.shape[::-1])
    spacing = size * GRID.spacing / np.array(shape[::-1])
    reference.SetSpacing(spacing.tolist())
    reference.SetDirection(GRID.direction)
    old = to_sitk(Image(array, GRID))
    # The first voxel's centre lies half a new voxel from the corner where the old voxels begin.
    corner = spacing / np.array(GRID.spacing) / 2 - 0.5
    reference.SetOrigin(old.TransformContinuousIndexToPhysicalPoint(corner.tolist()))
    arguments = reference, sitk.Transform(), sitk.sitkLinear, float(array.min()), sitk.sitkFloat32
    expected = sitk.GetArrayFromImage(sitk.Resample(old, *arguments))
    np.testing.assert_allclose(case.image.array, expected, atol=1e-2)
    np.testing.assert_allclose(case.grid.origin, reference.GetOrigin(), atol=1e-9)
    labels = to_sitk(a_case().labels)
    nearest = sitk.Resample(labels, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    assert (case.labels.array == sitk.GetArrayFromImage(nearest)).all()
    assert case.labels.grid == case.mask.grid == case.grid


def test_resizing_moves_nothing():
    case = prepare(a_case(), [{"resize": {"shape": [21, 9, 16]}}])
    inside = GRID.physical_to_index(case.grid.index_to_physical(case.grid.indices()))
    inner = ((inside >= 0) & (inside <= np.array(GRID.shape) - 1)).all(-1)
    np.testing.assert_allclose(case.image.array[inner], ramp(case.grid)[inner], atol=1e-3)
    assert case.landmarks.equals(landmarks())


def test_a_scan_too_small_to_be_stretched_is_refused():
    case = Case("007", Image(np.arange(7 * 9 * 9.0).reshape(7, 9, 9), Grid((7, 9, 9))))
    message = refusal(case, {"resize": {"shape": [64, 32, 16]}})
    for part in ("7 × 9 × 9", "64 × 32 × 16", "8 are the least", "case 007", "'least'"):
        assert part in message
    step = {"resize": {"shape": [64, 32, 16], "least": 7}}
    assert prepare(case, [step]).grid.shape == (64, 32, 16)


@pytest.mark.parametrize("shape", [[4, 4], [4, 0, 4], 16])
def test_a_shape_that_is_none_is_refused(shape):
    assert "three numbers of voxels" in refusal(a_case(), {"resize": {"shape": shape}})


# Padding and cropping ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [2]),
        (2, [2, 3]),
        (3, [1, 2, 3]),
        (4, [1, 2, 3, 4]),
        (5, [1, 2, 3, 4, 9]),
        (6, [9, 1, 2, 3, 4, 9]),
        (7, [9, 1, 2, 3, 4, 9, 9]),
    ],
)
def test_padding_and_cropping_leave_the_odd_voxel_at_the_end(size, expected):
    for axis in range(3):
        array = np.array([1, 2, 3, 4], np.float32).reshape(np.roll([4, 1, 1], axis))
        shape = [int(n) for n in np.roll([size, 1, 1], axis)]
        case = Case("a", Image(array, Grid(array.shape)))
        done = prepare(case, [{"pad_crop": {"shape": shape, "fill": 9}}])
        assert done.grid.shape == tuple(shape)
        assert values(done) == expected


def test_padding_and_cropping_move_nothing():
    case = prepare(a_case(), [{"pad_crop": {"shape": [13, 7, 15], "fill": "minimum"}}])
    assert case.grid.shape == case.image.array.shape == (13, 7, 15)
    # 10 → 13: one voxel before; 12 → 7: two voxels off; 14 → 15: none before.
    content = (slice(1, 11), slice(None), slice(0, 14))
    np.testing.assert_allclose(case.image.array[content], ramp(case.grid)[content], atol=1e-3)
    assert (case.image.array[content] == ramp(GRID)[:, 2:9]).all()
    outside = np.ones((13, 7, 15), bool)
    outside[content] = False
    assert (case.image.array[outside] == ramp(GRID).min()).all()
    assert (case.labels.array[content] == a_case().labels.array[:, 2:9]).all()
    assert not case.labels.array[outside].any()
    assert case.labels.array.dtype == np.uint8
    assert case.labels.grid == case.mask.grid == case.grid
    assert case.landmarks.equals(landmarks())


def test_labels_are_padded_with_background_whatever_the_image_s_fill():
    case = prepare(a_case(), [{"pad_crop": {"shape": [20, 20, 20], "fill": 3}}])
    assert case.image.array[0, 0, 0] == 3
    assert case.labels.array[0, 0, 0] == case.mask.array[0, 0, 0] == 0


# The frame --------------------------------------------------------------------------------------


def test_the_frame_is_centred_and_landmarks_stay_on_their_voxels():
    case = prepare(a_case(), [{"centre_frame": {}}])
    turned = np.asarray(case.grid.direction).reshape(3, 3)
    oblique = np.asarray(GRID.direction).reshape(3, 3)
    assert (np.abs(turned).sum(0) == 1).all()
    assert (np.abs(turned).sum(1) == 1).all()
    assert np.arccos((np.trace(turned.T @ oblique) - 1) / 2) < np.deg2rad(55)  # no other is nearer
    assert case.grid.spacing == GRID.spacing
    # 14 voxels of 0.8 mm: the centres of the outer ones are 10.4 mm apart.
    np.testing.assert_allclose(case.grid.origin, (-5.2, -6.6, -9.0))
    middle = case.grid.index_to_physical((np.array(GRID.shape) - 1) / 2)
    np.testing.assert_allclose(middle, 0, atol=1e-12)
    assert (case.image.array == ramp(GRID)).all()
    assert case.labels.grid == case.mask.grid == case.grid
    itk = to_sitk(a_case().image)
    points = case.landmarks[["x", "y", "z"]].to_numpy()
    for old, new in zip(POINTS, points, strict=True):
        index = itk.TransformPhysicalPointToContinuousIndex(old.tolist())
        np.testing.assert_allclose(new, np.array(index) * GRID.spacing + case.grid.origin)
    assert case.landmarks["id"].tolist() == ["001", "b"]
    # A rotation keeps distances.
    assert math.dist(*points) == pytest.approx(math.dist(*POINTS))


# Intensities ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-1, 2, [-1, 0, 1.5, 2]), (None, 1, [-3, 0, 1, 1]), (0, None, [0, 0, 1.5, 4])],
)
def test_clip(low, high, expected):
    assert values(prepare(of(-3, 0, 1.5, 4), [{"clip": {"low": low, "high": high}}])) == expected


def test_clip_takes_limits_that_the_file_s_integers_cannot_hold():
    case = prepare(of(-1000, 3000, dtype=np.int16), [{"clip": {"low": -100_000, "high": 1000.5}}])
    assert values(case) == [-1000, 1000.5]


def test_zscore_by_hand():
    # mean 4, deviation √((16 + 4 + 0 + 36) / 4) = √14
    case = prepare(of(0, 2, 4, 10), [{"zscore": {}}])
    np.testing.assert_allclose(values(case), np.array([-4, -2, 0, 6]) / math.sqrt(14), rtol=1e-6)
    assert case.image.array.dtype == np.float32


def test_zscore_over_positive_voxels_moves_all():
    # Of 1, 3 and 5 the mean is 3 and the deviation √(8/3).
    case = prepare(of(-7, 0, 1, 3, 5), [{"zscore": {"over": "positive"}}])
    expected = np.array([-10, -3, -2, 0, 2]) / math.sqrt(8 / 3)
    np.testing.assert_allclose(values(case), expected, rtol=1e-6)


def test_zscore_of_large_values_loses_nothing():
    array = np.random.default_rng(0).normal(30_000, 5, (40, 40, 40))
    case = prepare(Case("a", Image(array, Grid(array.shape))), [{"zscore": {}}])
    assert case.image.array.mean(dtype=np.float64) == pytest.approx(0, abs=1e-3)
    assert case.image.array.std(dtype=np.float64) == pytest.approx(1, abs=1e-3)


def test_rescale_by_hand():
    case = prepare(of(2, 4, 10, dtype=np.int16), [{"rescale": {"low": -1, "high": 3}}])
    assert values(case) == [-1, 0, 3]
    assert case.image.array.dtype == np.float32


@pytest.mark.parametrize("step", [{"zscore": {}}, {"rescale": {}}])
@pytest.mark.parametrize("value", [0, 7, 0.1])
def test_a_constant_image_is_refused(step, value):
    case = Case("007", Image(np.full((16, 16, 16), value, np.float32), Grid((16, 16, 16))))
    message = refusal(case, step)
    assert "its intensities do not vary" in message
    assert "case 007" in message


@pytest.mark.parametrize("numbers", [(-3, -1, 0), (-1, 5, 5)])
def test_zscore_needs_positive_voxels_that_vary(numbers):
    assert "do not vary" in refusal(of(*numbers), {"zscore": {"over": "positive"}})


@pytest.mark.parametrize(
    "step", [{"zscore": {}}, {"zscore": {"over": "positive"}}, {"rescale": {}}]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_refused(step, value):
    message = refusal(of(1, 2, value), step)
    assert "no finite number" in message
    assert "case 007" in message


# Moving by an affine map ------------------------------------------------------------------------


def similarity() -> np.ndarray:
    """Reference points → case points: a turn by 0.2, 10 % larger, and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = 1.1 * Rotation.from_rotvec([0, 0.2, 0]).as_matrix()
    matrix[:3, 3] = [1.0, -2.0, 3.0]
    return matrix


def test_an_affine_map_moves_image_labels_and_landmarks_together():
    matrix = similarity()
    old = Grid((40, 40, 40), (1.0, 1.0, 1.0), (-20.0, -20.0, -20.0))
    positions = old.index_to_physical(old.indices())
    centre = np.array([4.0, -3.0, 2.0])
    ball = np.linalg.norm(positions - centre, axis=-1) < 8
    labels = Image(ball.astype(np.uint8) * 3, old)
    case = Case("a", Image(ramp(old), old), labels, labels, landmarks([centre, centre + 1]))
    grid = Grid((36, 30, 32), (0.9, 1.1, 1.0), (-6.0, -13.0, -20.0), DIRECTION)
    moved = move_case(case, matrix, grid)
    assert moved.grid == moved.labels.grid == moved.mask.grid == grid

    points = grid.index_to_physical(grid.indices())
    sources = points @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((sources > -20) & (sources < 19)).all(-1)
    assert inside.mean() > 0.5
    expected = sources @ SLOPE + OFFSET
    np.testing.assert_allclose(moved.image.array[inside], expected[inside], atol=1e-3)
    assert (moved.image.array[((sources < -21) | (sources > 20)).any(-1)] == ramp(old).min()).all()

    # The ball stays a ball, 1.1 times smaller, about the landmark that was its centre.
    point = moved.landmarks[["x", "y", "z"]].to_numpy()[0]
    np.testing.assert_allclose(matrix[:3, :3] @ point + matrix[:3, 3], centre, atol=1e-9)
    np.testing.assert_allclose(points[moved.labels.array == 3].mean(0), point, atol=0.1)
    volume = (moved.labels.array == 3).sum() * np.prod(grid.spacing)
    assert volume == pytest.approx(4 / 3 * math.pi * (8 / 1.1) ** 3, rel=0.02)
    assert set(np.unique(moved.labels.array)) == {0, 3}
    assert moved.landmarks["id"].tolist() == ["001", "b"]


def test_no_motion_onto_the_own_grid_changes_nothing():
    moved = move_case(a_case(), np.eye(4), GRID)
    np.testing.assert_allclose(moved.image.array, ramp(GRID), atol=1e-4)
    assert (moved.labels.array == a_case().labels.array).all()
    np.testing.assert_allclose(moved.landmarks[["x", "y", "z"]], POINTS)


# Case folders -----------------------------------------------------------------------------------


def test_a_case_survives_its_folder(tmp_path):
    write_case(tmp_path / "007", a_case())
    again = read_case(tmp_path / "007")
    assert again.id == "007"
    assert (again.image.array == ramp(GRID)).all()
    assert again.grid.close_to(GRID, 1e-4)
    assert (again.labels.array == a_case().labels.array).all()
    assert (again.mask.array == a_case().mask.array).all()
    assert again.labels.array.dtype == again.mask.array.dtype == np.uint8
    assert again.landmarks["id"].tolist() == ["001", "b"]
    assert (again.landmarks[["x", "y", "z"]].to_numpy() == POINTS).all()


def test_what_a_case_lacks_is_not_written(tmp_path):
    write_case(tmp_path / "a", of(1, 2))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["image.nii.gz"]
    again = read_case(tmp_path / "a")
    assert again.labels is again.mask is again.landmarks is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.int16, np.int16), (np.float32, np.float32), (np.float64, np.float32), (int, np.float32)],
)
def test_images_are_kept_as_int16_or_float32(tmp_path, given, kept):
    write_case(tmp_path / "a", of(1, 2, 3, dtype=given))
    assert read_case(tmp_path / "a").image.array.dtype == kept


def test_a_folder_without_an_image_is_refused(tmp_path):
    with pytest.raises(WarplineError, match="does not exist"):
        read_case(tmp_path)


# Orientation and frames -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes",
    [
        "x y z",
        "-x -y z",  # as 14 scans of LUNA16 are stored
        "y -z x",
        "-z x -y",
    ],
)
def test_orient_agrees_with_itk_and_moves_nothing(axes):
    columns = []
    for axis in axes.split():
        column = np.zeros(3)
        column["xyz".index(axis[-1])] = -1 if axis[0] == "-" else 1
        columns.append(column)
    tilt = Rotation.from_rotvec([0.1, -0.15, 0.2]).as_matrix()
    direction = tuple((tilt @ np.transpose(columns)).ravel())
    grid = Grid((5, 6, 7), (0.8, 1.2, 2.0), (5.0, -3.0, 2.0), direction)
    case = prepare(a_case(grid), [{"orient": {}}])
    np.testing.assert_allclose(case.image.array, ramp(case.grid), atol=1e-4)
    assert (np.diag(np.reshape(case.grid.direction, (3, 3))) > 0.9).all()
    expected = sitk.DICOMOrient(to_sitk(a_case(grid).image), "LPS")
    np.testing.assert_array_equal(case.image.array, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(case.grid.origin, expected.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(case.grid.direction, expected.GetDirection(), atol=1e-9)
    pd.testing.assert_frame_equal(case.landmarks, landmarks())
    labelled = case.grid.index_to_physical(np.argwhere(case.labels.array > 0)).mean(0)
    before = a_case(grid)
    np.testing.assert_allclose(
        labelled, grid.index_to_physical(np.argwhere(before.labels.array > 0)).mean(0), atol=1e-6
    )


def test_unit_frame_keeps_voxels_and_the_landmarks_indices():
    before, case = a_case(), prepare(a_case(), [{"unit_frame": {}}])
    np.testing.assert_array_equal(case.image.array, before.image.array)
    assert case.grid == Grid((10, 12, 14), origin=(-6.5, -5.5, -4.5))
    xyz = ["x", "y", "z"]
    np.testing.assert_allclose(
        case.grid.physical_to_index(case.landmarks[xyz].to_numpy()),
        GRID.physical_to_index(POINTS),
        atol=1e-9,
    )
    assert case.labels.grid == case.mask.grid == case.grid


def test_labels_give_a_mask_to_a_case_that_has_none():
    grid = Grid((2, 2, 2))
    labels = Image(np.array([0, 1, 2, 0, 0, 0, 0, 3], np.uint8).reshape(2, 2, 2), grid)
    case = Case("a", Image(np.zeros((2, 2, 2), np.float32), grid), labels=labels)
    masked = prepare(case, [{"mask_of_labels": {}}])
    assert masked.mask.array.ravel().tolist() == [0, 1, 1, 0, 0, 0, 0, 1]
    again = prepare(Case("a", masked.image, mask=masked.mask), [{"mask_of_labels": {}}])
    assert again.mask is masked.mask


def test_cropping_to_the_mask_keeps_every_voxel_where_it_was():
    direction = tuple(Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix().ravel())
    grid = Grid((9, 10, 11), (1.0, 2.0, 3.0), (5.0, -7.0, 11.0), direction)
    array = np.arange(990, dtype=np.float32).reshape(grid.shape)
    mask = np.zeros(grid.shape, np.uint8)
    mask[4:6, 3:8, 1:4] = 1
    case = Case("a", Image(array, grid), mask=Image(mask, grid))
    cropped = prepare(case, [{"crop_to_mask": {"margin": 4.0}}])
    # 4 mm are two voxels of 3 mm (rounded up), two of 2 mm, four of 1 mm; x begins at the border.
    assert cropped.grid.shape == (2 + 4, 5 + 4, 7 + 1)
    assert cropped.mask.array.sum() == mask.sum()
    index = np.array([1.0, 2.0, 3.0])
    place = cropped.grid.index_to_physical(index)
    there = tuple(np.rint(grid.physical_to_index(place)).astype(int))
    assert there == (3, 3, 3)
    assert cropped.image.array[1, 2, 3] == array[there]
    with pytest.raises(WarplineError, match="no mask to crop to"):
        prepare(Case("b", case.image), [{"crop_to_mask": {}}])


@pytest.mark.parametrize("shape", [(4, 5, 6), (7, 20, 5), (16, 17, 21)])
def test_cropping_to_a_shape_is_about_the_middle_of_the_mask(shape):
    case = a_case()  # its mask: 2 to 5, 3 to 7, 4 to 8
    cropped = prepare(case, [{"crop_to_shape": {"shape": shape}}])
    assert cropped.grid.shape == shape
    # As far as voxels allow: half of one, downwards.
    middle = (np.array(shape) - 1) / 2
    index = case.grid.physical_to_index(cropped.grid.index_to_physical(middle))
    assert ((np.array([3.5, 5, 6]) - index >= -1e-9) & (np.array([3.5, 5, 6]) - index < 0.6)).all()
    # Every voxel of the old image is where it was, in mm; the others are the old minimum, and 0.
    where = cropped.grid.index_to_physical(cropped.grid.indices())
    old = case.grid.physical_to_index(where)
    inside = ((old > -0.5) & (old < np.array(case.grid.shape) - 0.5)).all(axis=-1)
    np.testing.assert_allclose(cropped.image.array[inside], ramp(cropped.grid)[inside], atol=1e-3)
    assert (cropped.image.array[~inside] == case.image.array.min()).all()
    assert not cropped.labels.array[~inside].any()
    nearest = np.rint(old[inside]).astype(int)
    np.testing.assert_array_equal(cropped.labels.array[inside], case.labels.array[tuple(nearest.T)])


def test_landmarks_that_are_cut_off_are_left_out_and_named(capsys):
    inner, outer = GRID.index_to_physical(np.array([[3.0, 5.4, 6.0], [3.0, 11.0, 6.0]]))
    case = a_case()
    case = Case("007", case.image, None, case.mask, landmarks((inner, outer)))
    cropped = prepare(case, [{"crop_to_shape": {"shape": [6, 6, 6]}}])
    assert list(cropped.landmarks["id"]) == ["001"]
    np.testing.assert_allclose(cropped.landmarks[["x", "y", "z"]], [inner])
    assert "007: landmarks outside the crop are left out: b" in capsys.readouterr().out
    whole = prepare(case, [{"crop_to_shape": {"shape": [30, 30, 30]}}])
    assert len(whole.landmarks) == 2


def test_cropping_to_a_shape_needs_a_mask():
    bare = Case("007", a_case().image)
    text = refusal(bare, {"crop_to_shape": {"shape": [4, 4, 4]}})
    assert "no mask to crop to" in text
    assert "before 'crop_to_shape'" in text


def test_a_mask_becomes_the_label_of_a_case_that_has_none():
    case = a_case()
    assert prepare(case, [{"labels_of_mask": {}}]).labels is case.labels
    mask = case.mask.with_array(case.mask.array * 255)
    made = prepare(Case("007", case.image, None, mask), [{"labels_of_mask": {}}])
    np.testing.assert_array_equal(made.labels.array, case.mask.array)
    assert made.labels.array.dtype == np.uint8
    assert prepare(Case("007", case.image), [{"labels_of_mask": {}}]).labels is None


def test_a_window_by_hand():
    case = of(-2000, -1000, -250, 500, 3000, dtype=np.int16)
    assert values(prepare(case, [{"window": {"low": -1000, "high": 500}}])) == [0, 0, 0.5, 1, 1]
    assert case.image.array.dtype == np.int16
    text = refusal(case, {"window": {"low": 5, "high": 5}})
    assert "'low' must be less than 'high'" in text


def test_a_case_remembers_that_its_mask_was_segmented(tmp_path):
    grid = Grid((2, 2, 2))
    image = Image(np.zeros((2, 2, 2), np.float32), grid)
    mask = Image(np.ones((2, 2, 2), np.uint8), grid)
    for name, segmented in (("given", False), ("found", True)):
        write_case(tmp_path / name, Case(name, image, mask=mask, segmented=segmented))
        assert read_case(tmp_path / name).segmented is segmented
