"""A rehearsal has published grids and networks, generated images, trainings of two steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from warpline.plan.config import read_yaml
from warpline.plan.downloads import download
from warpline.plan.experiments import measured, networks_of
from warpline.plan.inputs import seconds
from warpline.plan.outlook import datasets_asked
from warpline.plan.run import Run
from warpline.plan.trainings import recipe, training_cases
from warpline.plan.volumes import training_shape
from warpline.plan.wanted import Wanted

ROOT = Path(__file__).parents[2]
GRIDS = read_yaml(ROOT / "config" / "budget.yaml")["grids"]


def enough(training):
    """What a rehearsal changes of the sampling: two full batches from one pair, or one case."""
    if training["objective"] == "synthetic":
        return {"fields": 1, "in_memory": 1}
    return {"crops": max(2 * training["batch_size"], training["sampling"]["crops"])}


@pytest.mark.parametrize(
    "paper", ["estienne2020", "bouabid2019", "sokooti2017", "hansen2020", "hu2020"]
)
def test_a_rehearsal_is_the_published_scale_on_generated_images(paper):
    published, rehearsal = (
        Run({"papers": [paper], "scale": "paper", "rehearse": rehearse}, ROOT)
        for rehearse in (False, True)
    )
    names = datasets_asked(rehearsal, Wanted([paper]))
    assert {*names} <= {*datasets_asked(published, Wanted([paper]))}
    for name in names:
        data = rehearsal.catalog.dataset(name)
        assert data.spec["phantom"]
        assert download(rehearsal, name).missing == {}
        assert data.spec["prepare"] == published.catalog.dataset(name).spec["prepare"]
        assert data.spec["prealign"] == published.catalog.dataset(name).spec["prealign"]
        assert all(len(data.split(split)) <= 4 for split in data.splits)
    assert measured(rehearsal.catalog, paper)
    for dataset, method in networks_of(rehearsal.catalog, paper):
        of, as_published = (recipe(r.catalog, dataset, method) for r in (rehearsal, published))
        assert of["network"] == as_published["network"]
        assert of["loss"] == as_published["loss"]
        assert training_cases(rehearsal.catalog, dataset, method)[0]
        assert of["training"]["epochs"] * of["training"]["steps_per_epoch"] == 2
        # Of a cross-validation there are two folds.
        alike = dict.fromkeys(("epochs", "steps_per_epoch", "validation", "splits"))
        if of["training"]["objective"] != "registration":
            assert of["training"]["epochs"] == 1
            alike["sampling"] = as_published["training"]["sampling"] | enough(of["training"])
            assert of["training"]["sampling"] == alike["sampling"]
        cases = len(training_cases(rehearsal.catalog, dataset, method)[0])
        steps = seconds.steps_an_epoch(rehearsal, dataset, method, cases)
        assert steps * of["training"]["epochs"] == 2
        rest = [r["training"] | alike for r in (of, as_published)]
        assert rest[0] == rest[1]
        shapes = [training_shape(run, dataset, of, GRIDS) for run in (rehearsal, published)]
        assert shapes[0] == shapes[1]


def test_one_synthetic_pair_has_the_patches_of_two_published_batches():
    of = Run({"papers": ["sokooti2017"], "scale": "paper", "rehearse": True, "device": "cpu"}, ROOT)
    spec = recipe(of.catalog, "followup", "sokooti2017-regnet")["training"]
    assert spec["sampling"]["patches"] * 4 >= 2 * spec["batch_size"]  # each in four versions
    published = Run({"papers": ["sokooti2017"], "scale": "paper"}, ROOT)
    before = recipe(published.catalog, "followup", "sokooti2017-regnet")["training"]
    assert spec["batch_size"] == before["batch_size"]
    # One to learn from and one of each of the two scans that validation looks at, no more.
    cases, validation = training_cases(of.catalog, "followup", "sokooti2017-regnet")
    assert len(cases) > 1
    assert len(validation) == 2  # each scan by itself
    assert seconds.pairs_made(of, "followup", "sokooti2017-regnet") == 1 + 2
