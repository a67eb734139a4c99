"""Memory and minutes that jobs ask for: the count by hand, what stands before it, its limits."""

from pathlib import Path

import pytest

from warpline.plan.config import read_yaml
from warpline.plan.experiments import Experiment, registration_batches
from warpline.plan.inputs import needs
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]
JOBS = read_yaml(ROOT / "config" / "budget.yaml")["jobs"]
BOUABID = ("luna16", "bouabid2019-alpha-1e-4")


def run(**config) -> Run:
    return Run({"papers": ["bouabid2019"], "scale": "paper", "device": "cpu", **config}, ROOT)


@pytest.fixture(scope="module")
def paper() -> Run:
    return run()


@pytest.fixture
def large_machine(monkeypatch):
    monkeypatch.setattr(needs, "_machine_mb", lambda: 1e6)


def test_a_registration_asks_for_what_its_volumes_take(paper):
    rate = JOBS["register"]["bouabid2019"]
    counted = 500 + 1.5 * (rate["start"] + rate["bytes"] * 256**3 / 1e6)
    assert needs.registration_mb(paper, *BOUABID) == pytest.approx(counted, abs=1)
    name, pairs = next(
        iter(registration_batches(paper.catalog, Experiment(*BOUABID, "test")).items())
    )
    minutes = 10 + 5 * len(pairs) * rate["seconds"] * 256**3 / 1e6 / 60
    asked = needs.registration_minutes(paper, *BOUABID, "test", name)
    assert asked == pytest.approx(max(60, minutes), abs=1)


def test_other_methods_and_grids_ask_for_other_amounts(paper):
    of = {m: needs.registration_mb(paper, "luna16", m) for m in ("identity", "syn", "warpline")}
    assert of["identity"] < of["syn"]
    small = run(scale="cpu")
    assert needs.registration_mb(small, "luna16", "syn") < of["syn"]
    one = needs.registration_minutes(small, "luna16", "syn", "test", "b000")
    assert one < needs.registration_minutes(paper, "luna16", "syn", "test", "b000")


def test_a_preparation_asks_for_its_largest_scan(paper):
    rate = JOBS["prepare"]
    counted = 500 + 1.5 * (rate["start"] + rate["bytes"] * 764 * 512 * 512 / 1e6)
    assert needs.preparation_mb(paper, "luna16") == pytest.approx(counted, abs=1)
    name, cases = next(iter(paper.catalog.dataset("luna16").batches().items()))
    minutes = 10 + 5 * len(cases) * rate["seconds"] * 764 * 512 * 512 / 1e6 / 60
    assert needs.preparation_minutes(paper, "luna16", name) == pytest.approx(minutes, abs=1)


def test_a_training_asks_for_its_data_twice_or_with_its_step(paper, large_machine):
    data = (98 + 33) * 256**3 * 5 / 1e6  # 131 cases, 4 bytes a voxel and 1 of its label
    step = JOBS["steps"]["bouabid2019"] * 256**3 / 1e6
    assert data / 0.5 > 1.05 * data + 1.85 * step
    assert needs.training_mb(paper, *BOUABID) == pytest.approx(1500 + data / 0.5, rel=0.02)
    card = needs.training_mb(run(device="cuda"), *BOUABID)
    assert card == needs.training_mb(paper, *BOUABID) + 3000


def test_a_training_takes_no_more_than_most_of_this_machine(paper, monkeypatch):
    monkeypatch.setattr(needs, "_machine_mb", lambda: 10_000)
    assert needs.training_mb(paper, *BOUABID) == 9000


def test_what_is_configured_stands_before_the_count():
    fixed = run(memory_mb=7000)
    name = next(iter(fixed.catalog.dataset("luna16").batches()))
    asked = (
        needs.memory_mb(fixed),
        needs.registration_mb(fixed, *BOUABID),
        needs.preparation_mb(fixed, "luna16"),
        needs.training_mb(fixed, *BOUABID),
    )
    assert set(asked) == {7000}
    assert needs.preparation_minutes(fixed, "luna16", name) > 60


def test_where_sizes_are_not_known_much_is_asked_for():
    breaths = run(papers=["hansen2020"])
    assert needs.preparation_mb(breaths, "dirlab-4dct") == needs.NOT_KNOWN
    generated = run(scale="demo")
    assert needs.preparation_mb(generated, "luna16") == needs.NOT_KNOWN


def test_the_share_of_data_is_that_of_a_training():
    from warpline.training import room

    assert room.SHARE == needs.SHARE


def test_steps_are_those_that_are_counted():
    import math

    from warpline.plan.trainings import recipe
    from warpline.training.budget import step_cost

    spec = recipe(run().catalog, *BOUABID)
    counted = step_cost(spec, (32, 32, 32), 1).bytes / math.prod((32, 32, 32))
    assert JOBS["steps"]["bouabid2019"] == pytest.approx(counted, rel=0.15)
