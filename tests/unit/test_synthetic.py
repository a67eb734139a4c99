"""Random fields and the pairs made with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.fields.algebra import jacobian_determinant
from warpline.fields.sampling import warp
from warpline.images.grid import Grid, Image
from warpline.registration.synthetic import pairs as synthetic
from warpline.registration.synthetic.pairs import (
    FREQUENCIES,
    Frequency,
    field_statistics,
    random_field,
    synthetic_pair,
    warp_cubic,
)

GRID = Grid((40, 48, 56), spacing=(3.0, 3.5, 5.0))


def waves(index: np.ndarray) -> np.ndarray:
    """A smooth image in closed form: HU at continuous indices (3, …)."""
    z, y, x = index
    return -400 + 300 * np.sin(0.21 * z + 1) * np.cos(0.17 * y) + 200 * np.sin(0.15 * x + 0.05 * y)


def scan(shape=(40, 44, 48)) -> Image:
    return Image(waves(np.indices(shape).astype(float)), Grid(shape, spacing=(2.0, 2.0, 2.5)))


@pytest.mark.parametrize("name", FREQUENCIES)
def test_each_component_reaches_the_amplitude_in_mm(name):
    field = random_field(GRID, frequency=name, seed=3)
    assert field.shape == (3, *GRID.shape)
    assert field.dtype == np.float32
    mm = field * np.reshape(GRID.spacing[::-1], (3, 1, 1, 1))
    assert np.abs(mm).max(axis=(1, 2, 3)) == pytest.approx([8, 8, 8], rel=1e-5)


def test_one_point_makes_a_gaussian_of_the_stated_width_in_mm():
    setting = Frequency(sigma=30.0, points=1, amplitude=5.0)
    field = random_field(GRID, frequency=setting, seed=4)
    for axis, step in enumerate(GRID.spacing[::-1]):
        # The logarithm of a Gaussian is a parabola: its second difference is −(step/σ)².
        curvature = np.diff(np.log(np.abs(field[0])), 2, axis=axis).mean()
        assert curvature == pytest.approx(-((step / 30) ** 2), rel=1e-2)


def test_a_field_is_the_same_on_a_finer_grid():
    fine = Grid((79, 95, 111), spacing=(1.5, 1.75, 2.5))
    coarse_field = random_field(GRID, frequency="high", seed=8)
    fine_field = random_field(fine, frequency="high", seed=8)[:, ::2, ::2, ::2] / 2
    assert np.abs(fine_field - coarse_field).max() < 0.02 * np.abs(coarse_field).max()


def test_slabs_do_not_show(monkeypatch):
    whole = random_field(GRID, frequency="medium", seed=1)
    monkeypatch.setattr(synthetic, "SLAB", 5000)
    np.testing.assert_allclose(random_field(GRID, frequency="medium", seed=1), whole, atol=1e-5)


def test_higher_frequencies_have_steeper_slopes_and_none_folds():
    grid = Grid((60, 60, 60), spacing=(4.0, 4.0, 4.0))
    slopes = []
    for name in FREQUENCIES:
        fields = [random_field(grid, frequency=name, seed=seed) for seed in range(6)]
        determinant = jacobian_determinant(torch.from_numpy(np.stack(fields)))
        assert determinant.min() > 0.05
        slopes.append(np.mean([np.square(np.gradient(f, axis=(1, 2, 3))).mean() for f in fields]))
    assert slopes[0] < slopes[1] < slopes[2]


def test_the_seed_decides():
    one = random_field(GRID, frequency="low", seed=5)
    assert np.array_equal(one, random_field(GRID, frequency="low", seed=5))
    assert not np.allclose(one, random_field(GRID, frequency="low", seed=6), atol=0.1)


def test_an_unknown_frequency_is_refused():
    with pytest.raises(WarplineError, match="Did you mean 'high'"):
        random_field(GRID, frequency="hihg", seed=1)


def test_the_fixed_image_shows_what_stands_at_the_displaced_point():
    """In closed form, so that no interpolation has a say in which image is warped by what."""
    image = scan()
    pair = synthetic_pair(image, frequency="medium", seed=2, deform_moving=False, noise=0.0)
    assert np.array_equal(pair.moving.array, image.array.astype(np.float32))
    where = np.indices(image.grid.shape) + pair.displacement
    last = np.reshape(image.grid.shape, (3, 1, 1, 1)) - 1
    inside = ((where >= 3) & (where <= last - 3)).all(axis=0)
    assert inside.mean() > 0.5
    difference = np.abs(pair.fixed.array - waves(where))[inside]
    assert difference.max() < 0.5
    backwards = np.abs(pair.fixed.array - waves(np.indices(image.grid.shape) - pair.displacement))
    assert backwards[inside].mean() > 50


def test_warping_the_moving_image_gives_the_fixed_one():
    pair = synthetic_pair(scan(), frequency="high", seed=7, noise=0.0, moving_noise=0.0)
    moving = torch.from_numpy(pair.moving.array)[None, None]
    warped = warp(moving, torch.from_numpy(pair.displacement)[None])[0, 0].numpy()
    assert np.abs(warped - pair.fixed.array).max() < 12  # linear against cubic
    assert np.abs(warped - pair.fixed.array).mean() < 2
    assert np.abs(pair.moving.array - pair.fixed.array).mean() > 30


def test_the_moving_image_is_deformed_first():
    image = scan()
    one = synthetic_pair(image, frequency="low", seed=7, noise=0.0, moving_noise=0.0)
    other = synthetic_pair(image, frequency="low", seed=7, noise=0.0, deform_moving=False)
    assert np.abs(one.moving.array - image.array).mean() > 50
    assert np.array_equal(one.displacement, other.displacement)


def test_landmarks_follow_the_field():
    shape = (48, 48, 48)
    index = np.indices(shape)
    centre = np.array([22.0, 26.0, 20.0])
    blob = np.exp(-(((index - centre.reshape(3, 1, 1, 1)) ** 2).sum(0)) / (2 * 2.0**2))
    image = Image(1000 * blob, Grid(shape, spacing=(2.0, 2.0, 2.0)))
    pair = synthetic_pair(image, frequency="low", seed=11, noise=0.0, moving_noise=0.0)
    seen, goal = (
        np.array(ndimage.center_of_mass(np.where(part.array > 100, part.array, 0)))
        for part in (pair.fixed, pair.moving)
    )
    moved = [
        seen[k] + ndimage.map_coordinates(pair.displacement[k], seen[:, None], order=1)[0]
        for k in range(3)
    ]
    assert np.linalg.norm(seen - goal) > 0.5
    assert moved == pytest.approx(goal, abs=0.15)


def test_noise_is_as_wide_as_stated():
    flat = Image(np.full((40, 40, 40), -800, np.int16), Grid((40, 40, 40)))
    pair = synthetic_pair(flat, frequency="low", seed=1)
    assert pair.moving.array.std() == pytest.approx(3, rel=0.02)
    # The fixed image has its own noise, and the moving one's, which sampling has smoothed.
    added = synthetic_pair(flat, frequency="low", seed=1, moving_noise=0.0)
    assert added.fixed.array.std() == pytest.approx(5, rel=0.02)
    assert 5 < pair.fixed.array.std() < np.hypot(5, 3) * 1.02


def test_the_mask_goes_along():
    image = scan()
    inside = image.with_array((image.array > -400).astype(np.uint8))
    pair = synthetic_pair(image, inside, frequency="low", seed=5, noise=0.0)
    assert pair.mask.array.dtype == bool
    agree = (pair.fixed.array > -400) == pair.mask.array
    assert agree.mean() > 0.97
    assert ((pair.fixed.array > -400) == (inside.array > 0)).mean() < 0.9
    assert synthetic_pair(image, frequency="low", seed=5).mask is None


def test_threads_and_slabs_do_not_change_the_pair(monkeypatch):
    one = synthetic_pair(scan(), frequency="high", seed=9)
    two = synthetic_pair(scan(), frequency="high", seed=9, threads=2)
    monkeypatch.setattr(synthetic, "SLAB", 10_000)
    many = warp_cubic(one.moving.array, one.displacement, threads=3)
    assert np.array_equal(one.fixed.array, two.fixed.array)
    np.testing.assert_array_equal(many, warp_cubic(one.moving.array, one.displacement))


def test_points_outside_take_the_value_of_the_border():
    volume = np.linspace(0, 1, 20, dtype=np.float32)[:, None, None] * np.ones((20, 8, 8))
    away = np.zeros((3, 20, 8, 8), np.float32)
    away[0] = 50
    assert warp_cubic(volume, away) == pytest.approx(1, abs=1e-5)
    assert warp_cubic(volume, -away) == pytest.approx(0, abs=1e-5)


def test_the_spline_goes_through_the_voxels():
    volume = np.random.default_rng(0).normal(size=(12, 13, 14)).astype(np.float32)
    still = np.zeros((3, 12, 13, 14), np.float32)
    np.testing.assert_allclose(warp_cubic(volume, still), volume, atol=1e-5)


def test_statistics_of_a_plane_wave():
    """12 mm along x, once every 37 mm, on a grid whose axes have three spacings."""
    grid = Grid((30, 40, 96), spacing=(2.5, 3.0, 4.0))
    x = np.arange(96) * 2.5
    wave = np.zeros((3, *grid.shape), np.float32)
    wave[2] = 12 / 2.5 * np.sin(2 * np.pi * x / 37)
    found = field_statistics(wave, grid, bins=24, limit=12.0)
    assert (found.density * np.diff(found.edges)).sum() == pytest.approx(1)
    # |sin| is below a half for a third of its period.
    assert (found.density * np.diff(found.edges))[:12].sum() == pytest.approx(1 / 3, abs=0.03)
    assert found.power.sum() == pytest.approx(1)
    peak = found.frequencies[found.power.argmax()]
    assert peak == pytest.approx(1 / 37, abs=0.6 * found.frequencies[1])
    assert found.power[np.abs(found.frequencies - 1 / 37) < 0.015].sum() > 0.95


def test_higher_frequencies_show_in_the_spectrum():
    grid = Grid((50, 50, 60), spacing=(5.0, 5.0, 5.0))
    means = []
    for name in FREQUENCIES:
        found = field_statistics(random_field(grid, frequency=name, seed=1), grid)
        means.append((found.frequencies * found.power).sum())
    assert means[0] < means[1] < means[2]
