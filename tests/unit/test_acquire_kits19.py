"""KiTS19: scans and label maps file by file, or a copy of its repository."""

from __future__ import annotations

import json

import numpy as np
import pytest
from acquire_tools import dataset, nifti, road, served
from http_server import serve
from schema_tools import files_of

from warpline.acquire import formats
from warpline.cases.case import read_case
from warpline.cases.steps.geometry import orient
from warpline.errors import WarplineError
from warpline.images.grid import Grid

SHAPE = (6, 5, 4)
# As the provider writes them: the file's x runs to the feet, its y to the back, its z to the left.
TURNED = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
GRID = Grid(SHAPE, (3.0, 0.8, 0.7), (50.0, 60.0, 900.0), TURNED)


def scan() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.float64)


def kidneys() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[1, 2:4, 1], array[4, 2, 1:3], array[4, 3, 2] = 1, 1, 2
    return array


@pytest.fixture
def server():
    with serve() as running:
        yield running


def test_the_splits():
    """Estienne et al.'s lists less those they leave out; label maps for two of the splits."""
    data = dataset("kits19")
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [120, 57, 82]
    assert "00144" not in data.ids
    source, by_hand = data.files_of("00148")["imaging"]["sources"]
    assert source.endswith("/images/case_00148.nii.gz")
    assert by_hand.startswith("folder:")
    assert list(data.files_of("00148")) == ["imaging", "segmentation"]
    label_map = data.files_of("00148")["segmentation"]
    assert label_map["sources"][0].endswith("/data/case_00148/segmentation.nii.gz")
    assert list(data.files_of("00211")) == ["imaging"]


def test_files_become_canonical_cases(server, tmp_path):
    data = served("kits19", server)
    for case in ("00001", "00211"):
        content = nifti(scan(), GRID, tmp_path / "s")
        server.add(f"/imaging/case_{case}.nii.gz", content=content)
    server.add("/segmentation/case_00001.nii.gz", content=nifti(kidneys(), GRID, tmp_path / "s"))
    folder = road(data, ["00001", "00211"], tmp_path)
    case = read_case(folder / "00001")
    assert case.image.array.dtype == np.int16
    np.testing.assert_array_equal(case.labels.array, kidneys())
    record = json.loads((folder / "00001/record.json").read_text())
    assert (record["orientation"], record["annotated"]) == ("IPL", [1, 2])
    # z of the file becomes x, and its x, turned round, z.
    turned = orient(case)
    np.testing.assert_array_equal(turned.image.array, scan().transpose(2, 1, 0)[::-1])
    np.testing.assert_array_equal(turned.labels.array, kidneys().transpose(2, 1, 0)[::-1])
    assert turned.grid.spacing == pytest.approx((0.7, 0.8, 3.0))
    unlabelled = read_case(folder / "00211")
    assert unlabelled.labels is None
    assert json.loads((folder / "00211/record.json").read_text())["annotated"] == []
    asked = sorted(path for path, _ in server.requests)
    assert asked == [
        "/imaging/case_00001.nii.gz",
        "/imaging/case_00211.nii.gz",
        "/segmentation/case_00001.nii.gz",
    ]


def test_a_file_that_is_gone(server, tmp_path):
    data = served("kits19", server)
    told = {"per_case": data.spec["per_case"], "per_case_folder": str(tmp_path)}
    with pytest.raises(WarplineError, match="file 'imaging' of the case '00001' is not there"):
        formats.get("kits19").locate(tmp_path, files_of(**told), data.row("00001"))
    told["per_case"] = {"segmentation": told["per_case"]["segmentation"]}
    with pytest.raises(WarplineError, match="does not say where the file 'imaging'"):
        formats.get("kits19").locate(tmp_path, files_of(**told), data.row("00001"))


def test_a_copy_of_the_repository(tmp_path):
    labelled, test = (tmp_path / f"kits19/data/case_{k}" for k in ("00001", "00211"))
    for folder in (labelled, test):
        folder.mkdir(parents=True)
        (folder / "imaging.nii.gz").touch()
    (labelled / "segmentation.nii.gz").touch()
    locate = formats.get("kits19").locate
    found = locate(tmp_path, files_of(), {"case": "00001", "split": "train"})
    assert found.image == labelled / "imaging.nii.gz"
    assert found.labels == labelled / "segmentation.nii.gz"
    assert locate(tmp_path, files_of(), {"case": "00211", "split": "test"}).labels is None
    with pytest.raises(WarplineError, match="no scan of the case '00002'"):
        locate(tmp_path, files_of(), {"case": "00002", "split": "train"})
