"""Ids that readers of tables take for something else: NA, null, nan, 007."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from warpline.acquire.formats.base import CaseFiles
from warpline.acquire.landmarks import read_landmarks
from warpline.cases.case import Case, read_case, write_case
from warpline.evaluation.experiment import experiment_records
from warpline.images.grid import Grid, Image
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar

IDS = ["NA", "null", "nan", "007", "None"]
GRID = Grid((8, 9, 10))


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    rng = np.random.default_rng(0)
    for name in IDS:
        landmarks = pd.DataFrame(
            {"id": ["NA", "null", "1"], "x": [1.0, 2, 3], "y": [1.0, 2, 3], "z": [1.0, 2, 3]}
        )
        image = Image(rng.normal(size=GRID.shape).astype(np.float32), GRID)
        write_case(tmp_path / name, Case(name, image, landmarks=landmarks))
    return {name: tmp_path / name for name in IDS}


def test_a_registration_of_such_cases_is_evaluated(folders, tmp_path):
    pairs = [("NA", "null"), ("null", "NA"), ("nan", "007"), ("None", "nan")]
    with registrar(Method.of({"kind": "identity", "seed": 0, "parameters": {}}), "cpu", "t") as one:
        register_batch(one, pairs, folders, tmp_path / "fields")
    fields = {f"{fixed}__{moving}": str(tmp_path / "fields") for fixed, moving in pairs}
    experiment = {"dataset": "d", "method": "identity", "split": "val"}
    found = experiment_records(experiment, folders, fields, pairs, {})
    assert list(dict.fromkeys(zip(found["fixed"], found["moving"], strict=True))) == pairs
    errors = found[found["metric"] == "tre"]
    assert len(errors) == 3 * len(pairs)
    assert set(errors["label"]) == {"NA", "null", "1"}


def test_landmarks_of_such_ids_are_read(folders, tmp_path):
    assert list(read_case(folders["NA"]).landmarks["id"]) == ["NA", "null", "1"]
    (tmp_path / "a.csv").write_text("id,x,y,z\nNA,1,1,1\nnull,2,2,2\n007,3,3,3\n")
    files = CaseFiles(image=tmp_path / "a.nii", landmarks=tmp_path / "a.csv")
    assert list(read_landmarks(files, GRID, "a")["id"]) == ["NA", "null", "007"]
