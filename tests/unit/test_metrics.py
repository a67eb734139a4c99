"""Metrics against hand-computed values and independent libraries."""

import math
from pathlib import Path

import numpy as np
import pytest
import surface_distance
import torch
import yaml
from monai.metrics import DiceMetric
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.spatial.distance import cdist

from warpline.evaluation import metrics

ROOT = Path(__file__).parents[2]


def ball(shape, centre, radius):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return np.linalg.norm(grid - np.asarray(centre), axis=-1) <= radius


@pytest.fixture
def label_maps():
    fixed = np.zeros((20, 18, 22), np.uint8)
    fixed[ball(fixed.shape, (9, 8, 10), 5)] = 1
    fixed[ball(fixed.shape, (14, 12, 17), 3)] = 4
    return fixed, np.roll(fixed, (1, -2, 2), axis=(0, 1, 2))


def test_dice_by_hand():
    fixed, warped = np.zeros((3, 3, 3), int), np.zeros((3, 3, 3), int)
    fixed[0, 0, :2] = 1
    warped[0, 0, 1:] = 1
    warped[2, 2, 2] = 2
    assert metrics.dice(fixed, warped, [1, 2, 3]) == pytest.approx(
        {1: 0.5, 2: 0.0, 3: math.nan}, nan_ok=True
    )


def test_dice_agrees_with_monai(label_maps):
    fixed, warped = label_maps
    one_hot = [torch.as_tensor(np.stack([m == 1, m == 4])[None]).float() for m in label_maps]
    expected = DiceMetric()(*one_hot)[0]
    assert list(metrics.dice(fixed, warped, [1, 4]).values()) == pytest.approx(expected.tolist())


def test_shapes_must_agree():
    a, b = np.ones((3, 3, 3), int), np.ones((3, 3, 4), int)
    refused = pytest.raises(ValueError, match="label maps of shapes")
    for metric in (metrics.dice, metrics.surface_distances):
        with refused:
            metric(a, b, [1])
    with refused:
        metrics.agreement(a, b[:1, :1, :1])


def test_a_shifted_cube_is_one_shift_away():
    fixed, warped = np.zeros((12, 12, 12), int), np.zeros((12, 12, 12), int)
    fixed[3:8, 3:8, 2:7] = 1
    warped[3:8, 3:8, 4:9] = 1
    found = metrics.surface_distances(fixed, warped, [1], (1.0, 1.0, 1.5))[1]
    assert found.hausdorff() == pytest.approx(3.0)
    assert found.robust_hausdorff(95) == pytest.approx(3.0)
    assert found.robust_hausdorff(1) == 0.0  # the sides slide along themselves


def corner_points(mask, spacing):
    """Corners between voxels that touch both inside and outside: where surface elements lie."""
    padded = np.pad(mask, 1)
    corners = np.zeros([n + 1 for n in mask.shape], int)
    for offset in np.ndindex(2, 2, 2):
        corners += padded[
            tuple(slice(o, o + n + 1) for o, n in zip(offset, mask.shape, strict=True))
        ]
    return np.argwhere((corners > 0) & (corners < 8)) * np.asarray(spacing)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 1.25, 0.7)])
def test_hausdorff_agrees_with_all_pairwise_distances(label_maps, spacing):
    fixed, warped = label_maps
    found = metrics.surface_distances(fixed, warped, [1, 4], spacing)
    for label in (1, 4):
        distances = cdist(
            corner_points(fixed == label, spacing), corner_points(warped == label, spacing)
        )
        expected = max(distances.min(axis=0).max(), distances.min(axis=1).max())
        assert found[label].hausdorff() == pytest.approx(expected)
        assert found[label].robust_hausdorff(100) == pytest.approx(expected)
        assert found[label].robust_hausdorff(95) <= expected


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.1, 2.5)])
def test_surfaces_are_those_of_deepmind_s_package(label_maps, spacing):
    fixed, warped = label_maps
    found = metrics.surface_distances(fixed, warped, [1, 4], spacing)
    for label in (1, 4):
        expected = surface_distance.compute_surface_distances(
            fixed == label, warped == label, spacing
        )
        for k, (way, side) in enumerate((("gt_to_pred", "gt"), ("pred_to_gt", "pred"))):
            distances, areas = found[label].distances[k], found[label].areas[k]
            np.testing.assert_allclose(distances, expected[f"distances_{way}"], atol=1e-9)
            np.testing.assert_allclose(areas.sum(), expected[f"surfel_areas_{side}"].sum())
        assert found[label].robust_hausdorff(95) == pytest.approx(
            surface_distance.compute_robust_hausdorff(expected, 95), abs=1e-9
        )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.1, 2.5)])
