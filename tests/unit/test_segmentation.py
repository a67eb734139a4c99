"""Windows over a volume: against the whole answer, against MONAI's, and label maps from them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.segmentation.windows import organ_numbers, segment, sliding_window

torch.set_num_threads(1)


def whole(predict, volume, window, **more) -> torch.Tensor:
    """All slabs together; they come in order, without gaps."""
    parts, following = [], 0
    for start, values in sliding_window(predict, volume, window, **more):
        assert start == following
        following += values.shape[1]
        parts.append(values)
    return torch.cat(parts, dim=1)


def pointwise(windows: torch.Tensor) -> torch.Tensor:
    """Two numbers of each voxel alone."""
    return torch.cat([windows.sum(1, keepdim=True), torch.sin(3 * windows[:, :1])], dim=1)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.sampled_from([0.0, 0.25, 0.5, 0.9]),
    st.integers(1, 5),
)
def test_what_looks_at_each_voxel_alone_does_not_see_the_windows(shape, window, overlap, batch):
    volume = torch.rand(2, *shape)
    found = whole(pointwise, volume, window, overlap=overlap, batch=batch)
    torch.testing.assert_close(found, pointwise(volume[None])[0])


def test_constants_stay_constant():
    """Also where windows say different things: what comes out is their mean."""
    volume = torch.full((1, 20, 18, 22), 7.0)
    found = whole(lambda w: w.mean((2, 3, 4), keepdim=True).expand_as(w), volume, [8, 6, 10])
    torch.testing.assert_close(found, volume)


@pytest.mark.parametrize(
    ("shape", "window", "overlap"),
    [
        ((20, 17, 23), (8, 9, 8), 0.5),
        ((16, 16, 9), (16, 8, 6), 0.25),
        ((11, 9, 10), (4, 4, 4), 0.7),
    ],
)
def test_as_monai_blends(shape, window, overlap):
    """A network with a border: every window gets another answer near its faces."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(3, 2, 3, padding=1)
    ).requires_grad_(False)
    volume = torch.randn(1, *shape)
    found = whole(network, volume, window, overlap=overlap, batch=3)
    expected = sliding_window_inference(
        volume[None], window, 2, network, overlap=overlap, mode="gaussian", sigma_scale=0.125
    )[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert float((found - network(volume[None])[0]).abs().max()) > 0.01


def test_weights_by_hand():
    """Two windows of three voxels share one; each names its own number."""
    numbers = iter([1.0, 2.0])
    found = whole(
        lambda w: torch.full_like(w, next(numbers)), torch.zeros(1, 1, 1, 4), (1, 1, 3), overlap=0.4
    )
    edge, middle = np.exp(-0.5 * (1 / 0.375) ** 2), 1.0
    expected = [1, (middle + 2 * edge) / (middle + edge), (edge + 2 * middle) / (edge + middle), 2]
    torch.testing.assert_close(found.ravel(), torch.tensor(expected, dtype=torch.float32))


def test_memory_does_not_grow_with_the_slices():
    """No slab is higher than a window, and each comes before the windows beyond it are asked."""
    asked = []

    def predict(windows):
        asked.append(len(asked))
        return windows

    slabs = sliding_window(predict, torch.zeros(1, 64, 8, 8), (8, 8, 8))
    heights = []
    for number, (_, values) in enumerate(slabs, start=1):
        heights.append(values.shape[1])
        assert len(asked) == number
    assert max(heights) <= 8
    assert sum(heights) == 64


def test_an_overlap_of_one_is_refused():
    with pytest.raises(ValueError, match="less than 1"):
        next(sliding_window(pointwise, torch.zeros(1, 4, 4, 4), (2, 2, 2), overlap=1))


class Thresholds(torch.nn.Module):
    """Above 100 HU the first organ, below -100 HU the second."""

    def __init__(self, *organs: str):
        super().__init__()
        self.organs = organs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.cat([torch.full_like(image, 100.0), image, -image], dim=1)
        return torch.softmax(logits / 10, dim=1)


def test_a_label_map_has_common_numbers_on_the_scans_grid():
    rng = np.random.default_rng(0)
    grid = Grid((13, 10, 17), (0.8, 1.1, 3.0), (4.0, 5.0, 6.0))
    image = Image(rng.integers(-300, 300, grid.shape).astype(np.int16), grid)
    found = segment(Thresholds("liver", "pancreas"), image, window=6, batch=2)
    expected = np.select([image.array > 100, image.array < -100], [6, 11])
    decided = abs(abs(image.array.astype(int)) - 100) > 0
    assert np.array_equal(found.array[decided], expected[decided])
    assert found.array.dtype == np.uint8
    assert found.grid == grid


def test_organs_that_are_none():
    assert organ_numbers(Thresholds("aorta", "spleen")) == [8, 1]
    with pytest.raises(WarplineError, match="'splen', which is no common organ") as error:
        organ_numbers(Thresholds("liver", "splen"))
    assert "spleen" in str(error.value)
