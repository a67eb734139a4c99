"""Fields at half resolution: the spline, what comes back, and who stays whole."""

import re

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from warpline.fields import halved
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.plan.inputs import fields
from warpline.plan.places import Places, project_folder
from warpline.plan.run import Run

OBLIQUE = (0.0, -1.0, 0.0, 0.6, 0.0, -0.8, 0.8, 0.0, 0.6)


def smooth(shape, amplitude=8.0):
    """A field of a few waves over the grid, in mm."""
    grid = Grid(shape, (0.9, 1.4, 2.5), (-10.0, 20.0, 5.0), OBLIQUE)
    axes = np.stack(np.meshgrid(*[np.linspace(0, 1, n) for n in shape], indexing="ij"), -1)
    waves = np.sin(2 * np.pi * axes @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0.5, 0, 1]]))
    return DisplacementField((amplitude * waves).astype(np.float32), grid)


@pytest.mark.parametrize("size", [6, 8, 33])
def test_the_spline_between_the_points_is_the_cubic_one(size):
    knots = size // 2 + 1
    values = np.random.default_rng(size).normal(size=knots)
    places = np.linspace(0, knots - 1, size)
    expected = CubicSpline(np.arange(knots), values, bc_type="not-a-knot")(places)
    np.testing.assert_allclose(halved._spline(size) @ values, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 33, 26), (41, 1, 2)])
def test_the_halved_grid_has_the_same_corners(shape):
    grid = Grid(shape, (0.9, 1.4, 2.5), (-10.0, 20.0, 5.0), OBLIQUE)
    half = halved.halved_grid(grid)
    assert half.shape == tuple(n // 2 + 1 for n in shape)
    ends = [np.array(g.shape) - 1 for g in (grid, half)]
    if min(shape) > 1:
        np.testing.assert_allclose(
            *(g.index_to_physical(end) for g, end in zip((grid, half), ends, strict=True))
        )


def test_a_smooth_field_is_kept_in_a_fraction_and_comes_back(tmp_path):
    field = smooth((64, 60, 48))
    for name, half in (("whole", False), ("half", True)):
        halved.write_kept(tmp_path / f"{name}.nii.gz", field, halved=half)
    kept = read_field(tmp_path / "half.nii.gz")
    assert kept.grid.shape == (33, 31, 25)
    # 0.9 mm in 2048 parts is 4.4e-4 mm: the next power of two is 2^-12.
    assert (kept.vectors * 2**12 == np.rint(kept.vectors * 2**12)).all()
    assert (kept.vectors * 2**11 != np.rint(kept.vectors * 2**11)).any()
    back = halved.read_kept(tmp_path / "half.nii.gz", field.grid)
    assert back.grid == field.grid
    away = np.linalg.norm(back.vectors - field.vectors, axis=-1)
    assert np.quantile(away, halved.SHARE) < halved.TOLERANCE * 0.9
    sizes = [(tmp_path / f"{name}.nii.gz").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < sizes[1] / 5
    # One that is whole is read as it is.
    same = halved.read_kept(tmp_path / "whole.nii.gz", field.grid)
    np.testing.assert_array_equal(same.vectors, field.vectors)


def test_a_rough_field_stays_whole(tmp_path):
    field = smooth((20, 20, 20))
    rough = field.vectors + np.random.default_rng(0).normal(0, 0.1, field.vectors.shape)
    assert halved.halve(DisplacementField(rough.astype(np.float32), field.grid)) is None
    halved.write_kept(tmp_path / "f.nii.gz", DisplacementField(rough, field.grid), halved=True)
    np.testing.assert_array_equal(read_field(tmp_path / "f.nii.gz").vectors, np.float32(rough))


@pytest.mark.parametrize(
    ("policy", "drawn", "other"),
    [("all", True, True), ("shown", True, False), ("none", False, False)],
)
def test_fields_stay_by_policy(policy, drawn, other):
    run = Run({"papers": ["bouabid2019"], "keep_fields": policy}, Places.here(project_folder()))
    shown, training = fields.drawn_folders(run), "luna16/bouabid2019-cc/train"
    assert shown
    assert training not in shown
    for folder, stays in ((shown[0], drawn), (training, other)):
        for rule, expected in ((fields.that_stay, stays), (fields.that_go, not stays)):
            found = re.fullmatch(f"r/fields/(?P<dataset>{rule(run)})/.*", f"r/fields/{folder}/all")
            assert bool(found) is expected
            if found:
                assert found["dataset"] == folder.split("/")[0]
