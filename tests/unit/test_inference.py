"""From a network and a pair to a field."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from warpline import networks
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.networks import Prediction, RegistrationNetwork, Velocity, check_size
from warpline.registration.network import predict, predict_both, spread

GRID = Grid((5, 7, 6), (2.0, 3.0, 4.0), (10.0, 20.0, 30.0), (0, -1, 0, 1, 0, 0, 0, 0, 1))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


class Spy(RegistrationNetwork):
    """Keeps its inputs; predicts half the moving image's value along z and −1 along x."""

    stride = 4

    def predict_directions(self, moving, fixed, backward=True):
        self.moving, self.fixed, self.gradient = moving, fixed, torch.is_grad_enabled()
        field = torch.zeros(1, 3, *moving.shape[2:])
        field[:, 0] = moving[:, 0] / 2
        field[:, 2] = -1
        return Prediction([field]), None


def a_case(seed: int, grid: Grid = GRID, dtype=np.float32) -> Case:
    array = np.random.default_rng(seed).integers(1, 9, grid.shape).astype(dtype)
    return Case(f"case{seed}", Image(array, grid))


def test_images_are_padded_to_the_stride_and_the_field_is_cut_back():
    network, fixed, moving = Spy(), a_case(1), a_case(2)
    field = predict(network, fixed, moving)
    assert network.moving.shape == network.fixed.shape == (1, 1, 8, 8, 8)
    for given, case in ((network.moving, moving), (network.fixed, fixed)):
        assert (given[0, 0, :5, :7, :6].numpy() == case.image.array).all()
        assert given.sum() == case.image.array.sum()
    assert not network.gradient
    assert field.grid == GRID
    # z runs along the physical z in 4 mm steps, x along the physical y in 2 mm steps.
    np.testing.assert_allclose(field.vectors[..., 2], moving.image.array / 2 * 4)
    np.testing.assert_allclose(field.vectors[..., 1], -2)
    np.testing.assert_allclose(field.vectors[..., 0], 0)


def test_a_size_that_fits_is_not_padded():
    network, grid = Spy(), Grid((4, 8, 4))
    predict(network, a_case(1, grid), a_case(2, grid))
    assert network.moving.shape == (1, 1, 4, 8, 4)


def test_the_field_maps_between_the_two_frames():
    # A shifted frame alone: −1 voxel along x, and 5 mm from frame to frame.
    moving = Case("m", Image(np.zeros((4, 4, 4), np.int16), Grid((4, 4, 4), origin=(5, 0, 0))))
    field = predict(Spy(), a_case(1, Grid((4, 4, 4))), moving)
    np.testing.assert_allclose(field.vectors, np.broadcast_to([4, 0, 0], (4, 4, 4, 3)), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 20, 15)])
def test_an_untrained_network_moves_nothing(shape):
    network = networks.build(
        "estienne2020", {"channels": [4, 4, 8, 8], "convolutions": [1, 1, 1]}
    ).eval()
    grid = Grid(shape, GRID.spacing, GRID.origin, GRID.direction)
    field = predict(network, a_case(1, grid), a_case(2, grid))
    assert field.vectors.shape == (*shape, 3)
    assert np.abs(field.vectors).max() < 1e-5


def test_mixed_precision_is_of_the_network_alone():
    class Convolution(Spy):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv3d(1, 3, 1)

        def predict_directions(self, moving, fixed, backward=True):
            self.output = self.layer(moving)
            return Prediction([self.output]), None

    network = Convolution()
    field = predict(network, a_case(1), a_case(2), precision="bfloat16")
    assert network.output.dtype == torch.bfloat16
    assert field.vectors.dtype == np.float32


def test_images_with_voxels_of_one_size_may_differ_in_shape():
    network, fixed = Spy(), a_case(1)
    other = Grid((6, 5, 9), GRID.spacing, (0.0, 5.0, -3.0), GRID.direction)
    moving = a_case(2, other)
    field = predict(network, fixed, moving)
    assert network.moving.shape == network.fixed.shape == (1, 1, 8, 8, 12)
    for given, case in ((network.moving, moving), (network.fixed, fixed)):
        z, y, x = case.grid.shape
        assert (given[0, 0, :z, :y, :x].numpy() == case.image.array).all()
        assert given.sum() == case.image.array.sum()
    assert field.grid == GRID
    # A voxel goes to the same index of the other grid, half its value there along z, one back in x.
    place = np.array([2.0, 3.0, 1.0])
    up = moving.image.array[2, 3, 1] / 2
    expected = other.index_to_physical(place + np.array([up, 0, -1]))
    reached = GRID.index_to_physical(place) + field.vectors[2, 3, 1]
    np.testing.assert_allclose(reached, expected, atol=1e-4)


