"""Learn2Reg's lung CT: the archives' layout, landmarks placed by hand, damaged scans."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from schema_tools import files_of, phantom_of

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
SPEC = {"seed": 3, "parameters": {"coarser": 8, "landmarks": 12}}
ROWS = [
    {"case": f"{patient}-{phase}", "patient": patient, "split": "train"}
    for patient in ("001", "021")
    for phase in ("exp", "insp")
]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    phantoms.write("learn2reg-lung", phantom_of(**SPEC), ROWS, folder)
    return folder


def unpacked(mirror: Path, target: Path, *archives: str) -> Path:
    for name in archives:
        unpack(mirror / name, target / name)
    return target


def locate(folder: Path, case: str, **dataset):
    return formats.get("learn2reg_lung").locate(folder, files_of(**dataset), {"case": case})


def test_the_archives_become_canonical_cases(mirror, tmp_path):
    folder = unpacked(mirror, tmp_path / "u", "training.zip", "testData.zip", "landmarks.zip")
    cases = {}
    for name, files in formats.locate_all("learn2reg_lung", folder, files_of(), ROWS).items():
        canonicalise(files, name, tmp_path / name, labels={1: "lungs"})
        cases[name] = read_case(tmp_path / name)
    exhale, inhale = cases["001-exp"], cases["001-insp"]
    assert exhale.grid.close_to(inhale.grid)
    assert exhale.grid.close_to(cases["021-insp"].grid)
    assert 0 < exhale.mask.array.sum() < inhale.mask.array.sum()
    # A patient's landmarks correspond; another patient's of the same number do not.
    assert list(exhale.landmarks["id"]) == [f"001-{k}" for k in range(1, 13)]
    assert list(exhale.landmarks["id"]) == list(inhale.landmarks["id"])
    assert not set(exhale.landmarks["id"]) & set(cases["021-exp"].landmarks["id"])
    axes = ["x", "y", "z"]
    moved = inhale.landmarks[axes].to_numpy() - exhale.landmarks[axes].to_numpy()
    assert 1 < np.linalg.norm(moved, axis=1).mean() < 30
    assert moved[:, 2].mean() < 0  # breathing in, to the feet
    # The lines of the file, from 0, by ITK.
    image = sitk.ReadImage(os.fspath(folder / "training.zip/training/scans/case_001_exp.nii.gz"))
    lines = np.loadtxt(folder / "landmarks.zip/LungCT_0001_0000.csv", delimiter=",")
    expected = [image.TransformContinuousIndexToPhysicalPoint(line) for line in lines.tolist()]
    np.testing.assert_allclose(exhale.landmarks[axes], expected, atol=1e-3)
    assert image.GetOrigin() != (0, 0, 0)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_landmarks_by_hand_are_used_where_they_are(mirror, tmp_path):
    folder = unpacked(mirror, tmp_path / "u", "training.zip", "testData.zip")
    assert locate(folder, "001-exp").landmarks is None
    by_hand = tmp_path / "by-hand"
    assert locate(folder, "001-exp", landmark_folder=str(by_hand)).landmarks is None
    unpacked(mirror, by_hand, "landmarks.zip")
    found = locate(folder, "021-insp", landmark_folder=str(by_hand))
    assert found.landmarks == by_hand / "landmarks.zip/LungCT_0021_0001.csv"
    (by_hand / "landmarks.zip/LungCT_0021_0001.csv").rename(by_hand / "case_021_insp.csv")
    found = locate(folder, "021-insp", landmark_folder=str(by_hand))
    assert found.landmarks == by_hand / "case_021_insp.csv"
    (by_hand / "case_021_insp.csv").unlink()
    for case in ("021-exp", "021-insp"):
        with pytest.raises(WarplineError, match="landmarks at 'exp' and none at 'insp'"):
            locate(folder, case, landmark_folder=str(by_hand))


@pytest.mark.parametrize("case", ["002-exp", "001", "001-mid", "0001-exp"])
def test_a_case_that_is_not_there(mirror, tmp_path, case):
    folder = unpacked(mirror, tmp_path / "u", "training.zip")
    with pytest.raises(WarplineError, match=f"The case '{case}'") as error:
        locate(folder, case)
    assert "001-exp" in error.value.do


def test_a_missing_mask_is_named(mirror, tmp_path):
    folder = unpacked(mirror, tmp_path / "u", "training.zip")
    (folder / "training.zip/training/lungMasks/case_001_exp.nii.gz").unlink()
    with pytest.raises(WarplineError, match="no lung mask of the case '001-exp'"):
        locate(folder, "001-exp")


def test_a_damaged_scan_says_how_to_leave_it_out(mirror, tmp_path):
    folder = unpacked(mirror, tmp_path / "u", "training.zip")
    path = folder / "training.zip/training/scans/case_001_insp.nii.gz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WarplineError, match=r"case '001-insp'.*cannot be read") as error:
        canonicalise(locate(folder, "001-insp"), "001-insp", tmp_path / "c", labels={})
    assert "take the case out of the case sheet, with the patient's other" in error.value.do
    assert error.value.where == path


def test_the_same_bytes_every_time_whatever_the_other_patients(mirror, tmp_path):
    for path in phantoms.write("learn2reg-lung", phantom_of(**SPEC), ROWS[2:], tmp_path):
        if path.name == "testData.zip":
            assert path.read_bytes() == (mirror / path.name).read_bytes()


@pytest.mark.parametrize("scale", ["demo", "cpu", "paper"])
def test_the_dataset_at_every_scale(mirror, tmp_path, scale):
    data = Catalog({"scale": scale}, ROOT).dataset("learn2reg-lung")
    counts = {"demo": (1, 2, 2), "cpu": (3, 17, 10), "paper": (3, 17, 10)}[scale]
    assert tuple(len(data.pairs(split)) for split in ("val", "train", "test")) == counts
    assert all(
        fixed.endswith("-exp") and fixed[:3] == moving[:3] for fixed, moving in data.pairs("val")
    )
    # Four halvings, and the whole of the scan on every grid.
    shape = np.array(data.spec["prepare"][-1]["pad_crop"]["shape"])
    (spacing,) = set(data.spec["prepare"][-2]["resample"]["spacing"])
    assert not (shape % 16).any()
    assert (shape * spacing >= np.array([208, 192, 192]) * [1.75, 1.25, 1.75]).all()


def test_preparation_keeps_both_scans_on_one_grid(mirror, tmp_path):
    folder = unpacked(mirror, tmp_path / "u", "training.zip")
    steps = Catalog({"scale": "demo"}, ROOT).dataset("learn2reg-lung").spec["prepare"]
    ready = []
    for case in ("001-exp", "001-insp"):
        canonicalise(locate(folder, case), case, tmp_path / case, labels={1: "lungs"})
        ready.append(prepare(read_case(tmp_path / case), steps))
    assert ready[0].grid == ready[1].grid
    assert ready[0].grid.shape == (48, 32, 48)
    assert ready[0].image.array.min() == 0
    assert 0.6 < ready[0].image.array.max() <= 1
    np.testing.assert_array_equal(ready[0].labels.array, ready[0].mask.array)