def test_how_far_the_lattice_is_looked_at_changes_no_distance(monkeypatch, spacing):
    # Two boxes that meet on one side and are 9 voxels apart on the other: near and far elements.
    fixed, warped = np.zeros((2, 24, 18, 18), np.uint8)
    fixed[2:12, 3:14, 3:14], warped[2:21, 4:14, 3:14] = 1, 1
    found = {}
    for reach in (1, 4, 12):
        monkeypatch.setattr("warpline.evaluation.metrics.surface.REACH", reach)
        found[reach] = metrics.surface_distances(fixed, warped, [1], spacing)[1].distances
    assert found[4][1].max() == pytest.approx(9 * spacing[0])
    for reach in (1, 12):
        for expected, distances in zip(found[4], found[reach], strict=True):
            np.testing.assert_allclose(distances, expected, atol=1e-12)


@pytest.mark.parametrize("size", [0.25, 4.0])
def test_the_nearest_is_found_whatever_the_voxels_size(size):
    """One voxel and two others: six to one side, and farther among the places looked up."""
    fixed, warped = np.zeros((2, 14, 14, 14), int)
    fixed[3, 3, 3] = warped[9, 3, 3] = warped[7, 7, 7] = 1
    found = metrics.surface_distances(fixed, warped, [1], (size,) * 3)[1]
    corners = np.array(list(np.ndindex(2, 2, 2)))
    one, others = corners + 3, np.concatenate([corners + np.array([9, 3, 3]), corners + 7])
    between = cdist(one, others)
    for way, axis in enumerate((1, 0)):
        expected = size * np.sort(between.min(axis=axis))
        np.testing.assert_allclose(found.distances[way], expected)


def test_scaling_distances_is_scaling_voxels(label_maps):
    in_voxels = metrics.surface_distances(*label_maps, [1])[1]
    in_mm = metrics.surface_distances(*label_maps, [1], (3.0, 3.0, 3.0))[1]
    assert in_voxels.scaled(3.0).robust_hausdorff() == pytest.approx(in_mm.robust_hausdorff())
    assert in_voxels.scaled(3.0).areas[0].sum() == pytest.approx(in_mm.areas[0].sum())


def test_no_distance_to_an_absent_label(label_maps):
    fixed, warped = label_maps
    assert metrics.surface_distances(fixed, np.where(warped == 4, 0, warped), [4, 7]) == {
        4: None,
        7: None,
    }


def test_a_percentile_of_distances_counts_areas():
    """Four elements each way: of equal areas, and with one that is as large as 97 others."""
    distances = np.array([1.0, 2.0, 3.0, 4.0])
    near = np.array([0.5, 0.5, 0.5, 0.5])

    def found(areas, percent):
        surfaces = (near, distances), (np.ones(4), np.array(areas))
        return metrics.surface.SurfaceDistances(*surfaces).robust_hausdorff(percent)

    assert [found([1, 1, 1, 1], percent) for percent in (25, 26, 50, 51)] == [1, 2, 2, 3]
    assert found([1, 1, 1, 97], 3) == 3
    assert found([1, 1, 1, 97], 4) == 4
    assert found([97, 1, 1, 1], 95) == 1
    # The sums of areas may end a digit below one.
    assert found([0.1, 0.2, 0.3, 0.1], 100) == 4
    assert metrics.surface.SurfaceDistances((distances, near), (near, near)).hausdorff() == 4


def test_labels_at_the_border_have_a_surface():
    whole = np.ones((6, 6, 6), int)
    found = metrics.surface_distances(whole, whole, [1])[1]
    assert found.hausdorff() == 0.0
    assert found.areas[0].sum() > 100  # about 6 · 6², less the rounded edges


