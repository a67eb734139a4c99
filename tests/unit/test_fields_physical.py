"""Fields in mm on oblique, anisotropic grids, beside SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from fieldtools import interior_points, oblique, sitk_transform, smooth, smooth_field, smooth_image
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from warpline.fields.physical import DisplacementField
from warpline.fields.sampling import identity_grid, warp
from warpline.images.grid import Grid, Image
from warpline.images.itk import grid_of, to_sitk

FIXED = oblique((14, 18, 16), seed=0)
MOVING = Grid(
    (20, 22, 19),
    (1.1, 0.9, 1.7),
    tuple(np.asarray(FIXED.origin) - 3),
    oblique(seed=5).direction,
)


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)


def inside(field: DisplacementField, grid: Grid, margin: float = 0.0) -> np.ndarray:
    """Which voxels T maps into `grid`."""
    points = field.grid.index_to_physical(field.grid.indices()) + field.vectors
    index = grid.physical_to_index(points)
    return ((index >= margin) & (index <= np.array(grid.shape) - 1 - margin)).all(-1)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_voxel_round_trip(seed):
    fixed, moving = oblique((6, 5, 7), seed), oblique((4, 9, 6), seed + 1, (1.9, 0.7, 1.1))
    displacement = smooth(fixed.shape, 2.0, 1.0, seed)
    back = DisplacementField.from_voxel(displacement, fixed, moving).to_voxel(moving)
    assert back.shape == displacement.shape
    assert torch.allclose(back, displacement, atol=2e-4)


def test_from_voxel_is_its_definition():
    displacement = smooth(FIXED.shape, 2.0)
    field = DisplacementField.from_voxel(displacement, FIXED, MOVING)
    index = FIXED.indices()
    expected = MOVING.index_to_physical(
        index + displacement[0].permute(1, 2, 3, 0).numpy()
    ) - FIXED.index_to_physical(index)
    assert field.vectors.dtype == np.float32
    np.testing.assert_allclose(field.vectors, expected, atol=2e-5)


def test_identity_up_to_the_border():
    image = smooth_image(FIXED)
    field = DisplacementField.identity(FIXED)
    assert field.to_voxel(FIXED).abs().max() < 1e-6
    np.testing.assert_allclose(field.warp_image(image).array, image.array, atol=2e-6)
    again = field.compose(field)
    assert np.abs(again.vectors).max() == 0
    np.testing.assert_allclose(field.jacobian_determinant(), 1, atol=1e-6)
    inverse, residual = field.invert()
    assert max(np.abs(inverse.vectors).max(), residual.max()) < 1e-6


def test_composing_with_the_identity_up_to_the_border():
    field, identity = smooth_field(FIXED), DisplacementField.identity(FIXED)
    np.testing.assert_allclose(field.compose(identity).vectors, field.vectors, atol=1e-5)
    np.testing.assert_allclose(identity.compose(field).vectors, field.vectors, atol=1e-6)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_warping_as_simpleitk(mode):
    field = smooth_field(FIXED, 2.0)
    image = smooth_image(MOVING)
    warped = field.warp_image(image, mode)
    how = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[mode]
    reference = sitk.Image(FIXED.shape[::-1], sitk.sitkFloat32)
    reference.CopyInformation(to_sitk(Image(np.zeros(FIXED.shape, np.float32), FIXED)))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(to_sitk(image), reference, sitk_transform(field), how)
    )
    where = inside(field, MOVING)
    assert where.mean() > 0.3
    difference = np.abs(warped.array - expected)[where]
    if mode == "linear":
        assert difference.max() < 1e-4
    else:
        # A point halfway between two voxels may go either way.
        assert (difference > 0).mean() < 1e-3


def test_warping_agrees_with_the_voxel_warp():
    displacement = smooth(FIXED.shape, 2.0)
    image = smooth_image(MOVING)
    field = DisplacementField.from_voxel(displacement, FIXED, MOVING)
    expected = warp(torch.from_numpy(image.array)[None, None], displacement)[0, 0]
    np.testing.assert_allclose(field.warp_image(image).array, expected, atol=2e-4)


def test_warping_in_slabs_changes_nothing(monkeypatch):
    field, image = smooth_field(FIXED), smooth_image(MOVING)
    whole = field.warp_image(image).array, field.compose(field).vectors
    monkeypatch.setattr("warpline.fields.physical.SLAB", 600)
    slabs = field.warp_image(image).array, field.compose(field).vectors
    for one, other in zip(whole, slabs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_labels_keep_their_type_and_values():
    labels = Image((smooth_image(MOVING).array > 0).astype(np.uint8) * 200, MOVING)
    warped = smooth_field(FIXED, 2.0).warp_labels(labels)
    assert warped.array.dtype == np.uint8
    assert set(np.unique(warped.array)) <= {0, 200}
    assert warped.grid == FIXED


def test_labels_beyond_the_moving_map_are_background_as_learn2reg_has_it():
    """`map_coordinates(order=0)` of the challenge's program, labels up to the border."""
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 5, MOVING.shape).astype(np.uint8)
    displacement = smooth(FIXED.shape, 6.0)
    field = DisplacementField.from_voxel(displacement, FIXED, MOVING)
    coordinates = (identity_grid(FIXED.shape) + displacement)[0].numpy()
    expected = ndimage.map_coordinates(labels, coordinates, order=0)
    found = field.warp_labels(Image(labels, MOVING), "background").array
    last = np.reshape(MOVING.shape, (3, 1, 1, 1)) - 1
    # Within rounding of a border, or of the middle between two voxels, either may be right.
    halves = np.abs(coordinates % 1 - 0.5) < 1e-3
    borders = np.minimum(abs(coordinates), abs(coordinates - last)) < 2e-3
    clear = ~(halves | borders).any(axis=0)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(found[clear], expected[clear])
    assert 0.05 < (expected == 0).mean() < 0.95
    assert (field.warp_labels(Image(labels, MOVING)).array > 0).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_nothing_is_beyond_the_map_where_nothing_moves(seed):
    grid = oblique((9, 8, 7), seed=seed)
    labels = Image(np.full(grid.shape, 3, np.uint8), grid)
    warped = DisplacementField.identity(grid).warp_labels(labels, "background")
    np.testing.assert_array_equal(warped.array, labels.array)


