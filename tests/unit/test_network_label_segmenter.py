"""The small segmenter: its size, probabilities at every voxel, and that it sees every voxel."""

import pytest
import torch

from warpline import networks
from warpline.errors import WarplineError
from warpline.networks.label_segmenter import cubes, voxels
from warpline.segmentation.windows import organ_numbers

torch.set_num_threads(1)
HIPPOCAMPUS = {"organs": ["head", "tail"], "values": [1, 2]}
NARROW = HIPPOCAMPUS | {"channels": [4, 6]}


def small(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("label_segmenter", NARROW | changes).eval()


def test_size_counted_by_hand():
    """Weights, biases, and of each norm two numbers a channel."""

    def layer(a, b, taps=27, norm=True):
        return taps * a * b + b + (2 * b if norm else 0)

    expected = layer(8, 24) + layer(24, 24)
    for a, b in ((24, 48), (48, 72)):
        expected += layer(a, b, 8) + layer(b, b)  # down
        expected += layer(b, a, 8, norm=False) + layer(a, a)  # up
    expected += layer(24, 8 * 3, norm=False)
    network = networks.build("label_segmenter", HIPPOCAMPUS)
    assert networks.parameter_count(network) == expected == 391_128
    assert network.stride == 8


@pytest.mark.parametrize("shape", [(16, 24, 8), (13, 18, 9), (1, 2, 3)])
def test_probabilities_at_every_voxel(shape):
    found = small()(torch.randn(2, 1, *shape)).detach()
    assert found.shape == (2, 3, *shape)
    torch.testing.assert_close(found.sum(1), torch.ones(2, *shape))


def test_the_voxels_of_a_cube_go_there_and_back():
    image = torch.arange(4 * 6 * 8.0).reshape(1, 1, 4, 6, 8)
    parts = cubes(image)
    assert parts.shape == (1, 8, 2, 3, 4)
    assert parts[0, :, 1, 2, 3].tolist() == image[0, 0, 2:, 4:, 6:].flatten().tolist()
    assert torch.equal(voxels(parts), image)


def test_every_voxel_is_seen():
    image = torch.rand(1, 1, 8, 8, 8, requires_grad=True)
    small()(image)[0, 1, 3, 4, 5].backward()
    assert (image.grad[0, 0, 2:6, 2:6, 3:7] != 0).all()


def test_its_labels_have_the_numbers_that_it_is_given():
    assert organ_numbers(small(values=[5, 3])) == [5, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"organs": []},
        {"organs": ["a", "a"]},
        {"values": [1]},
        {"values": [1, 1]},
        {"values": [0, 1]},
    ],
)
def test_labels_that_make_no_sense_are_refused(changes):
    with pytest.raises(WarplineError, match="needs"):
        small(**changes)
