"""Hu et al. 2020: size, start, draws and mean, one pass for both directions, what it can learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from warpline import networks
from warpline.errors import WarplineError
from warpline.fields.algebra import compose, exponentiate, jacobian_determinant
from warpline.fields.sampling import warp
from warpline.networks.voxelmorph import finer
from warpline.plan.catalog import Catalog
from warpline.training import losses

torch.set_num_threads(1)
SMALL = {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]}


def smooth(shape, seed, deviation=2.0) -> torch.Tensor:
    """Smooth noise (1, 1, z, y, x) between 0 and 1."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.random(shape), deviation, mode="wrap")
    image = (image - image.min()) / np.ptp(image)
    return torch.from_numpy(image.astype(np.float32))[None, None]


def awake(log_variance=-3.0) -> networks.RegistrationNetwork:
    """A small network whose velocities are no longer next to nothing."""
    torch.manual_seed(0)
    network = networks.build("hu2020", SMALL)
    torch.nn.init.normal_(network.level.flow.weight[:3], std=0.1)
    torch.nn.init.constant_(network.level.flow.bias[3:], log_variance)
    return network


def test_size_is_that_of_voxelmorph_with_a_second_head():
    half = networks.parameter_count(networks.build("voxelmorph", {"half_resolution": True}))
    network = networks.build("hu2020", {})
    assert networks.parameter_count(network) == half + (27 * 16 + 1) * 3
    assert network.stride == 16


def test_the_start_is_next_to_the_identity_and_nearly_certain():
    torch.manual_seed(0)
    network = networks.build("hu2020", {}).requires_grad_(False)
    heads = network.level.flow
    for part, deviation, bias in ((slice(3), 1e-5, 0), (slice(3, 6), 1e-10, -10)):
        assert float(heads.weight[part].std()) == pytest.approx(deviation, rel=0.1)
        assert (heads.bias[part] == bias).all()
    prediction = network.eval()(torch.rand(2, 1, 16, 32, 16), torch.rand(2, 1, 16, 32, 16))
    assert prediction.displacement.shape == (2, 3, 16, 32, 16)
    assert 0 < prediction.displacement.abs().max() < 1e-2
    velocity = prediction.velocity
    assert velocity.mean.shape == velocity.log_variance.shape == (2, 3, 8, 16, 8)
    torch.testing.assert_close(velocity.log_variance, torch.full((2, 3, 8, 16, 8), -10.0))


def test_training_draws_by_seed_and_registration_uses_the_mean():
    network = awake()
    moving, fixed = torch.rand(2, 1, 1, 8, 12, 16)

    def after(seed):
        torch.manual_seed(seed)
        return network(moving, fixed).displacement

    assert torch.equal(after(5), after(5))
    assert not torch.allclose(after(5), after(6))
    network.eval()
    assert torch.equal(after(5), after(6))
    expected = finer(exponentiate(network.velocity(moving, fixed).mean, 7))
    torch.testing.assert_close(after(0), expected)


def test_draws_have_the_mean_and_variance_that_they_are_drawn_from():
    shape, n = (1, 3, 2, 2, 2), 4000
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(shape, generator=generator).requires_grad_()
    log_variance = torch.randn(shape, generator=generator).requires_grad_()
    torch.manual_seed(2)
    velocity = networks.Velocity(mean, log_variance)
    draws = torch.stack([velocity.draw() for _ in range(n)])
    deviation = torch.exp(log_variance / 2)
    error = (draws.mean(0) - mean) / (deviation / np.sqrt(n))
    assert error.abs().max() < 4  # standard errors, of 24 means
    torch.testing.assert_close(draws.std(0), deviation, rtol=0.06, atol=0)
    # v = μ + exp(ℓ/2)·z: dv/dμ = 1 and dv/dℓ = (v − μ)/2
    one = draws[0]
    by_mean, by_log = torch.autograd.grad(one.sum(), (mean, log_variance))
    assert (by_mean == 1).all()
    torch.testing.assert_close(by_log, (one - mean).detach() / 2)


class Known(torch.nn.Module):
    """In place of the U-Net: a smooth velocity of up to two voxels, and how often it is asked."""

    def __init__(self, log_variance=-20.0):
        super().__init__()
        self.passes = 0
        wave = torch.linspace(0, torch.pi, 16).sin()
        bump = wave.view(-1, 1, 1) * wave.view(-1, 1) * wave
        mean = torch.stack([2 * bump, -bump * wave, 1.5 * bump * wave.view(-1, 1)])
        self.out = torch.cat([mean, torch.full_like(mean, log_variance)])[None]

    def forward(self, moving, fixed):
        self.passes += 1
        return self.out


