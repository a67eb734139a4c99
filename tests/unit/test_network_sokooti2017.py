"""RegNet: size, what a patch sees, and the dense field beside the patch-by-patch one."""

import numpy as np
import pytest
import torch

from warpline import networks
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.networks.sokooti2017 import Patches, block_offsets
from warpline.registration.network import predict

torch.set_num_threads(1)
NARROW = {
    "alone": [2, 3, 2],
    "together_full": [3, 4],
    "together_low": [3, 3, 3, 2, 2, 4],
    "joined": [4, 5, 4, 6],
    "connected": 5,
    "air": 0.0,
    "span": 1.0,
}
DESIGNS = {
    "regnet": {},
    "early": {"fusion": "early"},
    "1scale": {"low_resolution": False},
}


def used_network(design: str = "regnet", **changes) -> networks.RegistrationNetwork:
    """A narrow network in evaluation whose batch statistics are those of some patches."""
    torch.manual_seed(0)
    network = networks.build("sokooti2017", NARROW | DESIGNS[design] | changes)
    patches = Patches.cut(*torch.randn(2, 30, 30, 30), torch.randint(0, 30, (6, 3)))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = None  # the mean over all that has been seen
    with torch.no_grad():
        network.displacements(patches)
        network.last.weight *= 5
    return network.eval()


def shrink(network: networks.RegistrationNetwork, tile: tuple[int, int, int]) -> None:
    network.memory_mb = network._bytes(tile) / 2**20


def unit(inputs: int, outputs: int, kernel: int = 27) -> int:
    """Weights, bias, and the scale and shift of the batch normalisation."""
    return kernel * inputs * outputs + 3 * outputs


ALONE = unit(1, 16) + unit(16, 16) + unit(16, 16)
EARLY = unit(2, 32) + unit(32, 32) + unit(32, 32)
FULL = unit(32, 25) + unit(25, 30)
LOW = unit(32, 25) + 2 * unit(25, 25) + unit(25, 30) + 2 * unit(30, 30)
HEAD = unit(60, 70) + unit(70, 75) + unit(75, 150) + unit(150, 150, kernel=1) + 150 * 3 + 3


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("regnet", 4 * ALONE + FULL + LOW + unit(60, 60) + HEAD),
        ("early", 2 * EARLY + FULL + LOW + unit(60, 60) + HEAD),
        ("1scale", 2 * ALONE + FULL + unit(30, 60) + HEAD),
    ],
)
def test_size_layer_by_layer(design, expected):
    network = networks.build("sokooti2017", DESIGNS[design])
    assert networks.parameter_count(network) == expected
    assert design != "regnet" or expected == 904_878


@pytest.mark.parametrize("design", DESIGNS)
def test_a_block_of_centres_gets_the_answers_of_its_patches(design):
    network = used_network(design)
    generator = torch.Generator().manual_seed(2)
    moving, fixed = torch.randn(2, 40, 35, 31, generator=generator)
    middles = torch.tensor([[20, 17, 15], [2, 30, 28]])
    block = Patches.cut(moving, fixed, middles, block=3)
    centres = (middles[:, None] + block_offsets(3)).reshape(-1, 3)
    assert centres[13].tolist() == [20, 17, 15]
    assert centres[1].tolist() == [18, 15, 15]
    inside = (centres >= 0).all(dim=1) & (centres < torch.tensor(moving.shape)).all(dim=1)
    with torch.no_grad():
        found = network.displacements(block)[inside]
        each = network.displacements(Patches.cut(moving, fixed, centres[inside]))
    torch.testing.assert_close(found, each, rtol=1e-4, atol=1e-5)


