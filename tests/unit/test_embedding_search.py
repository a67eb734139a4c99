"""Displacement maps beside a brute-force loop, in any chunks; soft-argmin and clipping."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.registration.embedding.search import (
    clipped,
    displacement_maps,
    displacements,
    equalise,
    soft_argmin,
    to_one_depth,
)

torch.set_num_threads(1)
SHAPE = (9, 8, 10)


def features(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, *SHAPE, generator=torch.Generator().manual_seed(seed))


def some_points(number: int = 7) -> torch.Tensor:
    """Corners among them: there the search leaves the image."""
    rng = np.random.default_rng(0)
    points = rng.integers(0, SHAPE, (number, 3))
    points[0], points[1] = 0, np.array(SHAPE) - 1
    return torch.from_numpy(points)


def brute(fixed, moving, points, radius: int, step: float, patch: int) -> np.ndarray:
    """One voxel of one patch at a time, in double precision, moving features by SciPy."""
    fixed, moving = fixed[0].double().numpy(), moving[0].double().numpy()
    last = np.array(SHAPE) - 1
    reach = range(-(patch // 2), patch // 2 + 1)
    offsets = np.array([(z, y, x) for z in reach for y in reach for x in reach])
    moves = displacements(radius, step).double().numpy()
    maps = np.zeros((len(points), len(moves)))
    for i, point in enumerate(points.numpy()):
        for offset in offsets:
            f = fixed[:, *np.clip(point + offset, 0, last)]
            there = np.clip(point + offset + moves, 0, last)
            for channel, value in zip(moving, f, strict=True):
                m = ndimage.map_coordinates(channel, there.T, order=1)
                maps[i] += (m - value) ** 2
    return maps


@pytest.mark.parametrize(
    ("radius", "step", "patch"), [(2, 1, 1), (3, 1, 3), (2, 2, 3), (3, 0.5, 3), (2, 1 / 3, 5)]
)
def test_against_brute_force(radius, step, patch):
    fixed, moving, points = features(0), features(1), some_points()
    found = displacement_maps(fixed, moving, points, radius=radius, step=step, patch=patch)
    expected = brute(fixed, moving, points, radius, step, patch)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("step", [1, 0.5])
def test_in_any_chunks_it_is_the_same_bit_for_bit(step):
    fixed, moving, points = features(0), features(1), some_points(23)
    arguments = {"radius": 3, "step": step, "patch": 3}
    whole = displacement_maps(fixed, moving, points, memory_mb=500, **arguments)
    for memory_mb in (0.001, 1.0, 3.0):
        part = displacement_maps(fixed, moving, points, memory_mb=memory_mb, **arguments)
        assert torch.equal(part, whole)


def test_a_shifted_image_is_found_at_its_shift():
    fixed = torch.rand(1, 12, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    moving = fixed.roll((2, -1, 3), dims=(2, 3, 4))
    points = torch.tensor([[7, 8, 6], [6, 7, 8]])
    maps = displacement_maps(fixed, moving, points, radius=4)
    moves = displacements(4)
    best = maps.argmin(dim=1)
    assert moves[best].tolist() == [[2, -1, 3]] * 2
    assert float(maps.min()) < 1e-4
    assert not clipped(maps, 4).any()
    # Within a search too short the least entry lies at its border: the sum is over all or nothing.
    assert clipped(displacement_maps(fixed, moving, points, radius=3), 3).all()


def test_a_single_low_entry_gives_its_displacement_exactly():
    moves = displacements(3, 0.5)
    rows = torch.tensor([0, 17, 171, 342])
    maps = torch.full((4, 343), 50.0)
    maps[torch.arange(4), rows] = 0
    assert torch.equal(soft_argmin(maps, moves, 0.1), moves[rows])
    assert clipped(maps, 3).tolist() == [True, True, False, True]
    assert moves[171].tolist() == [0, 0, 0]


def test_a_bowl_gives_its_minimum():
    """exp(−|d − c|² / T) on a lattice has its mean at c, whatever c, far from the border."""
    moves = displacements(10)
    centres = torch.tensor([[1.3, -2.75, 0.5], [0.0, 4.1, -3.9]])
    maps = ((moves[None] - centres[:, None]) ** 2).sum(-1)
    torch.testing.assert_close(soft_argmin(maps, moves, 2.0), centres, atol=1e-3, rtol=0)
    cold = soft_argmin(maps, moves, 1e-3)
    torch.testing.assert_close(cold[1], torch.tensor([0.0, 4.0, -4.0]))
    # In mm, along the axes of an oblique grid: the mean goes through any linear map.
    matrix = torch.tensor([[0.9, 0.1, 2.0], [1.5, 0.2, -0.3], [0.0, 3.0, 0.4]])
    found = soft_argmin(maps, moves @ matrix.T, 2.0)
    torch.testing.assert_close(found, centres @ matrix.T, atol=5e-3, rtol=0)


def test_maps_of_one_depth_by_hand():
    """Mean 4 and least 1: a depth of 3."""
    maps = torch.tensor([[4.0, 1.0, 7.0, 4.0], [2.0, 2.0, 2.0, 2.0]])
    expected = torch.tensor([[0.0, -1.0, 1.0, 0.0], [0.0] * 4])
    torch.testing.assert_close(to_one_depth(maps), expected)
    torch.testing.assert_close(to_one_depth(0.01 * maps + 5), expected, atol=1e-4, rtol=0)


def test_search_around_other_centres_is_the_search_shifted():
    """Entry d around p + c is entry d + c around p."""
    fixed, moving = features(0), features(1)
    points, shift = torch.tensor([[4, 4, 5], [3, 4, 4]]), torch.tensor([[1, 0, -1], [0, -1, 1]])
    wide = displacement_maps(fixed, moving, points, radius=3).reshape(2, 7, 7, 7)
    found = displacement_maps(fixed, moving, points, centres=points + shift, radius=2)
    for k, (z, y, x) in enumerate(shift.tolist()):
        part = wide[k, 1 + z : 6 + z, 1 + y : 6 + y, 1 + x : 6 + x]
        torch.testing.assert_close(found[k].reshape(5, 5, 5), part)


def test_every_face_of_the_range_counts_as_border():
    for index in np.ndindex(5, 5, 5):
        one = torch.ones(5, 5, 5)
        one[index] = 0
        assert bool(clipped(one.reshape(1, -1), 2)) == any(i in (0, 4) for i in index)


@pytest.mark.parametrize("step", [0, -1, 0.7, 1.5])
def test_a_step_that_fits_no_lattice_is_refused(step):
    with pytest.raises(WarplineError, match="cannot take steps"):
        displacement_maps(features(0), features(1), some_points(), radius=2, step=step)


def test_an_even_patch_is_refused():
    with pytest.raises(WarplineError, match="no middle voxel"):
        displacement_maps(features(0), features(1), some_points(), radius=2, patch=2)


def test_equalised_maps_by_hand():
    """Of 4 entries half are at most 3: the unit is 3 − 1 = 2."""
    maps = torch.tensor([[5.0, 1.0, 3.0, 9.0], [2.0, 2.0, 2.0, 2.0]])
    found = equalise(maps, 0.5)
    expected = torch.tensor([[-math.exp(-2), -1.0, -math.exp(-1), -math.exp(-4)], [-1.0] * 4])
    torch.testing.assert_close(found, expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), gain=st.floats(0.01, 100), level=st.floats(0, 50))
def test_equalised_maps_know_no_scale_and_keep_the_order(seed, gain, level):
    maps = torch.rand(3, 27, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = equalise(maps, 0.1)
    torch.testing.assert_close(equalise(gain * maps + level, 0.1), found)
    assert torch.equal(found.argsort(dim=1), maps.argsort(dim=1))
