"""What a training makes of its card, as far as a CPU can tell; on a GPU where there is one."""

from dataclasses import replace

import pytest
import torch
from training_tools import small_network

from warpline.cli.budget import Need
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.training import card, losses, precision
from warpline.training.registration_loss import Batch, RegistrationLoss

torch.set_num_threads(1)
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
LOSS = {
    "similarity": {"name": "mse", "weight": 1.0},
    "regularisation": {"name": "identity_gradients", "weight": 0.01},
    "dice": {"weight": 1.0},
}


@pytest.mark.parametrize(
    ("wanted", "device", "data", "step", "kept"),
    [
        ("auto", CUDA, 10, 4, CPU),  # of 15 bytes 13.5 are usable
        ("auto", CUDA, 9, 4, CUDA),
        ("device", CUDA, 99, 4, CUDA),
        ("host", CUDA, 1, 1, CPU),
        ("auto", CPU, 1, 1, CPU),
    ],
)
def test_cases_lie_where_a_step_leaves_room(wanted, device, data, step, kept):
    assert card.keeps_data(wanted, device, lambda: data, lambda: step, free=15) == kept


def test_the_budget_says_where_they_will_lie():
    need = Need("d/m", 1, [8] * 3, 1, 16, 4, 12, 0, 1, chooses=True)
    assert need.on_card(20) == need
    assert need.on_card(15) == replace(need, device=4, host=12)
    kept = replace(need, chooses=False)
    assert kept.on_card(15) == kept


@pytest.mark.parametrize(
    ("capability", "asked", "expected"),
    [
        ((9, 0), "card", "bfloat16"),
        ((7, 0), "card", "float16"),
        ((7, 5), "auto", "float16"),
        ((6, 1), "card", "single"),
        ((9, 0), "single", "single"),
    ],
)
def test_the_precision_of_a_card(capability, asked, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.precision_on(CUDA, asked) == expected
    assert precision.precision_on(CPU, "card") == "single"


def batch():
    torch.manual_seed(1)
    images = [torch.rand(1, 1, 16, 16, 16) for _ in range(2)]
    return Batch(*images, *(torch.rand(1, 2, 16, 16, 16).round() for _ in range(2)))


def test_the_loss_is_in_single_precision_whatever_the_network_computes_in(monkeypatch):
    network, criterion = small_network(), RegistrationLoss(LOSS, symmetric=True, masked=False)
    asked = []
    monkeypatch.setattr(
        losses,
        "soft_dice",
        lambda *args, **more: asked.append(torch.is_autocast_enabled("cpu")) or args[0].sum(),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, parts = criterion(network, batch())
    assert asked == [False, False]
    assert total.dtype == torch.float32
    assert {part.dtype for part in parts.values()} == {torch.float32}


@pytest.mark.parametrize(
    "method", ["bouabid2019-cc", "estienne2020-task4-sym", "hu2020-voxelmorph"]
)
def test_every_kind_of_network_learns_in_bfloat16_what_it_does_in_single(method):
    """A step of a recipe with narrow layers: its loss, and gradients that are numbers."""
    from warpline import networks

    recipe = Catalog({"scale": "demo"}, project_folder()).method(method)
    criterion = RegistrationLoss(recipe["loss"], symmetric=False, masked=False)
    found = []
    for mixed in (False, True):
        torch.manual_seed(0)
        network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            torch.manual_seed(3)
            loss, _ = criterion(network.train(), batch())
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        found.append(float(loss.detach()))
    assert found[1] == pytest.approx(found[0], rel=0.02, abs=0.002)


def losses_of(network, compiled, backend):
    criterion = RegistrationLoss(LOSS, symmetric=True, masked=False)
    optimiser, found = torch.optim.Adam(network.parameters(), lr=1e-3), []
    with card.compiled(network, compiled, backend):
        for _ in range(3):
            loss = criterion(network, batch())[0]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_a_compiled_network_has_the_same_losses(backend):
    expected = losses_of(small_network(), False, backend)
    network = small_network()
    assert losses_of(network, True, backend) == pytest.approx(expected, rel=1e-5)
    assert "predict_directions" not in vars(network)
    assert len(set(expected)) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_copies_through_pinned_memory_are_whole():
    tensor = torch.rand(64, 64, 64)
    assert torch.equal(card.moved(tensor, CUDA).cpu(), tensor)


def test_a_benchmark_of_convolutions_is_left_as_it_was():
    assert not torch.backends.cudnn.benchmark
    for device, deterministic, expected in (
        (CUDA, False, True),
        (CUDA, True, False),
        (CPU, False, False),
    ):
        with card.tuned(device, deterministic):
            assert torch.backends.cudnn.benchmark is expected
        assert not torch.backends.cudnn.benchmark
