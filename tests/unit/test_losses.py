"""Losses against closed forms, direct loops and MONAI; gradients against finite differences."""

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from scipy import ndimage

from warpline.training import losses

torch.set_num_threads(1)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_local_ncc_equals_a_direct_loop_over_windows():
    a, b = random(1, 1, 6, 5, 7, seed=1), random(1, 1, 6, 5, 7, seed=2)
    x, y = np.pad(a[0, 0].numpy(), 1), np.pad(b[0, 0].numpy(), 1)
    values = []
    for z in range(6):
        for j in range(5):
            for i in range(7):
                u = x[z : z + 3, j : j + 3, i : i + 3].astype(float)
                v = y[z : z + 3, j : j + 3, i : i + 3].astype(float)
                covariance = ((u - u.mean()) * (v - v.mean())).sum()
                product = ((u - u.mean()) ** 2).sum() * ((v - v.mean()) ** 2).sum()
                values.append(covariance**2 / (product + 1e-5))
    assert float(losses.local_ncc(a, b, window=3)) == pytest.approx(-np.mean(values), abs=1e-5)


def test_local_ncc_of_an_image_with_an_affine_copy_of_itself_is_almost_minus_one():
    a = random(1, 1, 16, 16, 16)
    # The border's windows see the zeros outside: compare the interior's weight only.
    inner = torch.zeros_like(a)
    inner[..., 4:-4, 4:-4, 4:-4] = 1
    assert float(losses.local_ncc(a, a)) < -0.999
    assert float(losses.local_ncc(a, 0.5 * a)) < -0.99
    assert float(losses.local_ncc(a, a, inner)) > -1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_local_ncc_of_flat_images_is_finite_with_finite_gradient(dtype):
    for value in (0.0, 0.3, 1.0):
        a = torch.full((1, 1, 10, 10, 10), value, dtype=dtype, requires_grad=True)
        b = random(1, 1, 10, 10, 10).to(dtype)
        loss = losses.local_ncc(a, b)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(a.grad).all()


def test_local_ncc_counts_each_version_of_the_warped_image():
    fixed = random(2, 1, 8, 8, 8, seed=3)
    mask = (random(2, 1, 8, 8, 8, seed=4) > 0.2).float()
    versions = [random(2, 1, 8, 8, 8, seed=s) for s in (5, 6)]
    together = losses.local_ncc(torch.cat(versions), fixed, mask)
    apart = sum(losses.local_ncc(v, fixed, mask) for v in versions) / 2
    torch.testing.assert_close(together, apart)


def test_mean_squared_error_by_hand():
    a, b = torch.zeros(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2) * 3
    mask = torch.zeros(1, 1, 2, 2, 2)
    mask[..., 0] = 1
    assert float(losses.mean_squared_error(a, b)) == 9
    assert float(losses.mean_squared_error(a, b, mask)) == 4.5