def test_points_as_simpleitk():
    field = smooth_field(FIXED, 2.0)
    transform = sitk_transform(field)
    points = interior_points(FIXED)
    expected = [transform.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(field.transform_points(points, order=1), expected, atol=1e-4)
    # A cubic spline and a linear one agree at the voxels themselves, border included.
    index = FIXED.indices().reshape(-1, 3)[::37]
    expected = FIXED.index_to_physical(index) + field.vectors[tuple(index.T)]
    moved = field.transform_points(FIXED.index_to_physical(index))
    np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_points_read_a_part_of_the_field_as_if_it_were_all():
    grid = Grid((70, 66, 64))
    field = smooth_field(grid, 2.0, sigma=1.0)
    points = np.array([[3.3, 4.4, 5.6], [10.5, 11.1, 6.2]])
    moved = field.transform_points(points)
    for axis in range(3):
        expected = ndimage.map_coordinates(
            field.vectors[..., axis].astype(float), points[:, ::-1].T, order=3, mode="mirror"
        )
        np.testing.assert_allclose(moved[:, axis] - points[:, axis], expected, atol=1e-9)


def test_a_point_on_a_voxel_of_any_face_has_that_voxel_s_vector():
    field = DisplacementField(np.random.default_rng(4).normal(size=(*FIXED.shape, 3)), FIXED)
    last = np.array(FIXED.shape) - 1
    voxels = np.stack(np.meshgrid(*[(0, n // 2, n) for n in last], indexing="ij"), -1).reshape(
        -1, 3
    )
    points = FIXED.index_to_physical(voxels)
    for order in (1, 3):
        moved = field.transform_points(points, order=order) - points
        np.testing.assert_allclose(moved, field.vectors[tuple(voxels.T)], atol=1e-5)


def test_points_beyond_the_grid_and_none_at_all():
    field = smooth_field(FIXED)
    corner = FIXED.index_to_physical(np.zeros(3))
    step = -5 * FIXED.matrix.sum(1)
    moved = field.transform_points((corner + step)[None])
    np.testing.assert_allclose(moved[0] - corner - step, field.vectors[0, 0, 0], atol=1e-4)
    assert field.transform_points(np.zeros((0, 3))).shape == (0, 3)


def test_points_and_images_follow_the_same_map():
    # A bright blob of the moving image is found at x in the warped one if T(x) is its place.
    field = smooth_field(FIXED, 2.0, sigma=4.0)
    point = FIXED.index_to_physical(np.array([7.0, 9.0, 8.0]))
    target = field.transform_points(point[None])[0]
    distance = np.linalg.norm(MOVING.index_to_physical(MOVING.indices()) - target, axis=-1)
    warped = field.warp_image(Image(np.exp(-(distance**2) / 8).astype(np.float32), MOVING))
    assert np.unravel_index(warped.array.argmax(), FIXED.shape) == (7, 9, 8)


def test_compose_as_simpleitk():
    inner = smooth_field(FIXED, 1.5, seed=1)
    outer = smooth_field(oblique((24, 26, 25), seed=0, spacing=(1.0, 1.4, 1.9)), 1.5, seed=2)
    composed = outer.compose(inner)
    both = sitk.CompositeTransform([sitk_transform(outer), sitk_transform(inner)])
    index = FIXED.indices()[2:-2, 2:-2, 2:-2].reshape(-1, 3)[::13]
    points = FIXED.index_to_physical(index)
    expected = [both.TransformPoint(point) for point in points.tolist()]
    moved = points + composed.vectors[tuple(index.T)]
    through = outer.grid.physical_to_index(points + inner.vectors[tuple(index.T)])
    known = ((through >= 0) & (through <= np.array(outer.grid.shape) - 1)).all(1)
    assert known.mean() > 0.3
    np.testing.assert_allclose(moved[known], np.array(expected)[known], atol=1e-4)


def test_inverse_undoes_the_field_as_simpleitks_does():
    field = smooth_field(FIXED, 1.5, sigma=4.0)
    inverse, residual = field.invert(tolerance=1e-4)
    assert residual.max() <= 1e-4
    middle = (slice(3, -3),) * 3
    assert np.abs(field.compose(inverse).vectors[middle]).max() < 1e-3
    # sub-voxel: what two linear interpolations on a grid of about 2 mm can hold
    assert np.abs(inverse.compose(field).vectors[middle]).max() < 0.2
    vectors = sitk_transform(field).GetDisplacementField()
    expected = sitk.GetArrayFromImage(
        sitk.InvertDisplacementField(
            vectors, 100, maxErrorToleranceThreshold=1e-4, meanErrorToleranceThreshold=1e-5
        )
    )
    np.testing.assert_allclose(inverse.vectors[middle], expected[middle], atol=5e-3)


def test_jacobian_as_simpleitk():
    # SimpleITK's filter divides by the spacing but knows no direction: there the two agree on a
    # grid along the axes, and an oblique one is judged by turning its vectors into its own axes.
    straight = Grid(FIXED.shape, FIXED.spacing)
    displacement = smooth(FIXED.shape, 2.0)
    expected = sitk.GetArrayFromImage(
        sitk.DisplacementFieldJacobianDeterminant(
            sitk_transform(
                DisplacementField.from_voxel(displacement, straight, straight)
            ).GetDisplacementField()
        )
    )[1:-1, 1:-1, 1:-1]
    for grid in (straight, FIXED):
        field = DisplacementField.from_voxel(displacement, grid, grid)
        np.testing.assert_allclose(field.jacobian_determinant(), expected, atol=1e-4)


def test_jacobian_of_a_physical_affine_map():
    matrix = np.eye(3) + np.random.default_rng(3).uniform(-0.3, 0.3, (3, 3))
    points = FIXED.index_to_physical(FIXED.indices())
    field = DisplacementField(points @ (matrix - np.eye(3)).T, FIXED)
    np.testing.assert_allclose(field.jacobian_determinant(), np.linalg.det(matrix), atol=1e-4)


def test_resampling_a_linear_field_is_exact():
    points = FIXED.index_to_physical(FIXED.indices())
    matrix = np.random.default_rng(4).uniform(-0.05, 0.05, (3, 3))
    field = DisplacementField((points - points.mean((0, 1, 2))) @ matrix, FIXED)
    spacing = tuple(0.5 * s for s in FIXED.spacing)
    fine = Grid(tuple(2 * n - 1 for n in FIXED.shape), spacing, FIXED.origin, FIXED.direction)
    expected = (fine.index_to_physical(fine.indices()) - points.mean((0, 1, 2))) @ matrix
    np.testing.assert_allclose(field.resample(fine).vectors, expected, atol=1e-4)


def test_fields_far_from_the_origin_keep_their_precision():
    far = Grid((8, 9, 10), (0.7, 0.7, 2.5), (-900.0, 850.0, -1400.0), FIXED.direction)
    displacement = smooth(far.shape, 1.0)
    back = DisplacementField.from_voxel(displacement, far, far).to_voxel(far)
    assert torch.allclose(back, displacement, atol=1e-5)
    x = identity_grid(far.shape)
    image = Image(x[0, 2].numpy(), far)
    warped = DisplacementField.identity(far).warp_image(image)
    np.testing.assert_allclose(warped.array, image.array, atol=1e-5)


def test_vectors_must_lie_on_the_grid():
    with pytest.raises(ValueError, match="do not lie on grid"):
        DisplacementField(np.zeros((3, 4, 5, 3)), Grid((5, 4, 3)))


def test_the_grid_of_a_simpleitk_field_is_ours():
    assert grid_of(sitk_transform(smooth_field(FIXED)).GetDisplacementField()).close_to(FIXED, 1e-9)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("amplitude", [0.0, 2.0])
def test_small_grids_are_sampled_as_large_ones(monkeypatch, mode, amplitude):
    # The identity on half a spacing puts every second voxel halfway between two: ties too agree.
    fine = Grid((19, 21, 23), (0.5, 0.5, 1.0))
    displacement = smooth(fine.shape, amplitude or 1.0) * (amplitude > 0)
    field = DisplacementField.from_voxel(displacement, fine, fine)
    image = smooth_image(Grid((10, 11, 20)))
    small = field.warp_image(image, mode).array, field.compose(field).vectors
    monkeypatch.setattr("warpline.fields.physical.SMALL", 0)
    large = field.warp_image(image, mode).array, field.compose(field).vectors
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6, rtol=0)
