"""Learn2Reg's abdomen in both packages, and the Decathlon's tasks of abdominal CT."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from acquire_tools import dataset, nifti, packed, road, served
from http_server import serve

from warpline.cases.case import read_case
from warpline.cases.steps.geometry import orient
from warpline.errors import WarplineError
from warpline.images.grid import Grid

VALIDATION = ["0001", "0004", "0007", "0010", "0013", "0016", "0019", "0022", "0025", "0028"]
# Estienne et al. 2020: training and validation cases of their lists, and how many are left out.
MSD = {
    "liver": ("Task03_Liver", {1: "liver", 2: "cancer"}, (90, 20), (39, 1)),
    "pancreas": ("Task07_Pancreas", {1: "pancreas", 2: "cancer"}, (196, 12), (85, 2)),
    "hepaticvessel": ("Task08_HepaticVessel", {1: "vessel", 2: "tumour"}, (212, 6), (91, 1)),
    "spleen": ("Task09_Spleen", {1: "spleen"}, (28, 1), (13, 0)),
    "colon": ("Task10_Colon", {1: "cancer"}, (88, 8), (38, 5)),
}
SHAPE = (4, 5, 6)
FLIPPED = Grid(SHAPE, (0.8, 0.9, 3.0), (10.0, -20.0, 30.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))


def scan(number: int) -> np.ndarray:
    array = np.random.default_rng(number).integers(-1000, 1500, SHAPE).astype(np.int16)
    array[0, 0, 0] = number
    return array


def organs(*values: int) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[2, 3, : len(values)] = values
    return array


@pytest.fixture
def server():
    with serve() as running:
        yield running


def files(folder: str, names: dict[str, np.ndarray], tmp_path) -> dict[str, bytes]:
    return {f"{folder}/{name}": nifti(a, FLIPPED, tmp_path / "s") for name, a in names.items()}


# --- Learn2Reg ------------------------------------------------------------------------------------


def test_the_cases_and_pairs_of_the_challenge():
    data = dataset("abdomen")
    assert data.split("train", "val") == [f"{k:04d}" for k in range(1, 31)]
    assert data.split("val") == VALIDATION
    assert len(data.split("train")) == 20
    assert data.pairs("val") == list(combinations(VALIDATION, 2))
    assert len(data.pairs("val")) == 45
    assert list(data.spec["labels"].values())[10:] == ["pancreas", "right_adrenal", "left_adrenal"]


def test_the_numbers_of_2020():
    """BTCV's 1 to 10 and 21 to 40; the validation cases are those that 2020's list names."""
    rows = [row for row in dataset("abdomen").cases if row["split"] != "test"]
    names = [row["image"] for row in rows]
    assert names == [f"img{k:04d}" for k in [*range(1, 11), *range(21, 41)]]
    validation = [int(row["image"][3:]) for row in rows if row["split"] == "val"]
    assert validation == [1, 4, 7, 10, 23, 26, 29, 32, 35, 38]


def test_the_current_package(server, tmp_path):
    pair = {"imagesTr/AbdomenCTCT_0011_0000.nii.gz": scan(11)}
    pair["labelsTr/AbdomenCTCT_0011_0000.nii.gz"] = organs(1, 13, 12)
    content = files("AbdomenCTCT", pair, tmp_path)
    content["AbdomenCTCT/AbdomenCTCT_dataset.json"] = json.dumps({"training": []}).encode()
    data = served("abdomen", server, {"AbdomenCTCT.zip": packed(content, "zip")})
    case = read_case(road(data, ["0011"], tmp_path) / "0011")
    np.testing.assert_array_equal(case.image.array, scan(11))
    np.testing.assert_array_equal(case.labels.array, organs(1, 13, 12))
    turned = orient(case)
    np.testing.assert_array_equal(turned.image.array, scan(11)[:, ::-1, ::-1])
    np.testing.assert_array_equal(turned.labels.array, organs(1, 13, 12)[:, ::-1, ::-1])
    record = json.loads((tmp_path / "canonical/0011/record.json").read_text())
    assert record["orientation"] == "RAS"
    assert record["annotated"] == list(range(1, 14))
    assert (record["size"], record["spacing"]) == ([6, 5, 4], pytest.approx([0.8, 0.9, 3]))


def test_the_package_of_2020_by_its_own_numbers(server, tmp_path):
    """Case 0021 is img0031 there; img0021 is case 0011."""
    pairs = {f"img/img{k:04d}.nii.gz": scan(k) for k in (1, 21, 31)}
    pairs |= {f"label/label{k:04d}.nii.gz": organs(k % 13 + 1) for k in (1, 21, 31)}
    name = "L2R_Task3_AbdominalCT.zip"
    content = packed(files("L2R_Task3_AbdominalCT/Training", pairs, tmp_path), "zip")
    archives = {"AbdomenCTCT.zip": None, name: {}}
    data = served("abdomen", server, {name: content}, format="learn2reg2020", archives=archives)
    folder = road(data, ["0001", "0011", "0021"], tmp_path)
    for case, number in (("0001", 1), ("0011", 21), ("0021", 31)):
        found = read_case(folder / case)
        np.testing.assert_array_equal(found.image.array, scan(number))
        np.testing.assert_array_equal(found.labels.array, organs(number % 13 + 1))
    with pytest.raises(WarplineError, match="The case '0002' of the case sheet is not in"):
        road(data, ["0002"], tmp_path / "again")


# --- the Decathlon --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MSD)
def test_the_cases_of_a_task(name):
    task, labels, train, val = MSD[name]
    data = dataset(f"msd-{name}")
    assert list(data.spec["archives"]) == [f"{task}.tar"]
    assert {int(value): label for value, label in data.spec["labels"].items()} == labels
    for split, (listed, left_out) in (("train", train), ("val", val)):
        assert len(data.split(split)) == listed - left_out
    assert {sum.split(":")[0] for sum in data.spec["archives"][f"{task}.tar"]["checksums"]} == {
        "md5",
        "sha256",
    }


@pytest.mark.parametrize(("name", "case", "value"), [("liver", "1", 2), ("colon", "001", 1)])
def test_a_task_from_its_archive(server, tmp_path, name, case, value):
    """With the resource files that the tars of some tasks hold beside every file."""
    task, labels = MSD[name][:2]
    stem = f"{name}_{case}.nii.gz"
    content = files(
        task, {f"imagesTr/{stem}": scan(1), f"labelsTr/{stem}": organs(value)}, tmp_path
    )
    content |= {f"{task}/imagesTr/._{stem}": b"Mac OS X", f"{task}/._dataset.json": b"Mac OS X"}
    table = {"0": "background"} | {str(number): label for number, label in labels.items()}
    listed = [{"image": f"./imagesTr/{stem}", "label": f"./labelsTr/{stem}"}]
    description = json.dumps({"labels": table, "training": listed})
    content[f"{task}/dataset.json"] = description.encode()
    data = served(f"msd-{name}", server, {f"{task}.tar": packed(content, "tar")})
    found = read_case(road(data, [case], tmp_path) / case)
    np.testing.assert_array_equal(found.image.array, scan(1))
    np.testing.assert_array_equal(found.labels.array, organs(value))
    assert not list((tmp_path / "unpacked").rglob("._*"))
    other = data.ids[-1]
    with pytest.raises(WarplineError, match=f"The case '{other}' of the case sheet is not in"):
        road(data, [other], tmp_path / "again")
