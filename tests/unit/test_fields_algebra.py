"""Composition, inversion, exponential, Jacobian and integration of voxel displacements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fieldtools import smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from warpline.fields import algebra
from warpline.fields.integration import integrate_gradients
from warpline.fields.sampling import identity_grid, sample, warp

SHAPE = (13, 16, 15)


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)


@given(seed=st.integers(0, 10_000), sizes=st.tuples(*[st.integers(2, 9)] * 3))
@settings(max_examples=25, deadline=None)
def test_composing_with_the_identity_changes_nothing(seed, sizes):
    displacement = smooth(sizes, amplitude=2.0, sigma=1.0, seed=seed)
    identity = torch.zeros_like(displacement)
    for composed in (
        algebra.compose(displacement, identity),
        algebra.compose(identity, displacement),
    ):
        assert torch.allclose(composed, displacement, atol=1e-5)
    assert algebra.compose(identity, identity).abs().max() == 0


def test_composition_is_the_map_after_the_map():
    outer, inner = smooth(SHAPE, 2.0, seed=1).double(), smooth(SHAPE, 1.0, seed=2).double()
    composed = algebra.compose(outer, inner)
    x = identity_grid(SHAPE, dtype=torch.float64)
    inside = x + inner
    expected = inside + sample(outer, inside)
    assert torch.allclose(x + composed, expected, atol=1e-9)


def test_composition_of_translations_is_their_sum_up_to_the_border():
    one = torch.tensor([1.5, -2.0, 0.25]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    two = torch.tensor([-0.5, 3.0, 4.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    assert torch.allclose(algebra.compose(one, two), one + two, atol=1e-6)


def test_composition_takes_grids_of_different_sizes():
    outer = torch.full((1, 3, 5, 6, 7), 0.5)
    inner = torch.zeros(1, 3, 9, 8, 10)
    assert algebra.compose(outer, inner).shape == inner.shape


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_inverse_undoes_the_map(seed):
    displacement = smooth((12, 13, 14), amplitude=2.0, sigma=3.0, seed=seed)
    inverse, residual = algebra.invert(displacement, tolerance=1e-4)
    assert residual.max() <= 1e-4
    # T(T⁻¹(x)) = x is what the residual measures; T⁻¹(T(x)) = x is not, but must hold too.
    back = algebra.compose(inverse, displacement)[..., 3:-3, 3:-3, 3:-3]
    assert back.abs().max() < 0.15


def test_inverse_of_a_strong_stretch_needs_the_damping():
    # T(x) = 3.5 x about the centre: the plain fixed point diverges as 2.5 to the n.
    x = identity_grid((9, 9, 41), dtype=torch.float64)
    stretch = torch.zeros_like(x)
    stretch[:, 2] = 2.5 * (x[:, 2] - 20)
    inverse, residual = algebra.invert(stretch)
    assert residual.max() <= 1e-3
    expected = (x[:, 2] - 20) / 3.5 - (x[:, 2] - 20)
    assert torch.allclose(inverse[:, 2], expected, atol=2e-3)


def test_inverting_a_fold_warns():
    displacement = torch.zeros(1, 3, 9, 9, 41)
    displacement[:, 2] = -2.0 * (identity_grid((9, 9, 41))[:, 2] - 20).clamp(-4, 4)
    with pytest.warns(RuntimeWarning, match="folds at"):
        inverse, _ = algebra.invert(displacement)
    assert torch.isfinite(inverse).all()


def test_a_plane_is_a_fold_and_what_is_as_near_as_asked_is_near_enough(recwarn):
    flat = torch.zeros(1, 3, 4, 5, 6)
    residual = torch.full((1, 4, 5, 6), 0.125)
    algebra._warn_if_no_inverse(flat, residual, 0.125)
    assert not recwarn.list
    flat[:, 0] = -identity_grid((4, 5, 6))[:, 0]  # all slices fall into one
    with pytest.warns(RuntimeWarning, match=r"it folds at 24 voxels\."):
        algebra._warn_if_no_inverse(flat, residual, 0.125)


def test_inverting_too_briefly_warns_and_says_where():
    with pytest.warns(RuntimeWarning, match="residual .* at index"):
        _, residual = algebra.invert(smooth(SHAPE, 2.0), iterations=1, tolerance=1e-4)
    assert residual.max() > 1e-4


def test_inverting_not_a_number_warns():
    displacement = torch.zeros(1, 3, 4, 4, 4)
    displacement[0, 0, 1, 1, 1] = torch.nan
    with pytest.warns(RuntimeWarning, match="residual nan"):
        algebra.invert(displacement)


@given(
    vector=st.tuples(*[st.floats(-3, 3, width=32)] * 3),
    steps=st.integers(0, 8),
)
@settings(max_examples=25, deadline=None)
def test_exponential_of_a_constant_is_a_translation(vector, steps):
    velocity = torch.tensor(vector).reshape(1, 3, 1, 1, 1).expand(1, 3, 6, 7, 8)
    assert torch.allclose(algebra.exponentiate(velocity, steps), velocity, atol=1e-5)


def test_exponential_of_minus_v_is_the_inverse():
    velocity = smooth((20, 21, 22), amplitude=2.0, sigma=3.0)
    both = algebra.compose(algebra.exponentiate(velocity), algebra.exponentiate(-velocity))
    assert both[..., 3:-3, 3:-3, 3:-3].abs().max() < 0.06


def test_exponential_of_a_linear_velocity_is_known():
    # dx/dt = a (x - c) has the flow c + exp(a) (x - c).
    x = identity_grid((5, 5, 61), dtype=torch.float64)
    velocity = torch.zeros_like(x)
    velocity[:, 2] = 0.2 * (x[:, 2] - 30)
    displacement = algebra.exponentiate(velocity, steps=10)
    expected = (np.exp(0.2) - 1) * (x[:, 2] - 30)
    assert torch.allclose(displacement[:, 2, ..., 10:-10], expected[..., 10:-10], atol=5e-3)


def test_jacobian_of_an_affine_map_is_its_determinant():
    rng = np.random.default_rng(0)
    matrix = torch.from_numpy(rng.uniform(-0.4, 0.4, (3, 3)))
    x = identity_grid(SHAPE, dtype=torch.float64)
    displacement = torch.einsum("cj,bjzyx->bczyx", matrix, x)
    determinant = algebra.jacobian_determinant(displacement)
    assert determinant.shape == (1, *(n - 2 for n in SHAPE))
    expected = torch.linalg.det(torch.eye(3, dtype=torch.float64) + matrix)
    assert torch.allclose(determinant, expected.expand_as(determinant), atol=1e-9)


def test_jacobian_of_a_mirrored_axis_is_negative():
    x = identity_grid(SHAPE)
    displacement = torch.zeros_like(x)
    displacement[:, 1] = -2 * x[:, 1]
    assert torch.allclose(algebra.jacobian_determinant(displacement), torch.tensor(-1.0))


def test_everything_has_gradients():
    velocity = (smooth((4, 5, 4), 0.6, 1.0).double() + 0.013).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: algebra.exponentiate(v, 2), velocity)
    assert torch.autograd.gradcheck(algebra.jacobian_determinant, velocity)


@pytest.mark.parametrize("size", [3, 64, 256])
def test_unit_gradients_integrate_to_the_identity(size):
    gradients = 2 * torch.sigmoid(torch.zeros(1, 3, size, 4, size))
    displacement = integrate_gradients(gradients)
    assert displacement.abs().max() <= 1e-6
    volume = torch.rand(1, 1, size, 4, size)
    assert torch.allclose(warp(volume, displacement), volume, atol=1e-4)


def test_integration_follows_the_papers_formula():
    # Estienne et al.: normalised coordinate (2 cumsum(g) - 2)/(N - 1) - 1, g = 2 sigmoid.
    gradients = 2 * torch.sigmoid(torch.randn(2, 3, 7, 8, 9, dtype=torch.float64))
    displacement = integrate_gradients(gradients)
    for axis, size in enumerate((7, 8, 9)):
        normalised = (2 * gradients[:, axis].cumsum(axis + 1) - 2) / (size - 1) - 1
        voxel = (normalised + 1) * (size - 1) / 2
        coordinate = identity_grid((7, 8, 9), dtype=torch.float64)[:, axis] + displacement[:, axis]
        assert torch.allclose(coordinate, voxel, atol=1e-9)


def test_integrated_coordinates_grow_and_have_gradients():
    gradients = 2 * torch.sigmoid(5 * torch.randn(1, 3, 5, 6, 7, dtype=torch.float64))
    coordinates = identity_grid((5, 6, 7), dtype=torch.float64) + integrate_gradients(gradients)
    for axis in range(3):
        assert (coordinates[:, axis].diff(dim=axis + 1) > 0).all()
    small = torch.rand(1, 3, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(integrate_gradients, small)
