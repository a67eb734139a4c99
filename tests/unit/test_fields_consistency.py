"""Inverse consistency by hand, for affine maps, and as it does not count what leaves the grid."""

import numpy as np
import pytest
import torch

from warpline.fields.consistency import distance_after_return, inverse_consistency
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

torch.set_num_threads(1)
TURNED = (0, -1, 0, 0.6, 0, -0.8, 0.8, 0, 0.6)
GRID = Grid((12, 10, 14), (1.0, 2.0, 3.0), (5.0, -7.0, 9.0), TURNED)
OTHER = Grid((9, 11, 10), (2.0, 2.5, 2.0), (4.0, -9.0, 12.0), TURNED)


def shift(vector, grid) -> DisplacementField:
    return DisplacementField(np.broadcast_to(vector, (*grid.shape, 3)), grid)


def test_shifts_that_do_not_cancel_leave_what_is_between_them():
    forward, backward = shift([1.0, 0.5, -2.0], GRID), shift([-1.0, -0.5, -2.0], GRID)
    assert inverse_consistency(forward, backward) == pytest.approx(4.0, abs=1e-5)
    assert inverse_consistency(forward, shift([-1.0, -0.5, 2.0], GRID)) < 1e-5


def test_inverse_affine_maps_between_two_grids_are_consistent():
    matrix = np.eye(4)
    matrix[:3, :3] += np.array([[0.05, 0.02, 0], [0, -0.04, 0.03], [0.02, 0, 0.06]])
    matrix[:3, 3] = [1.0, -2.0, 0.5]
    forward = DisplacementField.from_matrix(matrix, GRID)
    backward = DisplacementField.from_matrix(np.linalg.inv(matrix), OTHER)
    assert inverse_consistency(forward, backward) < 1e-4
    wrong = DisplacementField.from_matrix(2 * np.eye(4) - matrix, OTHER)  # to first order only
    # by points, of those that come to lie on the forward grid
    points = OTHER.index_to_physical(OTHER.indices().reshape(-1, 3))
    there = points + wrong.vectors.reshape(-1, 3)
    index = GRID.physical_to_index(there)
    inside = ((index >= 0) & (index <= np.array(GRID.shape) - 1)).all(axis=1)
    assert 0.2 < inside.mean() < 0.9
    back = there[inside] @ matrix[:3, :3].T + matrix[:3, 3]
    expected = np.linalg.norm(back - points[inside], axis=1).mean()
    assert inverse_consistency(forward, wrong) == pytest.approx(expected, rel=1e-4)


def test_a_field_that_leaves_the_other_s_grid_everywhere_has_none():
    assert np.isnan(inverse_consistency(shift([0, 0, 0], GRID), shift([500.0, 0, 0], GRID)))


def test_each_point_s_way_there_and_back():
    forward, backward = shift([1.03, 0.57, -2.11], GRID), shift([-1.03, -0.57, -1.89], OTHER)
    points = GRID.index_to_physical(GRID.indices()).reshape(-1, 3)
    index = OTHER.physical_to_index(points + np.array([1.03, 0.57, -2.11]))
    known = ((index >= 0) & (index <= np.array(OTHER.shape) - 1)).all(axis=1)
    found = distance_after_return(forward, points, backward)
    assert 0.1 < known.mean() < 0.9
    np.testing.assert_array_equal(np.isfinite(found), known)
    np.testing.assert_allclose(found[known], 4.0, atol=1e-5)


def test_a_field_undoes_itself_but_where_it_folds():
    grid = Grid((6, 7, 20), (2.0, 1.0, 1.0), (5.0, -7.0, 9.0), TURNED)
    along = np.array(TURNED).reshape(3, 3)[:, 0]  # of the columns: 1 mm a voxel
    way = np.zeros((*grid.shape, 3), np.float32)
    way[:, :, 11] = -3 * along  # voxel 11 goes to where voxel 8 stays, and 12 stays: a fold
    points = grid.index_to_physical(grid.indices())
    found = distance_after_return(DisplacementField(way, grid), points.reshape(-1, 3))
    found = found.reshape(grid.shape)
    np.testing.assert_allclose(found[:, :, 11], 3.0, atol=2e-3)
    assert np.delete(found, (10, 11), axis=2).max() < 2e-3
    assert found[:, :, 10].max() < 2  # the fold's upper edge: of its image no way back is sure
    bent = DisplacementField(0.2 * way, grid)  # 11 goes to 10.4: no fold
    assert distance_after_return(bent, points.reshape(-1, 3)).max() < 2e-3


def test_what_lies_on_the_grid_s_faces_counts_and_what_lies_beyond_does_not():
    still = shift([0.0, 0.0, 0.0], GRID)
    last = np.array(GRID.shape) - 1.0
    voxels = np.array([[0.0, 0, 0], last, [-1e-9, 0, 0], last + 1e-9, [-0.1, 0, 0], last + 0.1])
    away = distance_after_return(still, GRID.index_to_physical(voxels), still)
    assert np.isnan(away[4:]).all()
    np.testing.assert_allclose(away[:4], 0, atol=1e-6)
