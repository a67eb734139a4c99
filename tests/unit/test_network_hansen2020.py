"""The feature network: sizes, where a feature lies, that it can learn."""

from itertools import pairwise

import pytest
import torch

from warpline import networks
from warpline.errors import WarplineError
from warpline.registration.embedding.descriptors import pooled_mind_ssc

torch.set_num_threads(1)
NARROW = {"encoder": [4, 6, 6], "decoder": [6, 4], "low": 0.0, "high": 1.0}


def small(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("hansen2020", NARROW | changes).eval()


def weights(*widths: int) -> int:
    return sum(27 * a * b + 3 * b for a, b in pairwise(widths))  # batch norm has two a channel


def test_size():
    network = networks.build("hansen2020", {})
    encoder = weights(8, 16, 16) + weights(16, 32, 32) + weights(32, 32, 32)
    decoder = weights(64, 32, 32) + weights(48, 16, 16)
    assert networks.parameter_count(network) == encoder + decoder + 16 * 12 + 12


@pytest.mark.parametrize("shape", [(16, 24, 8), (13, 18, 9), (1, 2, 3)])
def test_features_on_every_second_voxel(shape):
    found = small().features(torch.rand(2, 1, *shape)).detach()
    assert found.shape == (2, 12, *(-(-n // 2) for n in shape))
    assert 0 < float(found.min()) <= float(found.max()) < 1


def test_a_shift_by_eight_voxels_shifts_the_features_by_four():
    """Every block shares its weights over the volume, which is halved three times."""
    image = torch.zeros(1, 1, 80, 64, 64)
    image[:, :, 28:36, 28:36, 28:36] = torch.rand(8, 8, 8)
    network = small()
    a, b = network.features(image), network.features(image.roll(8, dims=2))
    torch.testing.assert_close(a[:, :, 10:22, 10:-10, 10:-10], b[:, :, 14:26, 10:-10, 10:-10])


def test_feature_voxel_j_sees_the_voxels_around_2j_and_2j_plus_1():
    """Without the coarser levels and the 3³ taps beyond the middle, it sees just its block."""
    network = small()
    with torch.no_grad():
        for block in (network.first, network.up_first):
            for layer in (block[0], block[3]):
                kept = layer.weight[:, :, 1, 1, 1].clone().abs()
                layer.weight.zero_()[:, :, 1, 1, 1] = kept
        network.up_first[0].weight[:, :6] = 0
    image = torch.full((1, 1, 16, 16, 16), 0.5, requires_grad=True)
    network.features(image)[0, :, 3, 5, 2].sum().backward()
    seen = image.grad[0, 0].nonzero()
    assert seen.min(0).values.tolist() == [6, 10, 4]
    assert seen.max(0).values.tolist() == [7, 11, 5]


def test_intensities_are_clipped():
    network = small(low=-1000.0, high=200.0)
    image = torch.rand(1, 1, 8, 8, 8) * 4000 - 2000
    clipped = image.clamp(-1000, 200)
    assert torch.equal(network.features(image), network.features(clipped))
    assert not torch.equal(network.features(image), network.features(clipped / 2))


def test_it_learns_the_descriptors_of_an_image():
    """Better than their mean, which explains nothing of their variance."""
    torch.manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(1, 1, 4, 4, 4), size=(16, 16, 16))
    target = pooled_mind_ssc(image)
    network = small(encoder=[12, 12, 12], decoder=[12, 12]).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(40):
        error = torch.nn.functional.mse_loss(network.features(image), target)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert float(error.detach()) < 0.8 * float(target.var(dim=(0, 2, 3, 4)).mean())


@pytest.mark.parametrize(
    "changes", [{"encoder": [4, 4]}, {"decoder": [4]}, {"low": 1.0}, {"width": 3}]
)
def test_other_parameters_are_refused(changes):
    with pytest.raises(WarplineError, match="does not take these parameters"):
        small(**changes)
