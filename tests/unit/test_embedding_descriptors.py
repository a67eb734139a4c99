"""MIND-SSC beside a direct loop, and what it must not depend on."""

from itertools import product

import numpy as np
import pytest
import torch

from warpline.registration.embedding.descriptors import PAIRS, mind_ssc, pooled_mind_ssc

torch.set_num_threads(1)


def direct(array: np.ndarray, radius: int, dilation: int) -> np.ndarray:
    """Voxel by voxel; a patch beyond the volume holds the differences at its border."""
    values, last = array.tolist(), [size - 1 for size in array.shape]

    def inside(index) -> list[int]:
        return [min(max(i, 0), end) for i, end in zip(index, last, strict=True)]

    def at(voxel, offset) -> float:
        z, y, x = inside(v + dilation * o for v, o in zip(voxel, offset, strict=True))
        return values[z][y][x]

    steps = list(product(range(-radius, radius + 1), repeat=3))
    distance = np.zeros((12, *array.shape))
    for index in product(*map(range, array.shape)):
        patch = [inside(i + s for i, s in zip(index, step, strict=True)) for step in steps]
        for k, (a, b) in enumerate(PAIRS):
            total = sum((at(voxel, a) - at(voxel, b)) ** 2 for voxel in patch)
            distance[k][index] = total / len(steps)
    distance -= distance.min(axis=0)
    variance = distance.mean(axis=0)
    variance = np.clip(variance, 1e-3 * variance.mean(), 1e3 * variance.mean())
    return np.exp(-distance / variance)


@pytest.mark.parametrize(("radius", "dilation"), [(0, 1), (1, 1), (1, 2), (2, 1)])
def test_against_a_direct_loop(radius, dilation):
    array = np.random.default_rng(radius).standard_normal((4, 5, 3)) * 100 - 500
    found = mind_ssc(torch.from_numpy(array)[None, None], radius, dilation)[0].numpy()
    np.testing.assert_allclose(found, direct(array, radius, dilation), rtol=1e-9)


def test_the_variance_is_kept_from_vanishing():
    """Weak texture beside a strong edge: without the limits it would count as much as the edge."""
    array = np.random.default_rng(0).standard_normal((5, 5, 9)) * 1e-4
    array[..., 5:] += 1000
    found = mind_ssc(torch.from_numpy(array)[None, None], 0, 1)[0].numpy()
    np.testing.assert_allclose(found, direct(array, 0, 1), rtol=1e-9)
    assert found[:, :, :, :3].min() > 0.99


def test_pairs_are_the_twelve_at_right_angles():
    assert len(set(PAIRS)) == 12
    for a, b in PAIRS:
        assert np.dot(a, b) == 0
        assert np.sum(np.square(np.subtract(a, b))) == 2


def test_the_scale_and_sense_of_the_intensities_do_not_matter():
    image = torch.randn(2, 1, 8, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(mind_ssc(700 - 3.5 * image), mind_ssc(image))
    one = mind_ssc(image[1:])
    torch.testing.assert_close(mind_ssc(image)[1:], one)  # each image by its own mean variance


def test_an_image_that_does_not_vary_is_similar_to_itself_everywhere():
    for value in (0.0, -1000.0):
        found = mind_ssc(torch.full((1, 1, 6, 6, 6), value))
        assert torch.equal(found, torch.ones(1, 12, 6, 6, 6))


def test_pooling_takes_the_mean_of_blocks():
    image = torch.randn(1, 1, 8, 6, 7)
    whole, pooled = mind_ssc(image), pooled_mind_ssc(image)
    assert pooled.shape == (1, 12, 4, 3, 3)
    torch.testing.assert_close(pooled[0, :, 1, 2, 0], whole[0, :, 2:4, 4:6, 0:2].mean((1, 2, 3)))
