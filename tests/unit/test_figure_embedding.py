"""The steps of a registration by embedding, cut as the view shows them."""

import numpy as np
import pandas as pd
import pytest

from warpline.cases.case import Case
from warpline.fields.physical import DisplacementField
from warpline.figures.embedding import embedding_figure, steps_of
from warpline.images.grid import Grid, Image

# Stored upside down and from left to right: the display turns both round.
TURNED = Grid((20, 24, 22), (2.0, 3.0, 4.0), (5.0, 6.0, 7.0), (-1, 0, 0, 0, 1, 0, 0, 0, -1))
UPRIGHT = Grid((20, 24, 22), (2.0, 3.0, 4.0), (5.0, 6.0, 7.0))


def kept(grid: Grid, indices: np.ndarray, least=(4, 3, 1)) -> dict:
    shape = (5, 5, 5)
    centre = np.array(least)[:, None, None, None]
    bowl = np.square(np.indices(shape) - centre).sum(axis=0).astype(np.float32)
    points = grid.index_to_physical(indices)
    return {
        "points": points,
        "regularised": np.tile([3.0, 0.0, 4.0], (len(points), 1)),
        "displacement_map": bowl,
        "reconstruction": bowl + 1,
        "reach": np.array([16.0, 12.0, 8.0]),  # mm along z, y, x
    }


def steps(grid: Grid):
    image = Image(np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape), grid)
    place = grid.index_to_physical(np.array([[10.0, 12.0, 8.0]]))[0]
    landmarks = pd.DataFrame({"id": ["1"], "x": place[:1], "y": place[1:2], "z": place[2:]})
    fixed = Case("f", image, landmarks=landmarks)
    indices = np.array([[3.0, 12.0, 6.0], [4.0, 14.0, 7.0], [5.0, 20.0, 8.0]])  # the last is far
    field = DisplacementField.identity(grid)
    return steps_of(fixed, Case("m", image), field, kept(grid, indices), plane="coronal")


@pytest.mark.parametrize("grid", [UPRIGHT, TURNED])
def test_keypoints_lie_where_the_slice_shows_their_voxels(grid):
    shown = steps(grid)
    assert shown.view.position == 12
    assert shown.lengths.tolist() == [5.0, 5.0]
    left, _, _, top = shown.view.extent
    rows = (shown.places[:, 1] - top) / shown.view.spacing[0] - 0.5
    columns = (shown.places[:, 0] - left) / shown.view.spacing[1] - 0.5
    values = shown.fixed[np.rint(rows).astype(int), np.rint(columns).astype(int)]
    z, y, x = np.unravel_index(values.astype(int), grid.shape)
    assert y.tolist() == [12, 12]
    assert sorted(zip(z, x, strict=True)) == [(3, 6), (4, 7)]


@pytest.mark.parametrize(("grid", "row", "column"), [(UPRIGHT, 0, 1), (TURNED, 4, 3)])
def test_a_map_is_turned_like_the_slice(grid, row, column):
    """Least at z = 4, x = 1 of 5: up and to the left on an upright grid, else down and right."""
    shown = steps(grid)
    found = np.unravel_index(shown.displacement_map.argmin(), shown.displacement_map.shape)
    assert found == (row, column)
    assert shown.displacement_map.min() == 0
    left, right, bottom, top = shown.reach
    assert (right - left, bottom - top) == pytest.approx((5 * 4.0, 5 * 8.0))


def test_the_figure_is_written(tmp_path):
    paths = embedding_figure(steps(TURNED), tmp_path / "figure1")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    assert paths[0].stat().st_size > 20_000
