"""The network of Bouabid et al. 2019: size, identity at the start, what it sees and predicts."""

import pytest
import torch

from warpline import networks
from warpline.errors import WarplineError
from warpline.fields.algebra import jacobian_determinant

torch.set_num_threads(1)
SMALL = {"encoder": [4, 6], "decoder": [6, 4, 4, 4]}


def test_size_layer_by_layer():
    convolutions = [(2, 16), (16, 32), (32, 32)]  # down: 256³ → 32³
    convolutions += [(32, 32), (32 + 32, 32)]  # up to 64³ and 128³, each with its skip
    convolutions += [(32 + 16, 32), (32, 8)]  # at 128³
    convolutions += [(8 + 2, 8), (8, 3)]  # at 256³, with the images themselves
    expected = sum((27 * a + 1) * b for a, b in convolutions)
    assert networks.parameter_count(networks.build("bouabid2019", {})) == expected == 176_667


def test_untrained_network_is_next_to_the_identity():
    network = networks.build("bouabid2019", SMALL)
    assert network.stride == 4
    prediction = network(torch.rand(2, 1, 16, 24, 20), torch.rand(2, 1, 16, 24, 20))
    assert prediction.displacement.shape == (2, 3, 16, 24, 20)
    assert 0 < prediction.displacement.abs().max() < 1e-2
    assert prediction.gradients.sub(0.5).abs().max() < 1e-4


def test_each_coordinate_grows_along_its_own_axis_whatever_the_weights():
    """Twice a sigmoid is positive; the derivatives across the axes are not constrained."""
    torch.manual_seed(0)
    network = networks.build("bouabid2019", SMALL)
    torch.nn.init.normal_(network.last.weight, std=0.5)
    moving, fixed = torch.rand(2, 1, 1, 16, 16, 16)
    prediction = network(moving, fixed)
    for k in range(3):
        growth = 1 + torch.diff(prediction.displacement[0, k], dim=k)
        assert growth.min() > 0
        inner = [slice(None)] * 3
        inner[k] = slice(1, None)
        expected = 2 * prediction.gradients[0, k][tuple(inner)]
        torch.testing.assert_close(growth, expected, atol=1e-4, rtol=0)
    assert (jacobian_determinant(prediction.displacement) <= 0).any()  # so it may fold all the same


def test_both_directions_are_the_network_on_either_order():
    torch.manual_seed(0)
    network = networks.build("bouabid2019", SMALL)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    moving, fixed = torch.rand(2, 1, 1, 8, 8, 8)
    forward, backward = network.predict_directions(moving, fixed)
    torch.testing.assert_close(forward.displacement, network(moving, fixed).displacement)
    torch.testing.assert_close(backward.displacement, network(fixed, moving).displacement)
    assert network.predict_directions(moving, fixed, backward=False)[1] is None
    assert not torch.allclose(forward.displacement, backward.displacement)


def test_a_decoder_of_the_wrong_length_is_refused():
    with pytest.raises(WarplineError, match="two entries more"):
        networks.build("bouabid2019", {"encoder": [4, 6], "decoder": [6, 4]})
