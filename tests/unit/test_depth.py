"""Errors by distance from a boundary, against what is counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from warpline.evaluation.metrics.depth import distance_to_boundary, error_by_depth


def test_distances_from_a_plane_are_those_of_voxels_centres():
    labels = np.zeros((4, 5, 8), int)
    labels[..., 3:] = 1
    found = distance_to_boundary(labels, (9.0, 9.0, 2.0))
    assert found[1, 2] == pytest.approx([5, 3, 1, 1, 3, 5, 7, 9])
    turned = distance_to_boundary(np.moveaxis(labels, 2, 0), (2.0, 9.0, 9.0))
    assert np.moveaxis(turned, 0, 2) == pytest.approx(found)


def test_a_corner_is_reached_by_the_nearest_of_its_faces():
    labels = np.zeros((3, 6, 6), int)
    labels[:, 3:, 3:] = 2
    found = distance_to_boundary(labels, (5.0, 1.0, 2.0))
    # Faces across y lie half a voxel under the rows, across x a millimetre from the columns.
    assert found[1, 5, 3] == pytest.approx(1.0)
    assert found[1, 3, 5] == pytest.approx(0.5)
    assert found[1, 5, 5] == pytest.approx(2.5)
    assert found[1, 2, 2] == pytest.approx(min(np.hypot(0.5, 2.0), np.hypot(1.0, 1.0)))


def test_of_one_label_there_is_no_boundary():
    assert np.isinf(distance_to_boundary(np.ones((3, 4, 5)), (1, 1, 1))).all()


def test_errors_are_shares_of_the_voxels_of_a_band():
    fixed = np.zeros((1, 4, 20), int)
    fixed[..., 4:] = 1
    warped = fixed.copy()
    warped[..., 4] = 0  # the outermost voxels of the label
    warped[:, 0, 3] = 1  # and one beyond
    found = error_by_depth(fixed, warped, (3.0, 3.0, 1.0))
    # 0.5 mm: four lost of the four inside, and the one beyond; 1.5, 2.5 and 3.5 mm: none.
    assert found == pytest.approx(
        {"0-1 mm": 1.0, "1-2 mm": 0.0, "2-4 mm": 0.0, "4-8 mm": 0.0, "from 8 mm": 0.0}
    )
    warped[:, 0, 14] = 2
    assert error_by_depth(fixed, warped, (3.0, 3.0, 1.0))["from 8 mm"] == pytest.approx(1 / 32)
