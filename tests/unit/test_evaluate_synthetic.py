"""Errors on synthetic pairs: the patches are those of validation, and every one is a record."""

import numpy as np
import pytest
import torch
from schema_tools import sampling_of, table_of

from warpline import networks
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.evaluation.synthetic import synthetic_records
from warpline.images.grid import Grid, Image
from warpline.registration.synthetic.patches import Sampling
from warpline.tables.build import build
from warpline.training.synthetic import SyntheticObjective

torch.set_num_threads(1)
SAMPLING = sampling_of("synthetic", fields=2, patches=8, validation_patches=5, frequencies=["high"])
RECIPE = {"training": {"sampling": SAMPLING, "batch_size": 3}, "seed": 4}
NARROW = {
    "alone": [2, 2, 2],
    "together_full": [2, 2],
    "together_low": [2, 2, 2, 2, 2, 2],
    "joined": [3, 3, 3, 4],
    "connected": 4,
}


def lung_case(name: str, seed: int) -> Case:
    grid = Grid((12, 14, 10), spacing=(4.0, 4.0, 5.0))
    image = np.random.default_rng(seed).normal(-600, 200, grid.shape).astype(np.float32)
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    return Case(name, Image(image, grid), mask=Image(mask, grid))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return networks.build("sokooti2017", NARROW).eval()


@pytest.fixture(scope="module")
def cases():
    return [lung_case("a", 0), lung_case("b", 1)]


@pytest.fixture(scope="module")
def frame(network, cases):
    return synthetic_records(
        network, cases, RECIPE, dataset="d", method="net", split="val-synthetic"
    )


def test_every_patch_of_every_field_of_every_case_is_a_record(frame):
    counts = frame.groupby(["fixed", "moving", "metric"])["label"].nunique()
    assert counts.to_dict() == {
        (case, case, metric): 2 * 5
        for case in "ab"
        for metric in ("mae", "mae_x", "mae_y", "mae_z", "displacement", "mae_identity")
    }
    assert not frame.duplicated(["fixed", "metric", "label"]).any()
    wide = frame.pivot(index=["fixed", "label"], columns="metric", values="value")
    axes = wide[["mae_x", "mae_y", "mae_z"]]
    np.testing.assert_allclose(wide["mae"], axes.sum(axis=1), rtol=1e-6)
    assert axes.gt(0).all(axis=None)
    assert set(frame["unit"]) == {"mm"}
    # |u|₂ ≤ |u|₁ ≤ √3 |u|₂, and no component lies beyond the last class
    ratio = wide["mae_identity"] / wide["displacement"]
    assert ratio.between(1 - 1e-6, np.sqrt(3) + 1e-6).all()
    assert wide["displacement"].between(0, 8 * np.sqrt(3)).all()


def test_a_network_that_moves_nothing_errs_by_the_displacement(network, cases):
    still = networks.build("sokooti2017", NARROW).eval()
    torch.nn.init.zeros_(still.last.weight)
    torch.nn.init.zeros_(still.last.bias)
    frame = synthetic_records(still, cases, RECIPE, dataset="d", method="n", split="s")
    wide = frame.pivot(index=["fixed", "label"], columns="metric", values="value")
    np.testing.assert_allclose(wide["mae"], wide["mae_identity"], rtol=1e-6)
    length = np.sqrt(np.square(wide[["mae_x", "mae_y", "mae_z"]]).sum(axis=1))
    np.testing.assert_allclose(wide["displacement"], length, rtol=1e-5)
    assert wide[["mae_x", "mae_y", "mae_z"]].le(8 * (1 + 1e-5)).all(axis=None)
    assert wide["displacement"].gt(8).any()  # lengths of more than the largest component


def test_the_table_of_validation_cases_repeats_the_training_s_last_validation(
    frame, network, cases
):
    objective = SyntheticObjective(
        cases,
        cases,
        error={"name": "mae"},
        batch_size=3,
        sampling=Sampling(**SAMPLING),
        seed=4,
    )
    history = objective.validate(network)
    row = {"id": "r", "title": "R", "dataset": "d", "method": "net", "split": "val-synthetic"}
    columns = {
        "mae_y": {"title": "", "metric": "mae_y", "over": "labels"},
        "sd": {"title": "", "metric": "mae_y", "over": "labels", "statistic": "std"},
    }
    entry = table_of({"title": "t", "columns": columns, "rows": [row]})
    table = build(frame, entry, resamples=20)
    assert table["mae_y"][0] == pytest.approx(history["mae_y"], rel=1e-5)
    values = frame.loc[frame["metric"] == "mae_y", "value"]
    assert table["sd"][0] == pytest.approx(values.std(), rel=0.06)
    assert table["n"][0] == 2  # images


def test_another_seed_draws_other_patches(frame, network, cases):
    other = synthetic_records(
        network, cases, RECIPE | {"seed": 5}, dataset="d", method="net", split="val-synthetic"
    )
    assert not np.isclose(other["value"], frame["value"]).all()


def test_a_case_without_lungs_is_named(network):
    bare = lung_case("bare", 0)
    bare.mask.array[:] = 0
    with pytest.raises(WarplineError, match="lung mask") as error:
        synthetic_records(network, [bare], RECIPE, dataset="d", method="net", split="s")
    assert "case bare" in str(error.value)
