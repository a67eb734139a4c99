"""VoxelMorph: its size, the start, both directions, levels and resolutions, what it can learn."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from warpline import networks
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.algebra import compose, jacobian_determinant
from warpline.fields.sampling import identity_grid, warp
from warpline.images.grid import Grid, Image
from warpline.networks.voxelmorph import finer
from warpline.registration.network import predict
from warpline.training.losses import displacement_gradient, mean_squared_error

torch.set_num_threads(1)
SMALL = {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]}
VARIANTS = [
    {},
    {"levels": 2},
    {"half_resolution": True},
    {"levels": 2, "half_resolution": True, "integration_steps": 3},
]


def awake(**more) -> networks.RegistrationNetwork:
    """A small network whose displacements are no longer next to nothing."""
    torch.manual_seed(0)
    network = networks.build("voxelmorph", SMALL | more)
    for level in network.levels:
        torch.nn.init.normal_(level.flow.weight, std=0.05)
    return network.eval()


def test_size_layer_by_layer():
    convolutions = [(2, 16), (16, 32), (32, 32), (32, 32)]  # down to a sixteenth
    convolutions += [(32, 32), (32 + 32, 32), (32 + 32, 32)]  # up to a half, each with its skip
    convolutions += [(32 + 16, 32), (32, 32)]  # at half resolution
    convolutions += [(32 + 2, 16), (16, 16), (16, 3)]  # at full resolution, beside the images
    expected = sum((27 * a + 1) * b for a, b in convolutions)
    assert networks.parameter_count(networks.build("voxelmorph", {})) == expected == 300_547
    two = networks.build("voxelmorph", {"levels": 2})
    assert networks.parameter_count(two) == 2 * expected
    half = networks.build("voxelmorph", {"half_resolution": True})
    assert networks.parameter_count(half) == expected - 27 * 2 * 16


@pytest.mark.parametrize("variant", VARIANTS)
def test_untrained_network_is_next_to_the_identity(variant):
    network = networks.build("voxelmorph", SMALL | variant)
    levels = variant.get("levels", 1)
    assert network.stride == 4 * levels
    prediction = network(torch.rand(2, 1, 16, 24, 32), torch.rand(2, 1, 16, 24, 32))
    assert len(prediction.displacements) == levels
    for displacement in prediction.displacements:
        assert displacement.shape == (2, 3, 16, 24, 32)
        assert 0 < displacement.abs().max() < 1e-2
    for level in network.levels:
        torch.nn.init.zeros_(level.flow.weight)
    assert not network(
        torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    ).displacement.any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_directions_are_the_network_on_either_order(variant):
    network = awake(**variant)
    moving, fixed = torch.rand(2, 2, 1, 16, 16, 24)
    forward, backward = network.predict_directions(moving, fixed)
    for ours, alone in ((forward, network(moving, fixed)), (backward, network(fixed, moving))):
        for a, b in zip(ours.displacements, alone.displacements, strict=True):
            torch.testing.assert_close(a, b)
    assert network.predict_directions(moving, fixed, backward=False)[1] is None
    assert not torch.allclose(forward.displacement, backward.displacement)


def test_a_finer_displacement_is_the_same_map_in_smaller_voxels():
    """A linear displacement stays one, half a coarse voxel at the border aside."""
    shape, matrix = (5, 6, 4), torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.25, -0.1], [0.2, 0.1, 0.05]])
    offset = torch.tensor([1.0, -2.0, 0.5])

    def linear(coordinates):  # in coarse voxels
        flat = torch.einsum("ij,bjzyx->bizyx", matrix, coordinates)
        return flat + offset[:, None, None, None]

    coarse = linear(identity_grid(shape)).repeat(2, 1, 1, 1, 1)
    middles = identity_grid([2 * n for n in shape]) / 2 - 0.25
    inner = (..., *[slice(1, -1)] * 3)
    torch.testing.assert_close(
        finer(coarse)[inner], 2 * linear(middles).expand(2, -1, -1, -1, -1)[inner]
    )


def test_the_finer_level_sees_the_moving_image_as_the_coarser_one_leaves_it():
    network = awake(levels=2)
    coarse, fine = network.levels
    moving, fixed = torch.rand(2, 1, 1, 16, 16, 16)

    def halved(image):
        return torch.from_numpy(image.numpy().reshape(1, 1, 8, 2, 8, 2, 8, 2).mean((3, 5, 7)))

    first = finer(coarse(halved(moving), halved(fixed)))
    second = fine(warp(moving, first), fixed)
    prediction = network(moving, fixed)
    torch.testing.assert_close(prediction.displacements[0], first)
    torch.testing.assert_close(prediction.displacement, compose(first, second))


def test_velocities_integrate_to_a_map_that_does_not_fold():
    torch.manual_seed(1)
    moving, fixed = torch.rand(2, 1, 1, 16, 16, 16)
    folds = {}
    for steps in (0, 6):
        network = awake(integration_steps=steps, half_resolution=True)
        for level in network.levels:
            torch.nn.init.normal_(level.flow.weight, std=0.8)
        field = network(moving, fixed).displacement
        folds[steps] = float((jacobian_determinant(field) <= 0).float().mean())
    assert folds[0] > 0.01
    assert folds[6] < folds[0] / 10


def blobs(shape, rng) -> np.ndarray:
    image = ndimage.gaussian_filter(rng.random(shape), 2.0, mode="wrap")
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


@pytest.mark.parametrize("levels", [1, 2])
def test_a_known_translation_is_learnt_in_a_few_steps(levels):
    torch.manual_seed(0)
    shift = (2, -1, 1)
    fixed = blobs((16, 16, 16), np.random.default_rng(0))
    moving = np.roll(fixed, shift, (0, 1, 2))  # so that the field is the shift itself
    fixed, moving = (torch.from_numpy(image)[None, None] for image in (fixed, moving))
    network = networks.build("voxelmorph", SMALL | {"levels": levels})
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        prediction = network(moving, fixed)
        warped = [warp(moving, u) for u in prediction.displacements]
        loss = sum(mean_squared_error(image, fixed) for image in warped)
        loss = 100 * loss + 0.1 * displacement_gradient(prediction.displacement)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    inside = network(moving, fixed).displacement.detach()[0, :, 4:-4, 4:-4, 4:-4]
    assert (inside.mean((1, 2, 3)) - torch.tensor(shift, dtype=torch.float)).abs().max() < 0.5


def test_odd_sizes_are_padded_and_the_field_is_cut_back():
    """On the padded images the network gives the same; the field has the fixed grid's shape."""
    rng = np.random.default_rng(2)
    grid = Grid((13, 9, 15), spacing=(1.5, 2.0, 3.0))
    fixed, moving = (Case(name, Image(blobs(grid.shape, rng), grid)) for name in "fm")
    network = awake(levels=2)
    field = predict(network, fixed, moving)
    assert field.grid == grid
    padded = [
        torch.from_numpy(np.pad(case.image.array, [(0, 3), (0, 7), (0, 1)]))[None, None]
        for case in (moving, fixed)
    ]
    with torch.no_grad():
        expected = network(*padded).displacement[..., :13, :9, :15]
    torch.testing.assert_close(field.to_voxel(grid), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"encoder": [4, 6], "decoder": [6, 4]}, "three entries more"), ({"levels": 0}, "at least 1")],
)
def test_parameters_that_make_no_network_are_refused(parameters, message):
    with pytest.raises(WarplineError, match=message):
        networks.build("voxelmorph", parameters)
