"""The volume of folds: by hand, by an explicit list of tetrahedra, on oblique grids."""

import math
from itertools import product

import numpy as np
import pytest
from fieldtools import oblique

from warpline.evaluation import metrics
from warpline.evaluation.metrics.tetrahedra import non_diffeomorphic_volume
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid


def of_voxels(displacement: np.ndarray, grid: Grid) -> DisplacementField:
    """The field of displacements (z, y, x, 3) in voxels, components (x, y, z)."""
    return DisplacementField((displacement @ grid.matrix.T).astype(np.float32), grid)


def linear(grid: Grid, slopes: tuple[float, float, float]) -> DisplacementField:
    index = np.stack(np.indices(grid.shape)[::-1], -1).astype(float)
    return of_voxels(index * slopes, grid)


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [((0, 0, 0), 0), ((-0.9, 3, 0), 0), ((-1.5, 0, 0), 0.5), ((-2, -2, -2), 1), ((0, -3, 1), 4)],
)
def test_a_linear_map_folds_as_much_as_its_determinant_is_below_zero(slopes, expected):
    grid = oblique((7, 8, 9))
    assert non_diffeomorphic_volume(linear(grid, slopes)) == pytest.approx(expected, abs=1e-5)


def test_a_fold_that_central_differences_miss():
    """One voxel jumps over its neighbour: of four cells two tetrahedra of −0.5 sixths each."""
    displacement = np.zeros((3, 3, 3, 3))
    displacement[1, 1, 1, 0] = 1.5
    field = of_voxels(displacement, oblique((3, 3, 3)))
    assert non_diffeomorphic_volume(field) == pytest.approx(4 * (0.5 / 6) / 8, abs=1e-6)
    wide = np.pad(displacement, [(2, 2)] * 3 + [(0, 0)])
    determinant = of_voxels(wide, Grid(wide.shape[:3])).jacobian_determinant()
    assert determinant[2, 2, 2] == pytest.approx(1)
    assert metrics.folding_fraction(determinant) == 0


def test_it_is_the_sum_over_an_explicit_list_of_tetrahedra():
    rng = np.random.default_rng(0)
    grid = oblique((20, 5, 6))
    displacement = rng.normal(0, 0.35, (*grid.shape, 3))
    field = of_voxels(displacement, grid)
    place = np.stack(np.indices(grid.shape)[::-1], -1) + displacement
    even = [(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    total, cells = 0.0, 0
    for z, y, x in product(*(range(size - 1) for size in grid.shape)):
        cells += 1
        for turned in (0, 1):
            middle = [tuple(abs(c - turned) for c in corner) for corner in even]
            tetrahedra = [middle]
            for corner in product((0, 1), repeat=3):
                if corner not in middle:
                    around = [
                        tuple(1 - c if a == axis else c for a, c in enumerate(corner))
                        for axis in range(3)
                    ]
                    tetrahedra.append([corner, *around])
            for corners in tetrahedra:
                before = np.array(corners, float)
                after = np.array([place[z + k, y + j, x + i] for i, j, k in corners])
                unmoved, moved = (np.linalg.det(p[1:] - p[0]) / 6 for p in (before, after))
                total += max(-moved * np.sign(unmoved), 0) / 2
    assert total > 1
    assert non_diffeomorphic_volume(field) == pytest.approx(total / cells, rel=1e-4)


def test_a_flat_grid_has_no_volume():
    assert math.isnan(non_diffeomorphic_volume(DisplacementField.identity(Grid((1, 5, 5)))))
