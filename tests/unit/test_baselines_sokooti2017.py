"""The baselines of Sokooti et al. 2017: what their files state, and that they register."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.fields.physical import DisplacementField
from warpline.phantoms.providers.followup import stored_pair
from warpline.plan.catalog import Catalog
from warpline.registration import baselines

pytestmark = pytest.mark.tool("elastix")

ROOT = Path(__file__).parents[2]
NAMES = ("affine", "bspline-1r", "bspline-3r")


def stages(name: str) -> list[dict[str, str]]:
    """The elastix parameters of a method's stages."""
    spec = Catalog({"scale": "paper"}, ROOT).method(f"sokooti2017-{name}")
    assert spec["parameters"] == {"masked": "fixed"}
    texts = [(ROOT / file).read_text() for file in spec["parameter_files"]]
    return [dict(re.findall(r"^\((\w+) (.*)\)$", text, re.MULTILINE)) for text in texts]


def test_the_paper_s_settings():
    affine, *nothing = stages("affine")
    assert not nothing
    assert affine["Metric"] == '"AdvancedNormalizedCorrelation"'
    assert (affine["NumberOfResolutions"], affine["MaximumNumberOfIterations"]) == ("5", "1000")
    assert len(affine["ImagePyramidSchedule"].split()) == 15
    for name, levels, iterations in (("bspline-1r", 1, 2000), ("bspline-3r", 3, 500)):
        first, then = stages(name)
        assert first == affine
        assert then["FinalGridSpacingInPhysicalUnits"] == "10.0 10.0 10.0"
        assert then["GridSpacingSchedule"].split()[-1] == "1.0"
        assert len(then["GridSpacingSchedule"].split()) == levels
        assert int(then["NumberOfResolutions"]) == levels
        assert len(then["ImagePyramidSchedule"].split()) == 3 * levels
        assert int(then["MaximumNumberOfIterations"]) == iterations


@pytest.fixture(scope="module")
def errors() -> dict[str, float]:
    """Mean TRE in mm by method, of a phantom pair on a coarse grid and few iterations."""
    pair = stored_pair((2017, 3), spacing=[6.0, 6.0, 6.0])
    steps = [{"clip_background": {}}, {"resample": {"spacing": [6, 6, 6]}}]
    fixed, moving = (
        prepare(Case(name, scan.image, mask=scan.lungs), steps)
        for name, scan in (("fixed", pair.baseline), ("moving", pair.followup))
    )

    def error(field: DisplacementField) -> float:
        mapped = field.transform_points(pair.baseline.points)
        return float(np.linalg.norm(mapped - pair.followup.points, axis=1).mean())

    found = {"none": error(DisplacementField.identity(fixed.grid))}
    catalog = Catalog({"scale": "demo"}, ROOT)
    for name in NAMES:
        spec = catalog.method(f"sokooti2017-{name}")
        parameters = {**spec["parameters"], "files": [ROOT / f for f in spec["parameter_files"]]}
        parameters |= {"MaximumNumberOfIterations": 80, "NumberOfSpatialSamples": 1000}
        run = baselines.get(spec["kind"])
        found[name] = error(run(fixed, moving, parameters, threads=1, seed=spec["seed"]))
    return found


def test_the_error_falls_from_affine_to_three_resolutions(errors):
    assert errors["affine"] < 0.6 * errors["none"]
    assert errors["bspline-1r"] < 0.9 * errors["affine"]
    assert errors["bspline-3r"] < 0.7 * errors["bspline-1r"]
    assert errors["bspline-3r"] < 2.5
