"""What a registration says for itself, and the lungs that it finds by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fieldtools import smooth_image

from warpline.images.grid import Grid, Image
from warpline.registration.variational.features import order_of_shades
from warpline.registration.variational.frame import read_scan
from warpline.registration.variational.inner import lungs_in
from warpline.registration.variational.sure import (
    LEAST,
    WEIGHTS,
    confidence,
    likeness_of,
    seen_of_result,
)

SHAPE = (16, 20, 18)


def test_what_is_common_is_a_share_of_the_variance():
    rng = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, 3, 30, 30, 30, generator=rng) for _ in range(2))
    weight = torch.ones(1, 1, 30, 30, 30)
    assert likeness_of(one, one, weight) == pytest.approx(1)
    assert likeness_of(one, other, weight) == pytest.approx(0, abs=0.02)
    assert likeness_of(one, -one, weight) == pytest.approx(-1, abs=0.01)
    # Of a signal and the same with as much noise, variances 1 and 2: 1 - 1 / 3.
    assert likeness_of(one, one + other, weight) == pytest.approx(2 / 3, abs=0.02)
    assert likeness_of(one, one, weight * 0) == 0
    assert likeness_of(torch.zeros_like(one), torch.zeros_like(one), weight) == 0


def test_a_result_tells_what_is_alike_and_how_much_it_stretches():
    grid = Grid(SHAPE, (2.0, 1.5, 3.0))
    image = torch.from_numpy(smooth_image(grid, seed=1).array.astype(np.float32))[None, None]
    known = torch.ones_like(image)
    spacing = grid.spacing[::-1]
    still = torch.zeros(1, 3, 8, 10, 9)
    told = seen_of_result((image, known), (image, known), still, spacing)
    assert told == pytest.approx({"likeness_after": 1, "strain": 0}, abs=1e-5)
    # 0.2 mm a mm along z of the component along y.
    z = torch.linspace(0, (SHAPE[0] - 1) * spacing[0], 8).view(8, 1, 1)
    velocity = torch.zeros(1, 3, 8, 10, 9)
    velocity[:, 1] = 0.2 * z
    told = seen_of_result((image, known), (image, known), velocity, spacing)
    assert told["strain"] == pytest.approx(0.2, rel=1e-5)
    assert told["likeness_after"] < 0.9


def test_confidence_is_a_logistic_curve_of_what_is_told():
    values = dict.fromkeys(WEIGHTS, 0.5) | {"other": 3.0}
    odds = WEIGHTS["constant"] + 0.5 * sum(w for n, w in WEIGHTS.items() if n != "constant")
    assert confidence(values) == pytest.approx(1 / (1 + np.exp(-odds)))
    assert confidence(values | {"likeness_after": 1.0}) > confidence(values)
    # What is worse than unlike is no less sure than that.
    assert confidence(values | {"likeness": -9.0}) == confidence(values | {"likeness": LEAST})
    assert 0 <= confidence(values | {"strain": 1e6}) < 1e-9


@pytest.mark.parametrize(
    ("shades", "expected"),
    [
        ((0.1, 0.5, 0.9), 1),
        ((0.9, 0.5, 0.1), 0),
        # The means 1, 0, 2 in order are ½, ½, 2: of a variance of 2 they explain 1.5.
        ((0.5, 0.0, 1.0), 0.75),
        ((0.4, 0.4, 0.4), 0),
    ],
)
def test_shades_in_order_explain_what_any_function_of_them_does(shades, expected):
    one = torch.zeros(1, 1, 12, 12, 12)
    one[:, :, 4:8], one[:, :, 8:] = 0.5, 1.0
    other = torch.zeros_like(one)
    other[:, :, :4], other[:, :, 4:8], other[:, :, 8:] = shades
    known = torch.ones_like(one)
    assert order_of_shades((one, known), (other, known)) == pytest.approx(expected, abs=1e-6)
    assert order_of_shades((other, known), (one, known)) == pytest.approx(expected, abs=1e-6)
    assert order_of_shades((one, known * 0), (other, known)) == 0


@pytest.fixture
def chest() -> Image:
    """A body of water with two lungs in air, HU; voxels of 5 × 4 × 5 mm."""
    grid = Grid((44, 50, 64), (5.0, 4.0, 5.0), (10.0, -5.0, 3.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in grid.shape), indexing="ij")
    values = np.full(grid.shape, -1000.0, np.float32)
    values[(y / 0.8) ** 2 + (x / 0.9) ** 2 < 1] = 100
    for side in (-0.42, 0.42):
        lung = (z / 0.8) ** 2 + (y / 0.5) ** 2 + ((x - side) / 0.3) ** 2 < 1
        values[lung] = -850
    return Image(values, grid)


def test_lungs_are_found_in_a_ct_of_the_chest_alone(chest):
    scans = [read_scan(chest, None)] * 2
    found = lungs_in([chest, chest], scans)
    known = found[0].known.array > 0
    lungs = chest.array == -850
    both = 2 * (known & lungs).sum() / (known.sum() + lungs.sum())
    assert both > 0.95
    assert found[0].image is scans[0].image
    magnetic = chest.with_array(chest.array + 1000)
    assert lungs_in([magnetic, magnetic], [read_scan(magnetic, None)] * 2) is None
    solid = chest.with_array(np.where(lungs, 100, chest.array).astype(np.float32))
    assert lungs_in([chest, solid], [scans[0], read_scan(solid, None)]) is None
