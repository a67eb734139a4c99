"""Warping and its gradient beside plain sampling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from warpline.fields.algebra import exponentiate
from warpline.fields.filters import box_sum, mean_along, mean_over_cube
from warpline.fields.sampling import identity_grid, sample, warp
from warpline.registration.variational.velocity import along, shrunk


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


@pytest.mark.parametrize("width", [1, 3, 5, 7, 9, 11, 17])
@pytest.mark.parametrize("axis", [2, 3, 4])
def test_the_mean_along_an_axis_is_that_of_pooling(width, axis):
    volume = torch.rand(2, 3, 9, 6, 7, generator=torch.Generator().manual_seed(width))
    kernel, margin = [1, 1, 1], [0] * 6
    kernel[axis - 2] = width
    margin[2 * (4 - axis)] = margin[2 * (4 - axis) + 1] = width // 2
    pooled = F.avg_pool3d(F.pad(volume, margin, mode="replicate"), kernel, stride=1)
    before = volume.clone()
    assert torch.allclose(mean_along(volume, axis, width), pooled, rtol=0, atol=1e-6)
    assert torch.equal(volume, before)


@pytest.mark.parametrize("window", [3, 5])
def test_box_sum_is_a_plain_window_sum(window):
    image = torch.rand(2, 1, 7, 9, 8, generator=torch.Generator().manual_seed(0))
    direct = ndimage.uniform_filter(image[0, 0].numpy(), window, mode="constant") * window**3
    np.testing.assert_allclose(box_sum(image, window)[0, 0], direct, rtol=1e-4, atol=1e-4)


def test_learning_through_the_nearest_voxel_moves_what_is_read_and_not_the_place():
    volume = torch.rand(1, 2, 5, 6, 7, generator=torch.Generator().manual_seed(1))
    shift = torch.tensor([1.2, -0.9, 2.1]).view(1, 3, 1, 1, 1).expand(1, 3, 5, 6, 7)
    volume.requires_grad_()
    read = warp(volume, shift, "nearest")
    torch.testing.assert_close(read[..., :4, 1:, :5], volume[..., 1:, :5, 2:])
    read.sum().backward()
    assert float(volume.grad.sum()) == 2 * 5 * 6 * 7
    assert float(volume.grad[0, 0, 0].sum()) == 0  # nobody reads the first slice


def test_the_mean_over_a_cube_of_a_point_is_a_cube():
    volume = torch.zeros(1, 1, 7, 7, 7)
    volume[0, 0, 3, 3, 3] = 27
    mean = mean_over_cube(volume, 3)[0, 0]
    assert torch.allclose(mean[2:5, 2:5, 2:5], torch.ones(3, 3, 3))
    assert float(mean.sum()) == pytest.approx(27)


def test_places_of_an_axis_are_read_linearly():
    line = torch.arange(6.0).square().reshape(1, 1, 6, 1, 1).expand(1, 2, 6, 3, 2)
    places = torch.tensor([0, 0.5, 2, 4.25, 5], dtype=torch.float64)
    assert along(line, 2, places)[0, 1, :, 2, 1].tolist() == [0, 0.5, 4, 18.25, 25]
    assert along(line[:, :, :1], 2, torch.zeros(1, dtype=torch.float64)).shape == (1, 2, 1, 3, 2)


@pytest.mark.parametrize("shape", [(9, 11, 13), (5, 6, 7), (3, 11, 5), (9, 21, 13)])
def test_a_smaller_volume_keeps_straight_lines_and_is_read_as_torch_reads(shape):
    z, y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in (9, 11, 13)), indexing="ij")
    volume = (z + 2 * y - x)[None, None]
    found = shrunk(volume, shape)
    z, y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in shape), indexing="ij")
    inner = (slice(None), slice(None), *(slice(1, -1),) * 3)  # smoothing bends the faces
    assert found.shape[2:] == shape
    assert torch.allclose(found[inner], (z + 2 * y - x)[None, None][inner], atol=0.06)
    if min(shape) >= 9:  # nothing shrinks
        known = F.interpolate(volume, size=shape, mode="trilinear", align_corners=True)
        assert torch.allclose(found, known, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 4, 3), (5, 3, 7)])
def test_two_threads_sample_what_one_does(shape):
    volume = torch.rand(1, 2, 7, 6, 5, generator=torch.Generator().manual_seed(0))
    places = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)) * 6 - 0.5
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(sample(volume, places))
    finally:
        torch.set_num_threads(before)
    assert found[0].shape == (1, 2, *shape)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
