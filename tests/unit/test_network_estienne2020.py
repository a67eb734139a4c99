"""The network of Estienne et al. 2020: size, symmetry, identity at the start."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from warpline import networks
from warpline.errors import WarplineError
from warpline.networks.layers import ct_windows, window_pairs

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)
SMALL = {"channels": [4, 4, 8, 8], "convolutions": [1, 2, 1]}


def published_parameters() -> int:
    """The count layer by layer, written out independently of the network's code."""
    channels, counts = [32, 64, 128, 256, 512], [1, 2, 3, 2]
    total = (27 * 1 + 1) * 32 + (27 * 32 + 1) * 32  # input block
    for a, b, n in zip(channels, channels[1:], counts, strict=False):
        total += (8 * a + 1) * b + n * (27 * b + 1) * b  # halving, convolutions
        total += 8 * b * a + a  # transposed convolution
        total += (27 * 2 * a + 1) * a + (n - 1) * (27 * a + 1) * a  # after the concatenation
        total += (27 * b + 1) * 3  # deep supervision
    return total + (27 * 32 + 1) * 3


def test_published_size():
    assert networks.parameter_count(networks.build("estienne2020", {})) == published_parameters()
    assert published_parameters() == 30_823_311


def test_untrained_network_is_the_identity():
    network = networks.build("estienne2020", SMALL)
    images = torch.rand(2, 1, 16, 24, 16)
    prediction = network(images, images.flip(0))
    assert prediction.displacement.abs().max() < 1e-6
    assert len(prediction.displacements) == 4
    assert all(d.shape == (2, 3, 16, 24, 16) for d in prediction.displacements)


def trained_a_little() -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.build("estienne2020", SMALL)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network.eval()


def test_backward_is_forward_with_the_images_exchanged():
    network = trained_a_little()
    moving, fixed = torch.rand(1, 1, 16, 16, 24), torch.rand(1, 1, 16, 16, 24)
    forward, backward = network.predict_directions(moving, fixed)
    torch.testing.assert_close(forward.displacement, network(moving, fixed).displacement)
    torch.testing.assert_close(backward.displacement, network(fixed, moving).displacement)
    assert not torch.allclose(forward.displacement, backward.displacement)


def test_coordinates_never_decrease_along_their_own_axis():
    network = trained_a_little()
    field = network(torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)).displacement[0]
    for axis in range(3):
        assert torch.diff(field[axis], dim=axis).min() > -1.0


def test_same_image_twice_is_registered_alike_wherever_it_is():
    network = trained_a_little()
    a, b = torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    same = [network(x, x).displacement for x in (a, b)]
    torch.testing.assert_close(*same)  # features are subtracted: nothing of the image is left


def test_every_level_learns_from_its_own_output():
    network = networks.build("estienne2020", SMALL)
    prediction = network(torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16))
    sum(d.square().sum() + d.sum() for d in prediction.displacements).backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.heads)


def test_unknown_network_names_the_nearest():
    with pytest.raises(WarplineError, match="Did you mean 'estienne2020'"):
        networks.build("estiene2020", {})


def test_unknown_parameter_is_refused():
    with pytest.raises(WarplineError, match="chanels"):
        networks.build("estienne2020", {"chanels": [1, 2]})


def test_ct_windows_are_the_channels_that_the_network_and_the_similarity_see():
    windows = [[40, 400], [800, 100], [1000, 400]]
    network = networks.build(
        "estienne2020",
        {"windows": windows, "channels": [2, 4], "convolutions": [1], "activation": "relu"},
    )
    image = torch.tensor([-1000.0, -160.0, 40.0, 240.0, 790.0, 1100.0]).reshape(1, 1, 1, 1, 6)
    expected = [[0, 0, 0.5, 1, 1, 1], [0, 0, 0, 0, 0.4, 1], [0, 0, 0, 0, 0, 0.75]]
    torch.testing.assert_close(network.channels(image)[0, :, 0, 0], torch.tensor(expected))
    moving, fixed = (200 * torch.randn(1, 1, 8, 8, 8) for _ in range(2))
    plain = networks.build(
        "estienne2020", {"inputs": 3, "channels": [2, 4], "convolutions": [1], "activation": "relu"}
    )
    plain.load_state_dict(network.state_dict())
    torch.nn.init.normal_(plain.last.weight)
    network.load_state_dict(plain.state_dict())
    torch.testing.assert_close(
        network(moving, fixed).displacement,
        plain(network.channels(moving), network.channels(fixed)).displacement,
    )


def published_windows() -> list[tuple[float, float]]:
    recipe = yaml.safe_load((ROOT / "config/methods/estienne2020-task3-baseline.yaml").read_text())
    return window_pairs(recipe["network"]["parameters"]["windows"])


def test_no_published_window_is_blank_on_organs():
    """Liver and spleen, −50 to 150 HU: read as (width, centre) two of the windows lie outside."""
    organs = torch.linspace(-50, 150, 9).reshape(1, 1, 1, 1, 9)
    seen = ct_windows(organs, published_windows())[0, :, 0, 0]
    # 200 HU over widths of 400, 800 and 1000.
    torch.testing.assert_close(
        seen[:, -1] - seen[:, 0], torch.tensor([0.5, 0.25, 0.2]), atol=1e-6, rtol=0
    )


def test_published_windows_are_the_authors_channels():
    name = "reference/authors/estienne2020_windows.npz"
    file = Path(os.environ.get("WARPLINE_REAL_DATA", ""), name)
    if "WARPLINE_REAL_DATA" not in os.environ or not file.exists():
        pytest.skip(f"WARPLINE_REAL_DATA does not name a folder with {name}")
    known = np.load(file)
    channels = ct_windows(torch.from_numpy(known["hu"])[None], published_windows())[0]
    np.testing.assert_allclose(channels, known["channels"], atol=1e-6)


def test_windows_and_inputs_are_not_given_both():
    with pytest.raises(WarplineError, match="leave 'inputs' out"):
        networks.build("estienne2020", {"windows": [[40, 400]], "inputs": 3})


@pytest.mark.parametrize("recomputed", [1, 2, 4])
def test_recomputed_activations_give_the_same_numbers(recomputed):
    kept = networks.build("estienne2020", SMALL)
    torch.nn.init.normal_(kept.last.weight)
    again = networks.build("estienne2020", {**SMALL, "recomputed": recomputed})
    again.load_state_dict(kept.state_dict())
    moving, fixed = torch.rand(2, 1, 1, 16, 16, 16)
    for network in (kept, again):
        forward, backward = network.predict_directions(moving, fixed)
        (forward.displacement.square() + backward.displacement.square()).sum().backward()
    for a, b in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