def test_soft_dice_by_hand_and_by_monai():
    a, b = torch.zeros(1, 2, 2, 2, 2), torch.zeros(1, 2, 2, 2, 2)
    a[0, 0, 0] = 1  # 4 voxels
    b[0, 0, 0, 0] = 1  # 2 of them
    # first label: 1 − (2·2 + 1) / (4 + 2 + 1); second, empty on both sides: 0
    assert float(losses.soft_dice(a, b)) == pytest.approx((1 - 5 / 7) / 2)
    p, q = random(3, 4, 5, 5, 5, seed=1), (random(3, 4, 5, 5, 5, seed=2) > 0.5).float()
    monai = DiceLoss(squared_pred=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    torch.testing.assert_close(losses.soft_dice(p, q), monai(p, q))


def test_identity_gradients_by_hand():
    gradients = torch.full((1, 3, 2, 2, 2), 0.5)
    assert float(losses.identity_gradients(gradients)) == 0
    gradients[0, 0] = 0.8
    assert float(losses.identity_gradients(gradients)) == pytest.approx(0.1)


def test_displacement_gradient_of_a_linear_field():
    field = torch.zeros(1, 3, 6, 6, 6)
    field[0, 1] = 0.5 * torch.arange(6.0).view(1, 6, 1)  # y component grows by .5 a voxel along y
    # along y: one component of three has slope .5; along z and x none
    assert float(losses.displacement_gradient(field)) == pytest.approx(0.25 / 3 / 3)
    assert float(losses.displacement_gradient(field, order=1)) == pytest.approx(0.5 / 3 / 3)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: losses.mean_squared_error(a, b),
        lambda a, b: losses.soft_dice(a, b),
        lambda a, b: losses.displacement_gradient(a),
        lambda a, b: losses.identity_gradients(a + 1.0),
        lambda a, b: losses.velocity_prior(a, b, 2.0),
        lambda a, b: losses.landmark_distance(a, 2.0 * b[0, :, 0, :3, 0], b[0, :, 1, :3, 1]),
        lambda a, b: losses.box_sum(a, 3).square().mean() + losses.box_sum(b, 3).square().mean(),
    ],
)
def test_gradients_against_finite_differences(loss):
    a = random(1, 3, 4, 5, 4, seed=1, dtype=torch.float64).requires_grad_()
    b = random(1, 3, 4, 5, 4, seed=2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(loss, (a, b))


def test_local_ncc_gradient_against_finite_differences():
    # local_ncc computes in single precision, so the check is by hand and with its tolerance
    a = random(1, 1, 6, 6, 6, seed=1).requires_grad_()
    b = random(1, 1, 6, 6, 6, seed=2)
    losses.local_ncc(a, b, window=3).backward()
    step = 1e-2
    for index in [(0, 0, 0, 0, 0), (0, 0, 3, 2, 4), (0, 0, 5, 5, 5)]:
        moved = a.detach().clone()
        moved[index] += step
        up = float(losses.local_ncc(moved, b, window=3))
        moved[index] -= 2 * step
        down = float(losses.local_ncc(moved, b, window=3))
        assert float(a.grad[index]) == pytest.approx((up - down) / (2 * step), rel=0.05, abs=1e-5)


def test_correlation_is_minus_the_squared_one_of_numpy():
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 1, 5, 6, 7, generator=generator)
    b = torch.rand(2, 1, 5, 6, 7, generator=generator) + 0.5 * a
    expected = -np.mean(
        [np.corrcoef(x.ravel(), y.ravel())[0, 1] ** 2 for x, y in zip(a, b, strict=True)]
    )
    assert float(losses.correlation(a, b)) == pytest.approx(expected, abs=2e-3)
    assert float(losses.correlation(a, b, epsilon=0)) == pytest.approx(expected, rel=1e-5)


def test_correlation_knows_no_scale_and_survives_a_constant_image():
    a = torch.rand(1, 1, 6, 6, 6, requires_grad=True)
    assert losses.correlation(a, 7 - 30 * a).item() == pytest.approx(-1, abs=1e-3)
    value = losses.correlation(a * 0 + 2, torch.rand(1, 1, 6, 6, 6))
    value.backward()
    assert float(value.detach()) == 0
    assert torch.isfinite(a.grad).all()


def test_dice_with_plain_denominators_by_hand():
    warped, fixed = torch.zeros(2, 1, 1, 1, 1, 4)
    warped[..., :2], fixed[..., 1:] = 0.5, 1.0
    # 2·0.5 / (1 + 3) without smoothing; squared: 1 / (0.5 + 3)
    plain = losses.soft_dice(warped, fixed, smooth=0.0, squared=False)
    assert float(plain) == pytest.approx(1 - 0.25)
    assert float(losses.soft_dice(warped, fixed, smooth=0.0)) == pytest.approx(1 - 1 / 3.5)


def test_gradients_in_voxels_count_twice():
    gradients = torch.tensor([0.25, 0.75, 0.5, 0.6]).reshape(1, 1, 1, 1, 4)
    assert float(losses.identity_gradients(gradients)) == pytest.approx(0.15)
    assert float(losses.identity_gradients(gradients, unit=1)) == pytest.approx(0.30)


def laplacian(shape) -> np.ndarray:
    """Of the grid's graph of face neighbours, by looking at every pair of voxels."""
    places = np.stack(np.indices(shape), -1).reshape(-1, 3)
    adjacent = (np.abs(places[:, None] - places).sum(-1) == 1).astype(float)
    return np.diag(adjacent.sum(1)) - adjacent