def test_identity_neither_folds_nor_stretches():
    ones = np.ones((6, 6, 6))
    assert metrics.sdlogj(ones) == metrics.sdlogj_learn2reg(ones) == 0.0
    assert metrics.stdj_estienne2020(ones) == 0.0
    assert metrics.folding_fraction(ones) == 0.0


def test_log_jacobian_by_hand():
    determinant = np.full((4, 4, 4), math.e)
    determinant[1, 1, :] = 1.0  # two of the eight interior voxels
    assert metrics.sdlogj(determinant) == pytest.approx(math.sqrt(3) / 4)
    logs = np.log([math.e + 3] * 6 + [4.0] * 2)
    assert metrics.sdlogj_learn2reg(determinant) == pytest.approx(logs.std())
    logs = np.log([math.e + 15] * 6 + [16.0] * 2)
    assert metrics.stdj_estienne2020(determinant) == pytest.approx(logs.std())


def test_a_raised_jacobian_hides_folds_and_never_is_without_value():
    determinant = np.ones((4, 4, 4))
    determinant[1, 1, 1] = -3.5  # of eight interior voxels; beyond the reach of J + 3
    high, low = np.log(4.0), np.log(1e-9)
    share = math.sqrt(1 / 8 * 7 / 8)  # the deviation of one value among eight
    assert metrics.sdlogj_learn2reg(determinant) == pytest.approx((high - low) * share)
    assert metrics.stdj_estienne2020(determinant) == pytest.approx(math.log(16 / 11.5) * share)
    determinant[1, 1, 1] = -20.0  # log 0 in their code
    assert metrics.stdj_estienne2020(determinant) == pytest.approx((np.log(16.0) - low) * share)


def test_table_1_has_each_published_stdj_beside_the_definition_that_fits():
    """Fields of about the published roughness: hippocampus as J + 15 sees them, abdomen as J + 3.

    Lognormal J with 0.65 % of the voxels below −3: J + 3 gives the abdomen's published size, J + 15
    the hippocampus'.
    """
    tables = yaml.safe_load((ROOT / "config/papers/estienne2020.yaml").read_text())["tables"]

    def published(table):
        columns = tables[table]["columns"]
        return {
            columns[name]["metric"]: value
            for row in tables[table]["rows"]
            for name, value in row.get("published", {}).items()
            if name.startswith("stdj")
        }

    assert published("table1") == {"stdj_estienne2020": 0.09}
    assert published("table1_abdomen") == {"sdlogj_learn2reg": 1.53}
    rng = np.random.default_rng(0)
    determinant = np.exp(0.8 * rng.standard_normal((40, 40, 40)) - 0.32)
    determinant[rng.random(determinant.shape) < 0.0065] = -4.0
    assert 1.5 < metrics.sdlogj_learn2reg(determinant) < 1.9
    assert 0.05 < metrics.stdj_estienne2020(determinant) < 0.1


def test_a_fold_raises_sdlogj_and_is_counted():
    determinant = np.ones((7, 7, 7))
    determinant[3, 3, 3] = -0.5
    determinant[0] = -1.0  # outside the interior
    assert metrics.folding_fraction(determinant) == pytest.approx(1 / 125)
    assert metrics.sdlogj(determinant) == pytest.approx(
        abs(math.log(1e-9)) * math.sqrt(1 / 125 * (1 - 1 / 125))
    )
    assert metrics.sdlogj_learn2reg(determinant) < 0.05  # nearly hidden


def test_no_volume_is_a_fold_and_a_small_one_is_none():
    determinant = np.ones((3, 4, 5))
    determinant[1, 1, 1:4] = 0.0, 1e-12, -1e-12
    assert metrics.folding_fraction(determinant) == pytest.approx(2 / 6)


