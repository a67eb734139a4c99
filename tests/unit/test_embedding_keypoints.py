"""Foerstner keypoints: the score by hand, where points may lie, how many come."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.registration.embedding.keypoints import foerstner, keypoints

torch.set_num_threads(1)


def textured(shape=(30, 34, 28), seed=0) -> torch.Tensor:
    noise = np.random.default_rng(seed).standard_normal(shape)
    image = ndimage.gaussian_filter(noise, 1.2)
    return torch.from_numpy(image / image.std()).float()[None, None]


def test_the_score_is_that_of_numpy_and_scipy():
    image = textured(seed=1)
    array = image[0, 0].double().numpy()
    taps = np.array([1, -8, 0, 8, -1]) / 12
    gradient = [ndimage.correlate1d(array, taps, axis, mode="nearest") for axis in range(3)]
    tensor = np.empty((*array.shape, 3, 3))
    for a in range(3):
        for b in range(3):
            product = gradient[a] * gradient[b]
            # Cut at 4 voxels, as three standard deviations are.
            smoothed = ndimage.gaussian_filter(product, 1.4, mode="nearest", truncate=4 / 1.4)
            tensor[..., a, b] = smoothed
    expected = 1 / np.trace(np.linalg.inv(tensor), axis1=-2, axis2=-1)
    found = foerstner(image)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5 * expected.max())


def test_ramps_cylinders_and_constants_have_no_distinctive_point():
    """However large the intensities; only where a ramp ends, at the faces, it is an edge."""
    z, y, x = np.indices((16, 18, 20))
    for array in (3.0 * z - 2 * y + x, 1000 * np.exp(-((y - 9) ** 2 + (x - 9) ** 2) / 8), 0 * z):
        image = torch.from_numpy(array).float()[None, None]
        assert float(foerstner(image)[..., 6:-6, 6:-6, 6:-6].max()) == 0


def test_a_keypoint_lies_at_each_blob_and_nowhere_else():
    centres = {(8, 9, 10), (20, 24, 8), (12, 26, 20), (24, 8, 22)}
    z, y, x = np.indices((32, 34, 30))
    image = sum(
        (1 + 0.2 * k) * np.exp(-((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) / 6)
        for k, (a, b, c) in enumerate(sorted(centres))
    )
    image = torch.from_numpy(image).float()[None, None]
    found = keypoints(image, torch.ones(32, 34, 30), number=4)
    assert {tuple(p) for p in found.tolist()} == centres
    strongest_first = [sorted(centres).index(tuple(p)) for p in found.tolist()]
    assert strongest_first == [3, 2, 1, 0]


@pytest.mark.parametrize("number", [5, 20, 40])
def test_points_are_peaks_inside_the_eroded_mask_and_as_many_as_asked_for(number):
    image = textured((40, 44, 38))
    mask = torch.zeros(40, 44, 38)
    mask[4:-4, 6:-3, 3:] = 1  # the last face of x is no edge: the lungs go on
    found = keypoints(image, mask, number, erosion=3)
    assert len(found) == number == len(set(map(tuple, found.tolist())))
    low, high = found.min(0).values, found.max(0).values
    assert (low >= torch.tensor([7, 9, 6])).all()
    assert (high <= torch.tensor([32, 37, 37])).all()
    score = foerstner(image)
    around = torch.nn.functional.max_pool3d(score, 3, 1, 1)
    place = (0, 0, *found.T)
    assert torch.equal(score[place], around[place])
    assert (score[place].diff() <= 0).all()


def test_fewer_points_lie_further_apart():
    """Brute force: no two of few points are as near as the nearest of many."""
    image, mask = textured((40, 44, 38), seed=3), torch.ones(40, 44, 38)

    def nearest(number: int) -> float:
        points = keypoints(image, mask, number).double()
        gap = (points[:, None] - points[None]).abs().amax(-1)
        return float(gap.fill_diagonal_(torch.inf).min())

    assert nearest(15) > nearest(60) > nearest(250) >= 2


def test_without_enough_peaks_all_come():
    image, mask = textured(), torch.ones(30, 34, 28)
    every = keypoints(image, mask, 10**6)
    score = foerstner(image)[0, 0].numpy()
    peaks = (score == ndimage.maximum_filter(score, 3)) & (score > 0)
    inside = np.ones(score.shape)  # beyond the image nothing erodes
    assert len(every) == int((peaks & (inside > 0)).sum())


def test_bad_input():
    image = textured()
    with pytest.raises(WarplineError, match="is empty"):
        keypoints(image, torch.zeros(30, 34, 28))
    thin = torch.zeros(30, 34, 28)
    thin[10:16] = 1
    with pytest.raises(WarplineError, match="nowhere thicker than 6 voxels"):
        keypoints(image, thin)
    with pytest.raises(WarplineError, match="no keypoints inside its mask"):
        keypoints(torch.full((1, 1, 30, 34, 28), -800.0), torch.ones(30, 34, 28))