@pytest.mark.parametrize("shape", [(3, 2, 4), (1, 3, 3), (2, 2, 2)])
def test_velocity_prior_is_the_divergence_of_the_normal_distributions(shape):
    """By torch.distributions, with a prior that is barely proper; up to the constant it leaves."""
    precision, small, n = 7.0, 1e-7, int(np.prod(shape))
    prior = precision * torch.from_numpy(laplacian(shape)) + small * torch.eye(n).double()
    normal = torch.distributions.MultivariateNormal
    constant = -3 * 0.5 * (n + float(torch.logdet(prior)))
    for seed in range(3):
        mean = random(1, 3, *shape, seed=seed, dtype=torch.float64) - 0.5
        log_variance = 4 * random(1, 3, *shape, seed=seed + 10, dtype=torch.float64) - 5
        expected = sum(
            torch.distributions.kl_divergence(
                normal(m.flatten(), torch.diag(s.flatten().exp())),
                normal(torch.zeros(n).double(), precision_matrix=prior),
            )
            for m, s in zip(mean[0], log_variance[0], strict=True)
        )
        ours = float(losses.velocity_prior(mean, log_variance, precision))
        assert ours + constant == pytest.approx(float(expected), abs=1e-4)


def test_velocity_prior_by_hand():
    """Two voxels beside each other: one edge, each with one neighbour."""
    mean = torch.zeros(2, 3, 1, 1, 2)
    mean[0, 1, 0, 0, 1] = 2.0  # of the second batch member nothing: the mean over the batch
    log_variance = torch.full_like(mean, -1.0)
    spread = 3 * 2 * (10 * np.exp(-1) + 1)
    value = float(losses.velocity_prior(mean, log_variance))
    assert value == pytest.approx(0.5 * (spread + 0.5 * 10 * 4), rel=1e-6)
    # no data: the variance at which it is least is one over λ times the number of neighbours
    least = torch.full((1, 3, 3, 3, 3), -np.log(60.0)).requires_grad_()
    losses.velocity_prior(torch.zeros(1, 3, 3, 3, 3), least).backward()
    assert abs(float(least.grad[0, 0, 1, 1, 1])) < 1e-6
    assert abs(float(least.grad[0, 0, 0, 1, 1])) > 1e-2  # five neighbours


def test_velocity_prior_knows_no_translation():
    mean, log_variance = random(1, 3, 4, 3, 5), random(1, 3, 4, 3, 5, seed=1)
    there, moved = (losses.velocity_prior(m, log_variance) for m in (mean, mean + 3.0))
    torch.testing.assert_close(there, moved, rtol=1e-5, atol=0)


def test_landmark_distance_between_voxels_by_scipy():
    displacement = 4 * random(1, 3, 5, 6, 7) - 2
    fixed = torch.tensor([[0.0, 0.0, 0.0], [1.25, 3.5, 5.75], [4.0, 5.0, 6.0], [2.0, 0.5, 1.0]])
    moving = fixed + random(4, 3, seed=3)
    at = [
        ndimage.map_coordinates(component.numpy(), fixed.numpy().T, order=1)
        for component in displacement[0]
    ]
    error = fixed.numpy() + np.stack(at, axis=1) - moving.numpy()
    ours = losses.landmark_distance(displacement, fixed, moving)
    assert float(ours) == pytest.approx((error**2).sum(1).mean(), rel=1e-5)
    # of a landmark between voxels the field's gradient reaches the eight around it
    place = fixed[1:2]
    field = torch.zeros(1, 3, 5, 6, 7, requires_grad=True)
    losses.landmark_distance(field, place, place + torch.tensor([1.0, 0.0, 0.0])).backward()
    assert int((field.grad[0, 0] != 0).sum()) == 8
    assert float(field.grad[0, 0].sum()) == pytest.approx(-2.0)
    assert not field.grad[0, 1:].any()


def test_folding_by_hand():
    """A displacement of s voxels a voxel along x has the determinant 1 + s."""
    x = torch.arange(6.0).expand(1, 1, 4, 5, 6)
    for slope, expected in ((-1.5, 0.5), (-1.0, 0.0), (0.3, 0.0)):
        field = torch.cat([torch.zeros(1, 2, 4, 5, 6), slope * x], 1)
        assert float(losses.folding(field)) == pytest.approx(expected, abs=1e-6)
    assert float(losses.folding(field, margin=1.5)) == pytest.approx(0.2, abs=1e-6)


def test_folding_pushes_a_fold_apart():
    field = (-1.5 * torch.arange(5.0)).expand(1, 1, 5, 5, 5).repeat(1, 3, 1, 1, 1) * 1.0
    field[:, :2] = 0
    field.requires_grad_()
    before = losses.folding(field)
    before.backward()
    with torch.no_grad():
        after = losses.folding(field - 1e-2 * field.grad)
    assert after.item() < before.item()
