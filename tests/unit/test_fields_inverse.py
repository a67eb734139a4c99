"""Affine maps of fields, and inverses on other grids and at points, against closed forms."""

from __future__ import annotations

import numpy as np
from exchangetools import FIXED, LPS, MOVING, apply, voxels, world
from fieldtools import interior_points, oblique, smooth_field
from scipy.spatial.transform import Rotation

from warpline.fields.affine import affine_of, affine_residual, fit_affine, joined
from warpline.fields.inverse import invert_onto, invert_points
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid


def test_the_affine_map_of_a_field():
    field = DisplacementField.from_matrix(LPS, FIXED)
    np.testing.assert_allclose(affine_of(field), LPS, atol=1e-4)
    assert affine_of(smooth_field(FIXED)) is None
    flat = Grid((1, 11, 10), FIXED.spacing, FIXED.origin, FIXED.direction)
    points = world(flat, voxels(flat))
    there = apply(fit_affine(DisplacementField.from_matrix(LPS, flat)), points)
    np.testing.assert_allclose(there, apply(LPS, points), atol=1e-3)


def test_the_inverse_of_a_turn_and_a_long_way():
    """Half a turn and half a metre, which no iteration from 'nothing moves' would find."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec((0, 0, np.pi)).as_matrix() @ LPS[:3, :3]
    matrix[:3, 3] = (500.0, -300.0, 100.0)
    inverse, _ = invert_onto(DisplacementField.from_matrix(matrix, FIXED), MOVING)
    assert inverse.grid == MOVING
    ijk = voxels(MOVING)
    expected = apply(np.linalg.inv(matrix), world(MOVING, ijk))
    there = world(MOVING, ijk) + inverse.vectors[ijk[:, 2], ijk[:, 1], ijk[:, 0]]
    np.testing.assert_allclose(there, expected, atol=2e-3)
    points = interior_points(FIXED)
    back, residual = invert_points(
        DisplacementField.from_matrix(matrix, FIXED), apply(matrix, points)
    )
    np.testing.assert_allclose(back, points, atol=1e-3)
    assert residual.max() < 1e-4


def test_the_inverse_of_a_deformation_after_an_affine_map():
    grid = oblique((20, 22, 24), spacing=(0.8, 1.3, 2.1))
    bent = smooth_field(grid, amplitude=1.5, sigma=4)
    field = joined(DisplacementField.from_matrix(LPS, grid), bent)
    points = interior_points(grid, margin=4)
    there = field.transform_points(points, order=1)
    np.testing.assert_allclose(there, apply(LPS, bent.transform_points(points, order=1)), atol=1e-4)
    back, _ = invert_points(field, there)
    np.testing.assert_allclose(back, points, atol=1e-3)
    # On a grid where the moving image lies: there and back within what linear reading costs.
    centre = apply(LPS, [grid.index_to_physical((np.array(grid.shape) - 1) / 2)])[0]
    turned = Rotation.from_rotvec((0.3, 0.1, -0.2)).as_matrix()
    origin = centre - turned @ (np.array([1.0, 1.2, 1.5]) * 6)
    moving = Grid((13, 13, 13), (1.0, 1.2, 1.5), tuple(origin), tuple(turned.ravel()))
    inverse, residual = invert_onto(field, moving)
    assert np.isfinite(residual).all()
    assert residual.max() < 0.1
    start = moving.index_to_physical(moving.indices()).reshape(-1, 3)
    exact, _ = invert_points(field, start)
    assert np.abs(start + inverse.vectors.reshape(-1, 3) - exact).max() < 0.1


def test_where_nothing_comes_from_is_told():
    _, residual = invert_onto(
        smooth_field(FIXED),
        Grid((5, 5, 5), (1.0, 1.0, 1.0), tuple(np.add(FIXED.origin, 1000)), FIXED.direction),
    )
    assert np.isnan(residual).all()


def test_an_affine_outer_map_goes_on_beyond_its_grid():
    small = Grid((5, 5, 5), (1.0, 1.0, 1.0))
    shift = np.eye(4)
    shift[:3, 3] = (100.0, 0.0, 0.0)
    one = DisplacementField.from_matrix(shift, FIXED)
    both = joined(DisplacementField.from_matrix(LPS, small), one)
    ijk = voxels(FIXED)
    there = world(FIXED, ijk) + both.vectors[ijk[:, 2], ijk[:, 1], ijk[:, 0]]
    np.testing.assert_allclose(there, apply(LPS @ shift, world(FIXED, ijk)), atol=1e-3)


def test_a_bend_after_another_is_read_where_the_first_one_leads():
    grid = oblique((16, 18, 20), spacing=(0.8, 1.3, 2.1))
    outer, inner = smooth_field(grid, seed=1, sigma=4), smooth_field(grid, seed=2, sigma=4)
    both, points = joined(outer, inner), grid.index_to_physical(grid.indices())[6:-6, 6:-6, 6:-6]
    there = inner.transform_points(points.reshape(-1, 3), order=1)
    expected = outer.transform_points(there, order=1).reshape(points.shape)
    np.testing.assert_allclose(points + both.vectors[6:-6, 6:-6, 6:-6], expected, atol=1e-3)


def test_how_far_an_affine_map_is_from_a_field_is_the_longest_way_between_their_points():
    field = DisplacementField.from_matrix(LPS, FIXED)
    assert affine_residual(field, LPS) < 1e-4
    field.vectors[3, 2, 1] += (2.0, -1.0, 2.0)
    assert abs(affine_residual(field, LPS) - 3.0) < 1e-4
    assert affine_of(field) is None


def test_what_an_inverse_off_the_fixed_grid_leaves_is_not_known():
    still = DisplacementField.identity(FIXED)
    last = np.array(FIXED.shape) - 1
    wide = Grid(
        tuple(int(n) for n in last + 3),
        FIXED.spacing,
        tuple(FIXED.index_to_physical(np.array([-1.0, -1.0, -1.0]))),
        FIXED.direction,
    )
    _, residual = invert_onto(still, wide)
    # A ring of voxels about the fixed grid is not known; on it, its faces too, nothing is left.
    for ring in (residual[0], residual[-1], residual[:, :, 0], residual[:, -1]):
        assert np.isnan(ring).all()
    assert np.nanmax(residual[2:-2, 2:-2, 2:-2]) < 1e-3
