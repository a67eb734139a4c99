"""What a training is told of its recipe."""

from pathlib import Path

import pytest

from warpline.errors import WarplineError
from warpline.plan.inputs.train import training_recipe
from warpline.plan.run import Run

ROOT = Path(__file__).resolve().parents[2]
MODEL = {"weights": {"model": "hippocampus-sym"}}


def run(methods):
    return Run({"scale": "cpu", "device": "cpu", "override": {"methods": methods}}, ROOT)


def test_a_network_with_given_weights_is_not_trained():
    given = run({"hippocampus-second": MODEL})
    # The second of them extends the first.
    for method in ("hippocampus-second", "hippocampus-sym"):
        with pytest.raises(WarplineError, match="is not trained") as told:
            training_recipe(given, "hippocampus", method)
        assert method in str(told.value)


def test_one_that_extends_it_is_trained_if_it_takes_them_back():
    partly = run({"hippocampus-second": MODEL, "hippocampus-sym": {"weights": None}})
    assert training_recipe(partly, "hippocampus", "hippocampus-sym")["training"]["epochs"] == 24
