"""Synthetic pairs made with tensors against those of the CPU: the same fields, images and draws.

On the CPU here, and on a GPU where there is one.
"""

import numpy as np
import pytest
import torch
from schema_tools import sampling_of
from scipy import stats

from warpline.cases.case import Case
from warpline.images.grid import Grid, Image
from warpline.registration.synthetic import on_device, pairs
from warpline.registration.synthetic.patches import Sampling, draw_patches

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
GRID = Grid((33, 30, 28), (2.0, 2.5, 3.0), (1.0, 2.0, 3.0), (0, -1, 0, 0.6, 0, -0.8, 0.8, 0, 0.6))


def scan(seed=0):
    rng = np.random.default_rng(seed)
    return Image((300 * rng.standard_normal(GRID.shape)).astype(np.int16), GRID)


def lungs():
    mask = np.zeros(GRID.shape, np.uint8)
    mask[4:-4, 3:-3, 3:-3] = 1
    return Image(mask, GRID)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["low", "high"])
def test_a_seed_gives_the_same_field(name, device):
    expected = pairs.random_field(GRID, frequency=name, seed=5)
    found = on_device.random_field(GRID, name, 5, device).cpu().numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(12, 13, 14), (3, 9, 2), (1, 6, 7)])
def test_the_spline_is_that_of_scipy_up_to_and_beyond_the_border(shape, device):
    rng = np.random.default_rng(1)
    volume = rng.normal(size=shape).astype(np.float32)
    field = (3 * rng.normal(size=(3, *shape))).astype(np.float32)
    expected = pairs.warp_cubic(volume, field)
    found = on_device.warp_cubic(*(torch.from_numpy(a).to(device) for a in (volume, field)))
    np.testing.assert_allclose(found.cpu().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("deform", [False, True])
def test_without_noise_the_pair_is_the_same(deform, device):
    how = {"frequency": "medium", "seed": (3, 4), "deform_moving": deform}
    quiet = {"noise": 0.0, "moving_noise": 0.0}
    expected = pairs.synthetic_pair(scan(), lungs(), **how, **quiet)
    found = on_device.synthetic_pair(scan(), lungs(), **how, **quiet, device=device)
    for name in ("fixed", "moving"):
        there = getattr(expected, name).array
        np.testing.assert_allclose(getattr(found, name).cpu().numpy(), there, atol=0.1)  # of ±900
    np.testing.assert_allclose(found.displacement.cpu().numpy(), expected.displacement, atol=2e-5)
    assert (found.mask.cpu().numpy() != expected.mask.array).mean() < 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_the_noise_has_the_same_distribution(device):
    flat = Image(np.full((30, 30, 30), -800, np.int16), Grid((30, 30, 30)))
    expected = pairs.synthetic_pair(flat, frequency="low", seed=1)
    found = on_device.synthetic_pair(flat, frequency="low", seed=1, device=device)
    for name in ("fixed", "moving"):
        one, other = getattr(expected, name).array, getattr(found, name).cpu().numpy()
        # The moving image's noise is sampled by a spline, and so correlated: few independent ones.
        assert (
            stats.ks_2samp(one[::4, ::4, ::4].ravel(), other[::4, ::4, ::4].ravel()).pvalue > 0.01
        )
        assert other.std() == pytest.approx(one.std(), rel=0.03)
        along = [np.corrcoef(a[1:].ravel(), a[:-1].ravel())[0, 1] for a in (one, other)]
        assert along[0] == pytest.approx(along[1], abs=0.03)
    again = on_device.synthetic_pair(flat, frequency="low", seed=1, device=device)
    assert torch.equal(found.fixed, again.fixed)
    assert (
        abs(np.corrcoef(*(p.cpu().numpy().ravel() for p in (found.fixed, found.moving)))[0, 1])
        < 0.6
    )


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_patches_are_drawn(device):
    case = Case("c", scan(), mask=lungs())
    how = sampling_of(
        "synthetic", fields=3, patches=40, validation_patches=6, noise=0.0, in_memory=2
    )
    seeds = {"field_seed": (1, 2), "draw_seed": (3, 4)}
    by_cpu = draw_patches(case, 1, 40, Sampling(**how), **seeds)

    def made(image, mask, **more):
        return on_device.synthetic_pair(image, mask, **more)

    found = draw_patches(case, 1, 40, Sampling(**how), **seeds, device=device, make_pair=made)
    assert found.moving.device.type == device
    same = (found.middles.cpu() == by_cpu.middles).all(dim=1)
    assert same.float().mean() > 0.9  # but for a voxel at a class's limit
    away = (found.displacements.cpu() - by_cpu.displacements)[same].abs()
    assert away.max() < 1e-4