def test_patches_against_numpy():
    volume = np.random.default_rng(0).random((40, 31, 9)).astype(np.float32)
    centre = (3, 17, 8)
    padded = np.pad(volume, 26, mode="edge")
    box = tuple(slice(c, c + 53) for c in centre)
    expected_low = padded[box][::2, ::2, ::2]
    expected = padded[box][12:-12, 12:-12, 12:-12]
    both = torch.from_numpy(volume)
    patches = Patches.cut(both, both + 1, torch.tensor([[0, 0, 0], centre]))
    assert patches.moving.shape == (2, 1, 29, 29, 29)
    assert patches.moving_low.shape == (2, 1, 27, 27, 27)
    np.testing.assert_array_equal(patches.moving[1, 0].numpy(), expected)
    np.testing.assert_array_equal(patches.fixed_low[1, 0].numpy(), expected_low + 1)


def the_naive_answer(network, patches: Patches) -> torch.Tensor:
    """The network on patches once more, out of torch's own layers with their own names."""

    def units(layers, x):
        for layer in layers:
            x = torch.relu(layer.norm(layer.convolution(x)))
        return x

    def resolution(part, moving, fixed):
        if len(part.alone) == 1:
            return units(part.together, units(part.alone[0], torch.cat([moving, fixed], 1)))
        alone = [units(a, x) for a, x in zip(part.alone, (moving, fixed), strict=True)]
        return units(part.together, torch.cat(alone, 1))

    features = resolution(network.full, patches.moving, patches.fixed)
    assert features.shape[2:] == (19, 19, 19)
    features = torch.nn.functional.max_pool3d(features, 2)
    if network.low is not None:
        low = resolution(network.low, patches.moving_low, patches.fixed_low)
        assert low.shape[2:] == features.shape[2:] == (9, 9, 9)
        features = torch.cat([features, low], 1)
    features = units([*network.joined, network.connected], features)
    assert features.shape[2:] == (1, 1, 1)
    return network.last(features).flatten(1)


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_dense_field_is_the_patch_by_patch_field(design):
    """At every voxel of an odd-sized volume, so at its corners, edges and faces too."""
    network = used_network(design)
    moving, fixed = torch.randn(2, 1, 1, 3, 5, 4)
    field = network(moving, fixed).displacement
    assert field.shape == (1, 3, 3, 5, 4)
    centres = torch.from_numpy(np.argwhere(np.ones((3, 5, 4))))
    patches = Patches.cut(moving[0, 0], fixed[0, 0], centres)
    sliding = network.displacements(patches)
    assert field.std() > 0.1
    torch.testing.assert_close(field[0].flatten(1).T, sliding, atol=1e-4, rtol=0)
    naive = the_naive_answer(network, patches.map(lambda part: part[::9]))
    torch.testing.assert_close(sliding[::9], naive, atol=1e-4, rtol=0)


