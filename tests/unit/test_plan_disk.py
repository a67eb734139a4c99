"""The disk that jobs ask for: bytes of what they write, by the plan alone."""

from pathlib import Path

import pytest

from warpline.plan.experiments import Experiment, registration_batches
from warpline.plan.inputs import disk
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run({"papers": ["bouabid2019", "hansen2020"], "scale": "paper"}, ROOT)


def test_a_job_asks_for_what_it_writes(run):
    # 256³ voxels: 12 bytes a displacement, 4 a voxel and 1 of its label.
    experiment = Experiment("luna16", "bouabid2019-cc", "test")
    batch, pairs = next(iter(registration_batches(run.catalog, experiment).items()))
    field = disk.fields_mb(run, "luna16", "bouabid2019-cc", "test", batch)
    assert field == pytest.approx(100 + len(pairs) * 256**3 * 12 / 1e6, abs=1)
    name, cases = next(iter(run.catalog.dataset("luna16").batches().items()))
    assert disk.cases_mb(run, "luna16", name) == pytest.approx(
        100 + len(cases) * 256**3 * 5 / 1e6, abs=1
    )


def test_where_sizes_are_not_known_much_is_asked_for(run):
    name = next(iter(run.catalog.dataset("dirlab-4dct").batches()))
    assert disk.cases_mb(run, "dirlab-4dct", name) == disk.NOT_KNOWN
