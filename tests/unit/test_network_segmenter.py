"""The segmenter: size, probabilities, where it sees, and that it reads HU through its windows."""

import pytest
import torch

from warpline import networks
from warpline.cases.organs import NUMBER
from warpline.errors import WarplineError
from warpline.networks.estienne2020_segmenter import ELEVEN

torch.set_num_threads(1)
NARROW = {"organs": ["liver", "spleen"], "channels": [4, 6, 8], "convolutions": [1, 1]}


def small(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("estienne2020_segmenter", NARROW | changes).eval()


def test_size_at_the_papers_widths():
    """Counted by hand: kernels of 27 and 8 weights, a bias for each output."""

    def layer(a, b, taps=27):
        return taps * a * b + b

    widths, counts = [16, 32, 64, 128, 256], [1, 2, 3, 2]
    expected = layer(1, 16) + layer(16, 16) + layer(16, 12)
    for a, b, count in zip(widths, widths[1:], counts, strict=False):
        expected += layer(a, b, 8) + count * layer(b, b)  # down
        expected += layer(b, a, 8) + layer(2 * a, a) + (count - 1) * layer(a, a)  # up
    network = networks.build("estienne2020_segmenter", {})
    assert networks.parameter_count(network) == expected
    assert network.stride == 16
    assert len(ELEVEN) == 11
    assert set(NUMBER) - set(ELEVEN) == {"right_adrenal", "left_adrenal"}


@pytest.mark.parametrize("shape", [(16, 24, 8), (13, 18, 9), (1, 2, 3)])
def test_probabilities_at_every_voxel(shape):
    found = small()(torch.randn(2, 1, *shape) * 300).detach()
    assert found.shape == (2, 3, *shape)
    torch.testing.assert_close(found.sum(1), torch.ones(2, *shape))
    assert float(found.min()) > 0


def test_a_size_is_filled_up_with_the_values_at_its_ends():
    image = torch.randn(1, 1, 10, 12, 9) * 300
    filled = torch.nn.functional.pad(image, [0, 3, 0, 0, 0, 2], mode="replicate")
    network = small()
    torch.testing.assert_close(network(image), network(filled)[:, :, :10, :, :9])


def test_a_shift_by_the_stride_shifts_the_answer():
    image = torch.full((1, 1, 64, 32, 32), -500.0)
    image[:, :, 20:28, 12:20, 12:20] = torch.rand(8, 8, 8) * 200
    network = small()
    a, b = network(image), network(image.roll(4, dims=2))
    torch.testing.assert_close(a[:, :, 12:36], b[:, :, 16:40], rtol=1e-4, atol=1e-5)


def test_windows():
    """−160 … 240 HU is all that one of 400 about 40 sees; a second one sees what is beyond."""
    network = small()
    image = torch.rand(1, 1, 8, 8, 8) * 3000 - 1000
    assert torch.equal(network(image), network(image.clamp(-160, 240)))
    assert not torch.equal(network(image), network(image.clamp(-150, 240)))
    wide = small(windows=[[40, 400], [400, 1000]])
    assert not torch.equal(wide(image), wide(image.clamp(-160, 240)))
    assert torch.equal(wide(image), wide(image.clamp(-160, 900)))
    seen = []
    wide.encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    wide(torch.full((1, 1, 8, 8, 8), 140.0))
    torch.testing.assert_close(seen[0][0, :, 0, 0, 0], torch.tensor([0.75, 0.24]))


def test_bfloat16_keeps_probabilities_in_single_precision():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = small()(torch.randn(1, 1, 8, 8, 8) * 300)
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": [4, 6]},
        {"organs": []},
        {"organs": ["liver", "liver"]},
        {"windows": [[40, 0]]},
        {"windows": []},
        {"width": 3},
    ],
)
def test_other_parameters_are_refused(changes):
    with pytest.raises(WarplineError, match="does not take these parameters"):
        small(**changes)
