"""neurite-OASIS: subjects by their place in the list, cut about either hippocampus."""

from __future__ import annotations

import json

import numpy as np
import pytest
from acquire_tools import dataset, nifti, packed, road, served
from http_server import serve
from schema_tools import files_of

from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats.neurite_oasis import around
from warpline.cases.case import read_case
from warpline.cases.steps.geometry import orient
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image

# FreeSurfer's frame: x to the right, y to the feet, z to the front.
FRAME = (-1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, -1.0, 0.0)
SHAPE = (80, 70, 90)
GRID = Grid(SHAPE, (1.0, 1.0, 1.0), (45.0, 40.0, 35.0), FRAME)
ARCHIVE = "neurite-oasis.v1.0.tar"


def head(seed: int) -> np.ndarray:
    """Brightness from 0 to 1."""
    return np.random.default_rng(seed).random(SHAPE, dtype=np.float32)


def structures() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[30:37, 40:44, 60:64] = 14
    array[32:40, 40:44, 20:24] = 30
    array[50, 50, 50] = 3
    return array


@pytest.fixture
def server():
    with serve() as running:
        yield running


def publish(server, tmp_path, files, **override):
    content = {"subjects.txt": b"OASIS_OAS1_0001_MR1\nOASIS_OAS1_0004_MR1\n"}
    for name, array in files.items():
        content[f"OASIS_OAS1_0004_MR1/{name}.nii.gz"] = nifti(array, GRID, tmp_path / "s")
    return served("oasis", server, {ARCHIVE: packed(content, "tar")}, **override)


def test_the_sheet():
    """Learn2Reg 2021's division, and both sides of every head in one split."""
    data = dataset("oasis")
    assert len(data.split("train")) == 2 * 394
    assert len(data.split("val")) == 2 * 20
    assert {row["patient"] for row in data.cases if row["split"] == "val"} == {
        f"{k:04d}" for k in range(395, 415)
    }
    assert len(data.pairs("val")) == 40
    assert "agreement" in data.spec["licence"]


def test_both_hippocampi_of_a_head(server, tmp_path):
    """Boxes by hand, about the middle of each label's extent."""
    data = publish(server, tmp_path, {"orig": head(1), "seg35": structures()})
    folder = road(data, ["0002-left", "0002-right"], tmp_path)
    left = read_case(folder / "0002-left")
    assert left.image.array.shape == (64, 64, 64)
    # z: middle 33 → 33 − 31.5 = 1.5 → 2 (to the even); y: 41.5 − 31.5 = 10, at most 70 − 64 = 6;
    # x: 61.5 − 31.5 = 30, at most 26.
    np.testing.assert_array_equal(left.image.array, head(1)[2:66, 6:70, 26:90])
    record = json.loads((folder / "0002-left/record.json").read_text())
    assert record["crop"]["start"] == [26, 6, 2]
    assert record["crop"]["stop"] == [90, 70, 66]
    assert record["crop"]["about"] == {"value": 14, "middle": [61.5, 41.5, 33.0]}
    assert record["orientation"] == "RIA"
    # The other hippocampus and other structures: what the table names stays, where it is inside.
    expected = np.where(np.isin(structures(), (14, 30)), structures(), 0)
    np.testing.assert_array_equal(left.labels.array, expected[2:66, 6:70, 26:90])
    place = left.grid.index_to_physical(np.zeros(3))
    np.testing.assert_allclose(place, GRID.index_to_physical(np.array([2, 6, 26])))
    right = read_case(folder / "0002-right")  # x: 21.5 − 31.5 is before the first voxel
    np.testing.assert_array_equal(right.image.array, head(1)[4:68, 6:70, 0:64])
    turned = orient(right)
    np.testing.assert_allclose(
        turned.image.array, head(1)[4:68, 6:70, 0:64].transpose(1, 0, 2)[::-1, ::-1, ::-1]
    )


def test_labels_are_only_for_the_crop_where_the_dataset_names_none(server, tmp_path):
    road(publish(server, tmp_path, {"norm": head(1), "seg35": structures()}), [], tmp_path)
    found = formats.get("neurite_oasis").locate(
        tmp_path / "unpacked", files_of(), {"case": "0002-left", "image": "norm"}
    )
    case = canonicalise(found, "0002-left", tmp_path / "0002-left", labels={})
    assert case.labels is None
    np.testing.assert_array_equal(case.image.array, head(1)[2:66, 6:70, 26:90])


def test_the_whole_head(server, tmp_path):
    """The authors' crops are from the middle of it: a step of the preparation."""
    data = publish(server, tmp_path, {"orig": head(1)})
    road(data, [], tmp_path)
    locate = formats.get("neurite_oasis").locate
    found = locate(tmp_path / "unpacked", files_of(), {"case": "0002", "image": ""})
    assert (found.image.name, found.labels, found.crop) == ("orig.nii.gz", None, None)


@pytest.mark.parametrize(
    ("case", "image", "message"),
    [
        ("0003-left", "", "The case '0003-left' of the case sheet is not in the archive"),
        ("0000-left", "", "The case '0000-left' of the case sheet"),
        ("0002-middle", "", "The case '0002-middle' of the case sheet"),
        ("0002-left", "slice_orig", "is to have the image 'slice_orig'"),
        ("0002-left", "aligned_norm", "A file of the case '0002-left' is not in the archive"),
        ("0001-left", "", "A file of the case '0001-left' is not in the archive"),
    ],
)
def test_what_is_not_there(tmp_path, case, image, message):
    (tmp_path / "subjects.txt").write_text("OASIS_OAS1_0001_MR1\nOASIS_OAS1_0004_MR1\n")
    (tmp_path / "OASIS_OAS1_0004_MR1").mkdir()
    for name in ("orig", "seg35"):
        (tmp_path / f"OASIS_OAS1_0004_MR1/{name}.nii.gz").touch()
    with pytest.raises(WarplineError, match=message):
        formats.get("neurite_oasis").locate(tmp_path, files_of(), {"case": case, "image": image})


@pytest.mark.parametrize(
    "name", ["../secret", "a/../../secret", "{absolute}", "link", "..\\secret", "C:/secret"]
)
def test_a_subject_outside_the_archive_is_refused(tmp_path, name):
    """The list is the archive's; where it leads out, nothing of this machine becomes a case."""
    root, secret = tmp_path / "archive", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (root / "link").symlink_to(secret)
    for place in (secret, root):
        for kind in ("orig", "seg35"):
            (place / f"{kind}.nii.gz").touch()
    (root / "subjects.txt").write_text(name.format(absolute=secret))
    with pytest.raises(WarplineError, match="leads out of its folder") as error:
        formats.get("neurite_oasis").locate(root, files_of(), {"case": "0001-left", "image": ""})
    assert error.value.where == root / "subjects.txt"


def test_a_crop_is_in_millimetres_and_no_larger_than_the_image():
    """At 2 × 4 × 1 mm (z, y, x): 32, 16 and 64 voxels; of the 20 along x all are taken."""
    array = np.zeros((50, 40, 20), np.uint8)
    array[20:23, 30, 5] = 14
    crop = around(14, "a", Image(array, Grid(array.shape, (1.0, 4.0, 2.0))))
    # z: 21 − 15.5 = 5.5 → 6 (to the even); y: 30 − 7.5 = 22.5 → 22.
    assert (crop.start, crop.stop) == ((6, 22, 0), (38, 38, 20))
    with pytest.raises(WarplineError, match=r"'a' has no hippocampus \(value 30\)"):
        around(30, "a", Image(array, Grid(array.shape)))
