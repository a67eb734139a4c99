"""What elastix' parameter files and ANTs' arguments ask for, counted by hand."""

from pathlib import Path

import pytest

from warpline.plan.inputs.iterations import Iterations, iterations, of_elastix, of_syn
from warpline.plan.run import Run

ROOT = Path(__file__).resolve().parents[2]


def run(scale):
    return Run({"scale": scale, "device": "cpu"}, ROOT)


@pytest.mark.parametrize(
    ("scale", "method", "samples", "penalised"),
    [
        ("paper", "hu2020-elastix", 4 * 500, 0),
        ("demo", "hu2020-elastix", 4 * 60, 0),  # by the recipe's parameters
        ("paper", "elastix-bspline", 3 * 150, 3 * 150),
        ("paper", "sokooti2017-bspline-1r", 5 * 1000 + 2000, 0),  # its affine stage first
        ("demo", "sokooti2017-bspline-3r", (5 + 3) * 100, 0),
    ],
)
def test_iterations_of_the_methods_of_elastix(scale, method, samples, penalised):
    assert iterations(run(scale), method) == Iterations(samples=samples, penalised=penalised)


@pytest.mark.parametrize(
    ("scale", "method", "voxels", "metric"),
    [
        ("paper", "hu2020-syn", 100 / 512 + 70 / 64 + 50 / 8 + 20, "mattes"),
        ("paper", "syn", 40 / 64 + 20 / 8, "CC"),
        ("paper", "syn-only", 40 / 64 + 20 / 8 + 10, "CC"),
    ],
)
def test_iterations_of_the_methods_of_syn(scale, method, voxels, metric):
    assert iterations(run(scale), method) == Iterations(voxels=pytest.approx(voxels), metric=metric)


def test_other_kinds_ask_for_none():
    assert iterations(run("paper"), "warpline") == Iterations()
    assert iterations(run("paper"), "affine") == Iterations()


def test_a_file_that_says_nothing_has_what_elastix_takes():
    assert of_elastix(["// (MaximumNumberOfIterations 7)\n"], {}).samples == 3 * 500


def test_one_number_for_each_resolution():
    text = "(NumberOfResolutions 3)\n(MaximumNumberOfIterations 10 20)\n"
    assert of_elastix([text], {}).samples == 10 + 20 + 20
    assert of_elastix([text], {"MaximumNumberOfIterations": [5, 6, 7]}).samples == 18
    assert of_elastix([text, text], {"NumberOfResolutions": 1}).samples == 10 + 10


def test_only_the_stage_that_prices_bending_is_penalised():
    plain = "(NumberOfResolutions 1)\n(MaximumNumberOfIterations 8)\n"
    priced = plain + '(Metric "AdvancedNormalizedCorrelation" "TransformBendingEnergyPenalty")\n'
    assert of_elastix([plain, priced], {}) == Iterations(samples=16, penalised=8)


def test_ants_own_levels_where_nothing_is_said():
    assert of_syn({}) == Iterations(voxels=40 / 64 + 20 / 8, metric="mattes")


def test_seconds_by_a_rate():
    rate = {"iteration": 0.01, "penalty": 0.1, "mattes": 2.0, "CC": 5.0}
    assert Iterations(samples=100, penalised=10).seconds(rate) == (pytest.approx(2.0), 0)
    assert Iterations(voxels=3, metric="CC").seconds(rate) == (0, 15)
    # A metric that nobody has measured goes by ANTs' own.
    assert Iterations(voxels=3, metric="GC").seconds(rate) == (0, 6)
    assert Iterations().seconds({"pair": 1.0, "seconds": 2.0}) == (0, 0)
