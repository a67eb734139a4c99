"""Warping and its gradient beside plain sampling."""

import pytest
import torch

from warpline.fields.algebra import exponentiate
from warpline.fields.sampling import identity_grid, sample, warp


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_a_warp_are_those_of_plain_sampling(needs, batch, threads):
    """The warp computes its coordinates anew for the gradient: bit for bit the same."""
    torch.manual_seed(0)
    volume = torch.randn(batch, 2, 5, 6, 7)
    displacement = 3 * torch.randn(batch, 3, 4, 5, 6)
    weight = torch.randn(batch, 2, 4, 5, 6)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        results = []
        for function in (warp, lambda v, u: sample(v, identity_grid(u.shape[2:]) + u)):
            inputs = [
                part.clone().requires_grad_(needed)
                for part, needed in zip((volume, displacement), needs, strict=True)
            ]
            out = function(*inputs)
            (out * weight).sum().backward()
            results.append([out.detach(), *(part.grad for part in inputs)])
    finally:
        torch.set_num_threads(before)
    for ours, plain in zip(*results, strict=True):
        if plain is None:
            assert ours is None
        else:
            torch.testing.assert_close(ours, plain, rtol=0, atol=0)
            assert ours.any()


def test_gradient_of_the_exponential_is_that_in_double_precision():
    velocity = 0.7 * torch.randn(1, 3, 5, 4, 6, generator=torch.Generator().manual_seed(3))
    velocity.requires_grad_()
    weight = torch.randn(velocity.shape, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((exponentiate(velocity, 5) * weight).sum(), velocity)
    # Another test checks double precision against finite differences.
    double = velocity.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad((exponentiate(double, 5) * weight).sum(), double)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=1e-4)
