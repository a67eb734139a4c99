"""An initial registration before a method: order of the two fields, cases, configuration."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fieldtools import smooth_field, smooth_image

from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.registration.batch import register_batch
from warpline.registration.initial import resample_moving
from warpline.registration.registrar import Registrar, Registration

ROOT = Path(__file__).parents[2]
FIXED = Grid((18, 20, 22), (1.5, 1.5, 2.0), (-15.0, 10.0, 5.0))
MOVING = Grid((20, 26, 24), (1.4, 1.6, 2.2), (-13.0, 4.0, 2.0))


def stretch() -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 0], matrix[:3, 3] = 1.1, (3.0, -4.0, 2.0)
    return matrix


@pytest.fixture
def fields() -> tuple[DisplacementField, DisplacementField]:
    """An initial map onto the moving case, and what a method finds afterwards."""
    return (
        DisplacementField.from_matrix(stretch(), FIXED),
        smooth_field(FIXED, amplitude=2.0, sigma=6.0),
    )


def cases() -> tuple[Case, Case]:
    image = smooth_image(MOVING)
    labels = Image((image.array > np.median(image.array)).astype(np.uint8), MOVING)
    table = pd.DataFrame({"id": ["1"], "x": [0.0], "y": [10.0], "z": [20.0]})
    moving = Case("two", image, labels=labels, mask=labels, landmarks=table)
    return Case("one", smooth_image(FIXED)), moving


def test_the_moved_case_lies_on_the_fixed_grid(fields):
    first, _ = fields
    case = resample_moving(cases()[1], first)
    assert all(part.grid == FIXED for part in (case.image, case.labels, case.mask))
    assert case.landmarks is None
    assert case.labels.array.dtype == np.uint8
    # What stands at x now stood at T(x) before.
    index = np.array([[9, 10, 11]])
    there = FIXED.index_to_physical(index) @ stretch()[:3, :3].T + stretch()[:3, 3]
    back = np.rint(MOVING.physical_to_index(there)).astype(int)[0]
    before = cases()[1].image.array
    near = before[tuple(slice(i - 1, i + 2) for i in back)]
    assert near.min() <= case.image.array[9, 10, 11] <= near.max()


def test_the_fields_of_both_are_composed(fields, tmp_path):
    first, second = fields
    fixed, moving = cases()
    for case in (fixed, moving):
        write_case(tmp_path / case.id, case)
    seen = {}

    class Refine(Registrar):
        def register(self, fixed, moving):
            seen["refine"] = moving
            return Registration(second)

    write_field(tmp_path / "first" / "one__two.nii.gz", first)
    register_batch(
        Refine(),
        [("one", "two")],
        {case: str(tmp_path / case) for case in ("one", "two")},
        tmp_path / "out",
        initial={"one__two": str(tmp_path / "first")},
    )
    expected = resample_moving(moving, first)
    np.testing.assert_allclose(seen["refine"].image.array, expected.image.array, atol=1e-4)
    found = read_field(tmp_path / "out" / "one__two.nii.gz")
    points = FIXED.index_to_physical(FIXED.indices().reshape(-1, 3)[::7])
    then = points + second.vectors.reshape(-1, 3)[::7]
    wanted = then @ stretch()[:3, :3].T + stretch()[:3, 3]
    got = points + found.vectors.reshape(-1, 3)[::7]
    index = FIXED.physical_to_index(then)
    inside = ((index >= 0) & (index <= np.array(FIXED.shape) - 1)).all(axis=1)
    assert inside.mean() > 0.6
    np.testing.assert_allclose(got[inside], wanted[inside], atol=1e-3)
    # The other order is another map.
    assert np.abs((first.compose(second)).vectors - second.compose(first).vectors).max() > 0.1


@pytest.fixture
def root(tmp_path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow" / "schemas", tmp_path / "workflow" / "schemas")
    return tmp_path


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ("afine", "Did you mean 'affine'"),
        ("estienne2020-task4-sym", "is no baseline of a single step"),
        ("mine", "is no baseline of a single step"),
    ],
)
def test_what_can_be_no_initial_registration(root, initial, message):
    path = root / "config/methods/mine.yaml"
    path.write_text(yaml.safe_dump({"title": "M", "kind": "syn", "initial": initial}))
    with pytest.raises(WarplineError, match=message) as error:
        Catalog({"scale": "demo"}, root).method("mine")
    assert "key 'initial'" in str(error.value)


def test_a_baseline_can(root):
    path = root / "config/methods/mine.yaml"
    path.write_text(yaml.safe_dump({"title": "M", "kind": "syn", "initial": "affine"}))
    assert Catalog({"scale": "demo"}, root).method("mine")["initial"] == "affine"
    assert Catalog({"scale": "demo"}, root).method("syn")["initial"] is None