def test_images_that_differ_in_shape_and_in_their_voxels_are_refused():
    with pytest.raises(WarplineError) as error:
        predict(Spy(), a_case(1), a_case(2, Grid((5, 7, 8))))
    for part in ("(5, 7, 6) and (5, 7, 8)", "pair case1, case2", "'pad_crop'", "'resample'"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((4, 4, 4), False), ((3, 1, 2), False), ((4, 4, 5), True), ((8, 1, 1), True)],
)
def test_a_grid_that_shrinks_to_one_voxel_is_refused(shape, fits):
    network = networks.build("estienne2020", {"channels": [2, 2, 2], "convolutions": [1, 1]}).eval()
    assert network.stride == 4
    grid = Grid(shape)
    if fits:
        check_size(network, shape)
        predict(network, a_case(1, grid), a_case(2, grid))
        return
    with pytest.raises(WarplineError, match=r"too small .* by 4, to \(1, 1, 1\)"):
        check_size(network, shape)
    with pytest.raises(ValueError, match="more than 1 spatial element"):  # else torch's own words
        predict(network, a_case(1, grid), a_case(2, grid))


class Wave(RegistrationNetwork):
    """A distribution of velocities that is known: constant mean, a variance for each axis."""

    stride, invertible = 4, True
    mean, deviation = (1.0, -0.5, 0.25), (0.3, 0.6, 0.1)

    def __init__(self):
        super().__init__()
        self.passes = 0

    def velocity(self, moving, fixed):
        self.passes += 1
        shape = (1, 3, *moving.shape[2:])
        columns = [torch.tensor(v).view(1, 3, 1, 1, 1) for v in (self.mean, self.deviation)]
        return Velocity(columns[0].expand(shape), 2 * columns[1].log().expand(shape))

    def transformation(self, velocity):
        return velocity

    def predict_directions(self, moving, fixed, backward=True):
        velocity = self.velocity(moving, fixed)
        return Prediction([velocity.mean]), Prediction([-velocity.mean])


def test_both_directions_come_from_one_pass_each_on_its_grid():
    network = Wave()
    other = Grid((5, 7, 6), (1.0, 2.0, 2.0), (3.0, 0.0, 1.0))
    fixed, moving = a_case(1), a_case(2, other)
    forward, backward = predict_both(network, fixed, moving)
    assert network.passes == 1
    assert forward.grid == GRID
    assert backward.grid == other
    for field, case, onto, sign in ((forward, fixed, other, 1), (backward, moving, GRID, -1)):
        place = np.array([2.0, 3.0, 1.0])
        point = case.grid.index_to_physical(place)
        expected = onto.index_to_physical(place + sign * np.array(network.mean))
        reached = point + field.vectors[2, 3, 1]
        np.testing.assert_allclose(reached, expected, atol=1e-4)


def test_the_spread_is_the_deviation_of_what_is_drawn_in_mm():
    network, fixed, moving = Wave(), a_case(1), a_case(2)
    state = torch.random.get_rng_state()
    found = spread(network, fixed, moving, samples=400, seed=3)
    assert network.passes == 1  # the convolutions run once
    assert found.grid == GRID
    assert found.array.dtype == np.float32
    # axes z, y, x are of 4, 3 and 2 mm
    expected = np.linalg.norm(np.array(network.deviation) * [4, 3, 2])
    assert np.sqrt((found.array**2).mean()) == pytest.approx(expected, rel=0.01)
    np.testing.assert_allclose(found.array, expected, rtol=0.2)
    again = spread(network, fixed, moving, samples=400, seed=3)
    assert np.array_equal(found.array, again.array)
    assert not np.array_equal(found.array, spread(network, fixed, moving, 400, seed=4).array)
    assert torch.equal(state, torch.random.get_rng_state())
    two = spread(network, fixed, moving, samples=2, seed=3).array
    torch.manual_seed(3)
    velocity = network.velocity(torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8))
    a, b = (velocity.draw()[0, :, :5, :7, :6].permute(1, 2, 3, 0).numpy() for _ in range(2))
    # of two values the deviation is their difference over the root of two
    np.testing.assert_allclose(
        two, np.linalg.norm((a - b) * [4, 3, 2], axis=-1) / np.sqrt(2), rtol=1e-4
    )