def test_one_pass_gives_both_directions_and_they_are_inverse():
    network = networks.build("hu2020", SMALL).eval()
    network.level = Known()
    images = torch.rand(2, 1, 1, 32, 32, 32)
    forward, backward = network.predict_directions(*images)
    assert network.level.passes == 1
    there, back = forward.displacement, backward.displacement
    assert there.abs().max() > 3  # in voxels of the images
    residual, apart = compose(there, back).abs().max(), (there + back).abs().max()
    assert residual < 0.02 * there.abs().max()
    assert residual < apart / 10  # not merely the negative
    assert (jacobian_determinant(there) > 0).all()
    torch.testing.assert_close(backward.velocity.mean, -forward.velocity.mean)
    assert network.predict_directions(*images, backward=False)[1] is None


def test_both_directions_of_a_draw_are_of_the_same_draw():
    network = networks.build("hu2020", SMALL)
    network.level = Known(log_variance=-6.0)
    torch.manual_seed(3)
    forward, backward = network.predict_directions(*torch.rand(2, 1, 1, 32, 32, 32))
    certain = network.eval()(*torch.rand(2, 1, 1, 32, 32, 32)).displacement
    drawn = (forward.displacement - certain).abs().mean()
    residual = compose(forward.displacement, backward.displacement).abs().mean()
    assert drawn > 0.02
    assert residual < drawn / 2  # of two draws it would be larger than of one


def test_landmarks_alone_teach_a_shift_where_images_say_nothing():
    """And the variance leaves its start for where the prior has it: 1/(λ·6) inside."""
    torch.manual_seed(0)
    image = torch.full((1, 1, 16, 16, 16), 0.5)
    network = networks.build("hu2020", SMALL)
    fixed = torch.rand(6, 3) * 6 + 5
    moving = fixed + torch.tensor([1.0, -2.0, 0.5])
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(240):
        prediction = network(image, image)
        velocity = prediction.velocity
        prior = losses.velocity_prior(velocity.mean, velocity.log_variance) / 16**3
        loss = prior + 0.5 * losses.landmark_distance(prediction.displacement, fixed, moving)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        prediction = network(image, image)
    error = losses.landmark_distance(prediction.displacement, fixed, moving)
    assert error.sqrt() < 0.3  # 2.3 voxels without registration
    inside = prediction.velocity.log_variance[..., 3:-3, 3:-3, 3:-3]
    assert float(inside.mean()) == pytest.approx(-np.log(60), abs=1.0)


def test_images_are_matched_by_the_mean():
    torch.manual_seed(0)
    fixed = smooth((16, 16, 16), 0)
    moving = torch.from_numpy(np.roll(fixed.numpy(), (2, -1, 1), (2, 3, 4)))
    network = networks.build("hu2020", SMALL)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        prediction = network(moving, fixed)
        velocity = prediction.velocity
        error = losses.mean_squared_error(warp(moving, prediction.displacement), fixed)
        prior = losses.velocity_prior(velocity.mean, velocity.log_variance) / 16**3
        loss = 250 * error + 0.1 * prior
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        inside = network.eval()(moving, fixed).displacement[0, :, 4:-4, 4:-4, 4:-4]
    assert (inside.mean((1, 2, 3)) - torch.tensor([2.0, -1.0, 1.0])).abs().max() < 0.5


def test_parameters_that_make_no_network_are_refused():
    with pytest.raises(WarplineError, match="three entries more"):
        networks.build("hu2020", {"encoder": [4, 6], "decoder": [6, 4]})


@pytest.mark.parametrize("scale", ["demo", "cpu", "paper"])
def test_the_recipes_differ_by_the_landmarks_alone_and_hold_what_is_published(scale):
    catalog = Catalog({"scale": scale}, Path(__file__).parents[2])
    plain, ours = (catalog.method(f"hu2020-{name}") for name in ("voxelmorph", "landmarks"))
    weight = 0.1 if scale == "cpu" else 1 / (2 * 1.0)  # σ_l² = 1; at cpu: docs/papers/hu2020.md
    assert ours["loss"].pop("landmarks") == {"weight": weight}
    assert plain["loss"]["similarity"] == {"name": "mse", "weight": 1 / (2 * 0.02)}  # σ² = 0.02
    assert plain["loss"]["regularisation"]["precision"] == 10
    different = {key for key in plain | ours if plain.get(key) != ours.get(key)}
    assert different <= {"title", "extends"}
    if scale == "paper":
        assert plain["training"]["optimiser"]["learning_rate"] == 1e-4
    networks.build(plain["network"]["name"], plain["network"]["parameters"])
