"""From points to a field: splatting by hand, constants, affine maps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warpline.registration.embedding.densify import densify, splat

torch.set_num_threads(1)


def test_splatting_by_hand():
    place = torch.tensor([[1.0, 2.0, 0.0], [0.5, 0.0, 1.75]])
    values = torch.tensor([[10.0, 1.0], [4.0, 0.0]])
    grid = splat(place, values, (2, 3, 3))[0]
    expected = np.zeros((2, 2, 3, 3))
    expected[:, 1, 2, 0] = 10, 1
    for z in (0, 1):
        expected[0, z, 0, 1], expected[0, z, 0, 2] = 4 * 0.5 * 0.25, 4 * 0.5 * 0.75
    np.testing.assert_allclose(grid.numpy(), expected, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    number=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_splatting_keeps_sums_and_moments(shape, number, seed):
    """The values' sum, and where they lie: Σ v·p is that of the points."""
    rng = np.random.default_rng(seed)
    place = torch.from_numpy(rng.uniform(0, 1, (number, 3)) * (np.array(shape) - 1))
    values = torch.from_numpy(rng.standard_normal((number, 2)))
    grid = splat(place, values, shape)[0]
    torch.testing.assert_close(grid.sum((1, 2, 3)), values.sum(0))
    nodes = torch.from_numpy(np.stack(np.indices(shape))).double()
    moments = torch.einsum("czyx,azyx->ca", grid, nodes)
    torch.testing.assert_close(moments, values.T @ place)


@pytest.mark.parametrize("corrections", [0, 2])
def test_a_constant_is_constant_everywhere(corrections):
    """Also far from every point: here they are in one corner of a long volume."""
    points = torch.from_numpy(np.random.default_rng(0).uniform(0, 6, (5, 3)))
    values = torch.tensor([3.0, -7.5, 0.25]).expand(5, 3)
    field = densify(points, values, (20, 33, 95), corrections)
    assert field.shape == (1, 3, 20, 33, 95)
    expected = torch.tensor([3.0, -7.5, 0.25])[None, :, None, None, None].expand_as(field)
    torch.testing.assert_close(field, expected, atol=1e-5, rtol=0)


def test_an_affine_field_is_reproduced_inside():
    """Random points, 1 in 100 voxels, displacements up to 9 voxels; 12 voxels from the faces."""
    shape = (60, 48, 66)
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(0, 1, (1900, 3)) * (np.array(shape) - 1)).float()
    matrix = torch.tensor([[0.1, 0.02, -0.03], [0.0, -0.1, 0.05], [0.04, 0.0, 0.08]])

    def affine(p: torch.Tensor) -> torch.Tensor:
        return p @ matrix.T + torch.tensor([1.0, -2.0, 0.5])

    nodes = torch.from_numpy(np.stack(np.indices(shape), -1)).float()
    truth = affine(nodes).permute(3, 0, 1, 2)[None]
    inside = (..., *[slice(12, -12)] * 3)
    errors = []
    for corrections in (0, 2):
        found = densify(points, affine(points), shape, corrections)
        errors.append(float((found - truth)[inside].norm(dim=1).mean()))
    assert max(errors) < 0.12


def test_corrections_bring_the_field_to_the_values_at_the_points():
    shape = (30, 33, 36)
    rng = np.random.default_rng(1)
    points = torch.from_numpy(rng.integers(0, shape, (300, 3))).float()
    values = 0.3 * points[:, :1] - 0.2 * points[:, 2:]
    missed = []
    for corrections in (0, 2, 8):
        field = densify(points, values, shape, corrections)[0, 0]
        missed.append(float((field[tuple(points.long().T)] - values[:, 0]).abs().mean()))
    assert missed[1] < 0.7 * missed[0]
    assert missed[2] < 0.7 * missed[1]


def test_one_point_is_the_field():
    field = densify(torch.tensor([[2.0, 3.0, 4.0]]), torch.tensor([[5.0]]), (1, 7, 40))
    torch.testing.assert_close(field, torch.full((1, 1, 1, 7, 40), 5.0))
