"""Trainings of repeatable operations alone: what is asked of torch, and what happens without."""

from __future__ import annotations

import os

import pytest
import torch
from schema_tools import SCHEMA
from training_tools import Slope, course

from warpline.errors import WarplineError
from warpline.plan.config import validate
from warpline.training.loop import train
from warpline.training.settings import Settings

torch.set_num_threads(1)


class Watched(Slope):
    """Notes whether torch takes repeatable operations alone."""

    def loss(self, network, batch):
        self.seen = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        return super().loss(network, batch)


class Unrepeatable(Slope):
    """Puts numbers by an operation that has no repeatable form, on a CPU neither."""

    def loss(self, network, batch):
        loss, parts = super().loss(network, batch)
        return loss + torch.zeros(2).put_(torch.tensor([0]), loss.detach()[None])[1], parts


def line() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(1, 1)


def flags() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize("benchmark", [True, False])
def test_torch_is_asked_for_the_time_of_the_training(tmp_path, monkeypatch, benchmark):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
    before, one = flags(), Watched()
    train(line(), one, course(epochs=1, deterministic=True), tmp_path / "a")
    assert one.seen == (True, False)
    assert flags() == before
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # somebody's own stays
    train(line(), one, course(epochs=1, deterministic=True), tmp_path / "c")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    train(line(), one, course(epochs=1), tmp_path / "b")
    assert one.seen == (False, benchmark)


def test_an_operation_without_a_repeatable_form_stops_the_training_and_is_named(tmp_path):
    before, one = flags(), Unrepeatable()
    train(line(), one, course(epochs=1), tmp_path / "a")
    with pytest.raises(WarplineError, match="put_ does not have a deterministic") as error:
        train(line(), one, course(epochs=1, deterministic=True), tmp_path / "b")
    assert error.value.where == "key 'training.deterministic' of the method"
    assert flags() == before


def test_another_error_stays_what_it_is(tmp_path):
    class Broken(Slope):
        def loss(self, network, batch):
            raise RuntimeError("out of memory")

    chosen = course(epochs=1, deterministic=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(line(), Broken(), chosen, tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()


def test_two_trainings_give_the_same_bits_and_those_of_plain_ones(tmp_path):
    weights = []
    for k, wanted in enumerate((True, True, False)):
        network = line()
        chosen = course(epochs=2, deterministic=wanted)
        train(network, Slope(), chosen, tmp_path / str(k))
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_the_key_of_a_recipe_leaves_others_as_they_were():
    """A default would be part of each recipe, and train all of them anew."""
    spec = {"title": "t", "kind": "network", "training": {"epochs": 1}}
    plain = validate(spec, SCHEMA, "a test")["training"]
    assert "deterministic" not in plain
    assert Settings.of(plain, 0, validated=False).deterministic is False
    spec["training"]["deterministic"] = True
    asked = validate(spec, SCHEMA, "a test")["training"]
    assert Settings.of(asked, 0, validated=False).deterministic is True
