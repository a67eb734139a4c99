"""Muon beside a singular value decomposition, torch's own for matrices, and Adam."""

import numpy as np
import pytest
import torch
from torch import nn
from training_tools import Slope, course, small_network, small_objective

from warpline.errors import WarplineError
from warpline.training.checkpoints import StateFolder
from warpline.training.loop import train
from warpline.training.muon import Muon, turning


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (40, 3), (1, 27)])
def test_a_turning_has_the_singular_vectors_and_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, values, v = np.linalg.svd(matrix.numpy(), full_matrices=False)
    assert values.min() > 0.02 * values.max()
    found = turning(matrix).numpy()
    inner = u.T @ found @ v.T
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-3)
    assert (np.abs(np.diag(inner) - 0.95) < 0.27).all()
    # Whatever the size of the gradient.
    np.testing.assert_allclose(turning(1e-4 * matrix).numpy(), found, atol=2e-3)


def test_matrices_go_as_by_torch_s_own():
    torch.manual_seed(0)
    start = torch.randn(12, 30)
    own, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    ours = Muon([own], lr=0.02, weight_decay=0.1)
    theirs = torch.optim.Muon(
        [other], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        own.grad = torch.randn(12, 30)
        other.grad = own.grad.clone()
        ours.step()
        theirs.step()
    # It turns in half precision.
    moved = (own - start).norm()
    assert moved > 0.2
    assert (own - other).norm() < 0.01 * moved


def test_a_kernel_is_its_matrix_whatever_its_layout_and_a_bias_goes_by_adam():
    torch.manual_seed(0)
    kernel = torch.randn(4, 3, 3, 3, 3)
    plain = nn.Parameter(kernel.clone())
    last = nn.Parameter(kernel.clone(memory_format=torch.channels_last_3d))
    flat = nn.Parameter(kernel.flatten(1).clone())
    bias, beside = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    optimisers = Muon([plain, bias], lr=0.1), Muon([last], lr=0.1), Muon([flat], lr=0.1)
    adam = torch.optim.Adam([beside], lr=0.1)
    for _ in range(3):
        plain.grad = torch.randn_like(kernel)
        last.grad = plain.grad.contiguous(memory_format=torch.channels_last_3d)
        flat.grad = plain.grad.flatten(1)
        bias.grad = torch.randn(4)
        beside.grad = bias.grad.clone()
        for optimiser in (*optimisers, adam):
            optimiser.step()
    torch.testing.assert_close(last.data, plain.data)
    torch.testing.assert_close(flat.view_as(kernel).data, plain.data)
    assert torch.equal(bias, beside)
    assert not torch.equal(plain, kernel)


def test_a_parameter_without_a_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimiser = Muon([used, unused], lr=0.1, weight_decay=0.5)
    used.grad = torch.eye(2)
    optimiser.step()
    assert torch.equal(unused, torch.ones(2, 2))
    assert not torch.equal(used, torch.ones(2, 2))


def test_a_training_learns_and_is_taken_up_as_if_it_had_not_stopped(tmp_path, capsys):
    chosen = course(epochs=4, optimiser="muon", learning_rate=1e-2)
    straight, objective = small_network(), small_objective()
    before = objective.validate(straight)["loss"]
    train(straight, objective, chosen, tmp_path / "a")
    assert objective.validate(straight)["loss"] < before
    for epochs in (2, 4):
        network = small_network()
        again = course(epochs=epochs, optimiser="muon", learning_rate=1e-2)
        train(network, small_objective(), again, tmp_path / "b")
    for name, value in straight.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    assert "left aside" not in capsys.readouterr().out


def test_a_state_of_the_other_optimiser_is_not_taken_up(tmp_path, capsys):
    for name in ("adam", "muon", "adam"):
        network = nn.Linear(1, 1, bias=False)
        result = train(network, Slope(), course(epochs=1, optimiser=name), tmp_path)
        assert result.steps == 2
    told = capsys.readouterr().out
    assert told.count("its optimiser does not fit the network") >= 2


def test_a_moment_that_is_not_finite_stops_with_the_last_good_state(tmp_path):
    class Broken(Slope):
        def loss(self, network, batch):
            loss, parts = super().loss(network, batch)
            return loss * (float("inf") if batch.item() else 1.0), parts

    with pytest.raises(WarplineError, match="finite"):
        train(nn.Linear(1, 1), Broken(), course(epochs=1, optimiser="muon"), tmp_path)
    state = StateFolder(tmp_path).load()
    assert state is None or state["step"] < 2
