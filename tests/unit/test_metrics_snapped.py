"""Snapped target registration errors: the mapped point moved to the nearest voxel centre."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.evaluation import metrics
from warpline.evaluation.pairs import evaluate_pair
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

OBLIQUE = tuple(
    np.asarray(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix()).astype(float)
)
GRIDS = [
    Grid((9, 10, 11), (0.97, 0.97, 2.5), (12.0, -7.0, 30.0)),
    Grid((9, 10, 11), (0.7, 1.3, 2.5), (12.0, -7.0, 30.0), OBLIQUE),
    Grid((9, 10, 11), (1.16, 1.16, 2.5), direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0)),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_it_is_the_distance_from_the_nearest_voxel(grid):
    """Against ITK, which finds the voxel that a point lies in."""
    rng = np.random.default_rng(5)
    target_index = rng.integers(1, 8, (40, 3))
    target = grid.index_to_physical(target_index)
    mapped = target + rng.normal(0, 1.5, (40, 3))
    image = to_sitk(Image(np.zeros(grid.shape, np.uint8), grid))
    expected = []
    for point, voxel in zip(mapped, target, strict=True):
        index = image.TransformPhysicalPointToIndex(point.tolist())
        nearest = image.TransformIndexToPhysicalPoint(index)
        expected.append(np.linalg.norm(np.subtract(nearest, voxel)))
    found = metrics.registration_errors(mapped, target, grid.matrix)["tre_snapped"]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert len(set(np.round(found, 6))) > 5


def test_half_a_voxel_is_forgiven_and_more_is_not():
    matrix = np.diag([1.0, 1.0, 2.5])
    mapped = np.array([[0.49, -0.49, 1.24], [0.51, 0.0, 0.0], [0.0, 0.0, 1.26], [3.2, 4.4, 0.0]])
    found = metrics.registration_errors(mapped, np.zeros((4, 3)), matrix)
    assert found["tre_snapped"] == pytest.approx([0.0, 1.0, 2.5, 5.0])
    assert found["tre"][0] == pytest.approx(np.sqrt(2 * 0.49**2 + 1.24**2))


def test_the_voxels_are_those_of_the_moving_image():
    """Each landmark has its record, by hand: 0.4 voxels of 2.5 mm vanish, 0.6 become one."""
    fixed = Grid((8, 8, 8), (1.0, 1.0, 1.0))
    moving = Grid((8, 8, 8), (1.0, 1.0, 2.5))
    rng = np.random.default_rng(1)

    def case(grid: Grid, z: tuple[float, float]) -> Case:
        image = Image(rng.normal(size=grid.shape).astype(np.float32), grid)
        marks = pd.DataFrame({"id": ["1", "2"], "x": [3.0, 4.0], "y": [3.0, 3.0], "z": list(z)})
        return Case("c", image, landmarks=marks)

    rows = evaluate_pair(
        case(fixed, (4.0, 3.5)),
        case(moving, (5.0, 5.0)),
        DisplacementField.identity(fixed),
        labels={},
    )
    values = {(r["metric"], r["label"]): r["value"] for r in rows}
    assert values["tre", "1"] == pytest.approx(1.0)
    assert values["tre", "2"] == pytest.approx(1.5)
    assert values["tre_snapped", "1"] == pytest.approx(0.0)
    assert values["tre_snapped", "2"] == pytest.approx(2.5)
