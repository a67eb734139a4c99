"""Architectures: what is drawn is what was built, for any network of the project."""

import re

import matplotlib.image
import pytest
from torch import nn

from warpline import networks
from warpline.errors import WarplineError
from warpline.figures.architecture import architecture_figure
from warpline.figures.convolutions import Input, trace

SMALL = [4, 8, 16, 32, 64]
NETWORKS = {
    "bouabid2019": {},
    "estienne2020": {"channels": SMALL},
    "estienne2020_segmenter": {"channels": SMALL},
    "hansen2020": {},
    "hu2020": {},
    "sokooti2017": {},
    "voxelmorph": {"levels": 2},
}


def test_layers_are_those_that_run(tmp_path):
    network = networks.build("bouabid2019", {"encoder": [4, 6], "decoder": [5, 7, 3, 2]})
    layers = trace(network).layers
    assert [(layer.inputs, layer.outputs, layer.scale) for layer in layers] == [
        (2, 4, 2),
        (4, 6, 4),
        (6, 5, 4),
        (5 + 4, 7, 2),
        (7, 3, 2),
        (3 + 2, 2, 1),
        (2, 3, 1),
    ]
    cat = frozenset({"cat"})
    # The decoder reads the level before it and the encoder's; at the end the images themselves.
    assert layers[3].sources == {2: cat, 0: cat}
    assert layers[5].sources == {4: cat, -1: cat, -2: cat}
    assert layers[6].sources == {5: frozenset()}
    paths = architecture_figure(network, (64, 64, 48), tmp_path / "f")
    assert matplotlib.image.imread(paths[0]).std() > 0
    text = paths[1].read_text()
    assert "64 × 64 × 48" in text
    assert "16 × 16 × 12" in text


def test_features_of_one_encoder_are_subtracted_and_residuals_added():
    drawn = trace(networks.build("estienne2020", {"channels": [4, 6, 8], "convolutions": [1, 2]}))
    alone = [layer.alone for layer in drawn.layers]
    # Two of the input block; two, then three, of the halvings; all else sees differences.
    assert alone == [True] * 7 + [False] * (len(alone) - 7)
    head, up, first = drawn.layers[7:10]
    assert (head.outputs, head.sources) == (3, {6: frozenset({"sub"})})
    assert up.transposed
    assert set(up.sources) == {6}
    assert first.sources == {8: frozenset({"cat"}), 3: frozenset({"cat", "sub"})}
    assert drawn.layers[2].sources == {0: frozenset({"add"}), 1: frozenset({"add"})}
    assert drawn.ends == ["2 · sigmoid", "cumulative\nsums", "warp"]


def test_the_resolutions_of_regnet_meet_as_published():
    drawn = trace(networks.build("sokooti2017", {}))
    full, low = Input("moving", 29), Input("moving, every 2nd", 27)
    assert drawn.inputs[::2] == [full, low]
    sizes = [layer.size for layer in drawn.layers]
    # Late fusion at 29³: three layers on each image, two on both; then at 27³ three and six.
    assert sizes[:8] == [27, 25, 23, 27, 25, 23, 21, 19]
    assert sizes[8:20] == [25, 23, 21, 25, 23, 21, 19, 17, 15, 13, 11, 9]
    assert sizes[20:] == [7, 5, 3, 1, 1, 1]
    assert set(drawn.layers[20].sources) == {7, 19}
    assert drawn.layers[20].read == 9  # 19 voxels, of which pooling leaves 9, and 9


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_of_every_network_is_drawn(name, tmp_path):
    network = networks.build(name, NETWORKS[name])
    count = sum(isinstance(m, (nn.Conv3d, nn.ConvTranspose3d)) for m in network.modules())
    parameters = networks.parameter_count(network)
    _, svg = architecture_figure(network, None, tmp_path / "f")
    text = svg.read_text()
    assert f"{count} convolutions, {parameters:,} parameters" in text
    # Channels stand below the bars.
    for layer in trace(network).layers:
        assert re.search(rf"<!-- {layer.outputs} -->", text)


def test_a_convolution_that_does_not_run_is_an_error():
    network = networks.build("bouabid2019", {})
    network.unused = nn.Conv3d(1, 1, 3)
    with pytest.raises(WarplineError, match="10 convolutions 9 were seen"):
        trace(network)
