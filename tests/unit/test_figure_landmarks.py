"""Landmarks before and after: which are drawn, where, and with what error."""

import numpy as np
import pandas as pd
import pytest

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.figures.landmarks import Registered, compose, landmarks_figure
from warpline.images.grid import Grid, Image

TURNED = Grid((20, 24, 22), (2.0, 3.0, 4.0), (5.0, 6.0, 7.0), (-1, 0, 0, 0, 1, 0, 0, 0, -1))


def case(points: dict[str, tuple[float, float, float]]) -> Case:
    """A case whose landmarks lie at the given indices (z, y, x)."""
    rng = np.random.default_rng(0)
    place = TURNED.index_to_physical(np.array(list(points.values())))
    landmarks = pd.DataFrame(place, columns=["x", "y", "z"])
    landmarks.insert(0, "id", list(points))
    image = Image(rng.random(TURNED.shape, dtype=np.float32), TURNED)
    return Case("c", image, landmarks=landmarks)


@pytest.fixture
def pair():
    fixed = case({"a": (5, 12, 8), "b": (9, 10, 14), "fixed alone": (2, 2, 2)})
    moving = case({"b": (10, 10, 14), "a": (6, 12, 8), "moving alone": (3, 3, 3)})
    return fixed, moving


@pytest.fixture
def rows():
    """Before, and a field that takes every point one voxel (4 mm) along the first array axis."""
    step = np.diff(TURNED.index_to_physical(np.array([[0, 0, 0], [1, 0, 0]])), axis=0)
    still = DisplacementField.identity(TURNED)
    moved = DisplacementField(np.broadcast_to(step, still.vectors.shape).astype("f4"), TURNED)
    spread = Image(np.full(TURNED.shape, 0.5, np.float32), TURNED)
    return [Registered("Before", still, None), Registered("Network", moved, spread)]


def test_shared_landmarks_are_drawn_where_the_field_takes_them(pair, rows):
    figure = compose(*pair, rows, "coronal")
    panels = [axes for axes in figure.axes if axes.get_ylabel() in ("Before", "Network")]
    before, after = (
        np.asarray(panel.collections[0].get_segments()) for panel in panels
    )  # (landmark, end, (right, down))
    assert before.shape == (2, 2, 2)
    np.testing.assert_allclose(np.linalg.norm(before[:, 1] - before[:, 0], axis=1), 4.0)
    np.testing.assert_allclose(after[:, 1], before[:, 1])
    np.testing.assert_allclose(after[:, 0], after[:, 1], atol=1e-4)
    for panel, error in zip(panels, ("4.0 mm", "0.0 mm"), strict=True):
        assert error in [text.get_text() for text in panel.texts]


def test_without_a_spread_there_is_no_column_for_it(pair, rows):
    figure = compose(*pair, rows[:1], "coronal")
    assert "Spread" not in [axes.get_title() for axes in figure.axes]


def test_the_figure_is_written(pair, rows, tmp_path):
    paths = landmarks_figure(*pair, rows, tmp_path / "landmarks")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    assert paths[0].stat().st_size > 20_000


def test_cases_without_a_common_landmark_are_refused(pair, rows, tmp_path):
    other = case({"elsewhere": (4, 4, 4)})
    with pytest.raises(WarplineError, match="share no landmark"):
        landmarks_figure(pair[0], other, rows, tmp_path / "none")