def test_smoothness_of_a_large_field_is_that_of_its_pieces():
    """Of far more voxels than are looked at at a time; clipped below and above."""
    rng = np.random.default_rng(0)
    determinant = np.exp(rng.standard_normal((23, 80, 70)))
    determinant[4, 5, 6], determinant[12, 40, 30] = 1e12, -7.0
    inside = determinant[1:-1, 1:-1, 1:-1]
    logs = np.log(np.clip(inside, 1e-9, 1e9))
    assert metrics.sdlogj(determinant) == pytest.approx(logs.std(), rel=1e-12)
    logs = np.log(np.clip(inside + 3, 1e-9, 1e9))
    assert metrics.sdlogj_learn2reg(determinant) == pytest.approx(logs.std(), rel=1e-12)


def test_a_grid_without_interior_has_no_smoothness():
    thin = np.ones((2, 9, 9))
    assert math.isnan(metrics.sdlogj(thin))
    assert math.isnan(metrics.sdlogj_learn2reg(thin))
    assert math.isnan(metrics.stdj_estienne2020(thin))
    assert math.isnan(metrics.folding_fraction(thin))


def test_registration_errors_by_hand():
    matrix = np.diag([1.0, 2.0, 2.5])
    mapped = np.array([[3.0, 4.0, 0.0], [0.4, 0.0, 1.3]])
    found = metrics.registration_errors(mapped, np.zeros((2, 3)), matrix)
    assert found["tre"] == pytest.approx([5.0, math.hypot(0.4, 1.3)])
    assert found["tre_snapped"] == pytest.approx([5.0, 2.5])  # (.4, 0, .52) voxels → (0, 0, 1)
    assert found["tre_y"] == pytest.approx([4.0, 0.0])


def test_displacements_of_landmarks_by_hand():
    fixed, mapped = np.array([[10.0, 20.0, 30.0]]), np.array([[11.0, 18.0, 30.5]])
    found = metrics.landmark_displacements(fixed, mapped, np.array([[12.0, 17.0, 29.0]]))
    assert [float(found[f"displacement_{axis}"][0]) for axis in "xyz"] == [1.0, -2.0, 0.5]
    assert [float(found[f"target_{axis}"][0]) for axis in "xyz"] == [2.0, -3.0, -1.0]


def test_snapping_follows_the_voxels_of_an_oblique_grid():
    cosine = math.sqrt(0.5)
    turn = np.array([[cosine, -cosine, 0], [cosine, cosine, 0], [0, 0, 1]])
    matrix = turn * np.array([2.0, 2.0, 2.0])
    error = matrix @ np.array([1.2, -0.3, 0.1])
    found = metrics.registration_errors(error[None], np.zeros((1, 3)), matrix)
    assert found["tre_snapped"] == pytest.approx([2.0])


def test_intensity_metrics():
    rng = np.random.default_rng(1)
    image = gaussian_filter(rng.normal(size=(9, 9, 9)), 1)
    other = rng.normal(size=image.shape)
    assert metrics.mean_squared_error(image, image + 2) == pytest.approx(4.0)
    assert metrics.correlation(image, 3 * image + 5) == pytest.approx(1.0)
    assert metrics.correlation(image, -image) == pytest.approx(-1.0)
    assert metrics.correlation(image, other) == pytest.approx(
        np.corrcoef(image.ravel(), other.ravel())[0, 1]
    )
    assert math.isnan(metrics.correlation(image, np.ones_like(image)))


def test_intensities_of_a_large_image_are_those_of_its_pieces():
    rng = np.random.default_rng(2)
    image, other = rng.normal(3, 1, size=(2, 51, 53, 52))
    assert metrics.mean_squared_error(image, other) == pytest.approx(np.mean((image - other) ** 2))
    expected = np.corrcoef(image.ravel(), image.ravel() + other.ravel())[0, 1]
    assert metrics.correlation(image, image + other) == pytest.approx(expected)


def test_integer_intensities_do_not_wrap_around():
    low, high = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 200, np.uint8)
    assert metrics.mean_squared_error(low, high) == 40000.0


def test_dilation_bounds_dice(label_maps):
    fixed, _ = label_maps
    grown = np.where(binary_dilation(fixed == 1), 1, 0)
    expected = 2 * (fixed == 1).sum() / ((fixed == 1).sum() + grown.sum())
    assert metrics.dice(fixed, grown, [1])[1] == pytest.approx(expected)