@torch.no_grad()
def test_dense_field_of_the_published_network_away_from_the_border():
    """A volume larger than the receptive field, intensities in HU, published widths."""
    torch.manual_seed(0)
    network = networks.build("sokooti2017", {}).eval()
    network.last.weight *= 100
    moving, fixed = torch.randn(2, 1, 1, 55, 3, 2) * 300 - 500
    shrink(network, (28, 4, 2))
    field = network(moving, fixed).displacement[0]
    centres = torch.tensor([[27, 1, 1], [28, 2, 0], [54, 0, 1]])
    sliding = network.displacements(Patches.cut(moving[0, 0], fixed[0, 0], centres))
    assert field.std() > 0.1
    torch.testing.assert_close(field[:, *centres.T].T, sliding, atol=1e-4, rtol=0)


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_the_answer_does_not_depend_on_the_tiles(design):
    network = used_network(design)
    moving, fixed = torch.randn(2, 1, 1, 7, 13, 10)
    whole = network(moving, fixed).displacement
    assert network.tile((7, 13, 10)) == (8, 14, 10)
    limit = (4, 8, 10)
    shrink(network, limit)
    tile = network.tile((7, 13, 10))
    assert all(size % 2 == 0 for size in tile)
    assert -(-7 // tile[0]) * -(-13 // tile[1]) * -(-10 // tile[2]) > 2
    assert network._bytes(tile) <= network._bytes(limit)
    torch.testing.assert_close(network(moving, fixed).displacement, whole, atol=1e-4, rtol=0)


@torch.no_grad()
def test_what_a_voxel_sees():
    """−14 … 13 at full resolution and every second voxel to ±26, nothing else."""
    network = used_network()
    for module in network.modules():
        # Kernels that only add up, so that a change at the rim is not lost on the way.
        if isinstance(module, torch.nn.Conv3d):
            module.weight.copy_(module.weight.abs() / module.weight.abs().sum((1, 2, 3, 4)).max())
        if isinstance(module, torch.nn.BatchNorm3d):
            module.reset_parameters()
            module.reset_running_stats()
    network = network.double()
    moving, fixed = torch.rand(2, 1, 1, 61, 1, 1, dtype=torch.float64)
    before = network(moving, fixed).displacement
    moving[0, 0, 30] += 1e9
    changed = (network(moving, fixed).displacement - before).abs().amax((0, 1, 3, 4)) > 1e-3
    seen = {30 - int(index) for index in changed.nonzero()}
    assert seen == set(range(-14, 14)) | set(range(-26, 27, 2))


@torch.no_grad()
def test_both_directions_are_the_network_on_either_order():
    network = used_network()
    moving, fixed = torch.randn(2, 1, 1, 4, 6, 4)
    forward, backward = network.predict_directions(moving, fixed)
    torch.testing.assert_close(forward.displacement, network(moving, fixed).displacement)
    torch.testing.assert_close(backward.displacement, network(fixed, moving).displacement)
    assert not torch.allclose(forward.displacement, backward.displacement)
    assert network.predict_directions(moving, fixed, backward=False)[1] is None


@pytest.mark.parametrize("design", DESIGNS)
def test_every_parameter_learns(design):
    torch.manual_seed(0)
    network = networks.build("sokooti2017", NARROW | DESIGNS[design])
    moving, fixed = torch.randn(2, 20, 20, 20)
    patches = Patches.cut(moving, fixed, torch.randint(0, 20, (6, 3)))
    entries = {
        "patches": lambda: network.displacements(patches),
        "dense": lambda: network(moving[None, None], fixed[None, None]).displacement,
    }
    for entry in entries.values():
        network.zero_grad()
        entry().square().sum().backward()
        for name, parameter in network.named_parameters():
            assert torch.isfinite(parameter.grad).all()
            # A bias before batch normalisation has no effect.
            if not name.endswith("convolution.bias"):
                assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_in_training_the_whole_volume_is_one_batch():
    """Batch statistics are of the volume, whatever the memory limit."""
    network = used_network().train()
    moving, fixed = torch.randn(2, 1, 1, 10, 9, 8)
    whole = network(moving, fixed).displacement
    shrink(network, (2, 2, 2))
    torch.testing.assert_close(network(moving, fixed).displacement, whole)


def test_through_inference_in_millimetres():
    network = used_network()
    grid = Grid((6, 5, 4), spacing=(2.0, 1.0, 0.5))
    rng = np.random.default_rng(0)
    fixed, moving = (
        Case(name, Image(rng.standard_normal(grid.shape).astype(np.float32), grid)) for name in "fm"
    )
    field = predict(network, fixed, moving)
    with torch.no_grad():
        images = [torch.from_numpy(c.image.array)[None, None] for c in (moving, fixed)]
        expected = network(*images).displacement[0].permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(field.vectors, expected[..., ::-1] * (2, 1, 0.5), atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fusion": "middle"}, "'late' or 'early'"),
        ({"joined": [8, 8]}, "'joined' needs 4 widths"),
        ({"memory_mb": 1}, "the need of the smallest tile"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(WarplineError, match=message):
        networks.build("sokooti2017", parameters)
