"""LUNA16: where a scan and its mask lie, and what becomes of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from schema_tools import files_of, told_of

from warpline.acquire import formats
from warpline.acquire.archive import Archive
from warpline.acquire.batch import import_batch
from warpline.acquire.canonical import canonicalise
from warpline.acquire.fetch import fetch
from warpline.acquire.formats import luna16
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

ROOT = Path(__file__).parents[2]
LABELS = {1: "lungs"}
SHAPE = (5, 6, 7)
UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.{}"
ONE, TWO = (
    UID.format("100225287222365663678666836860"),
    UID.format("100332161840553388986847034053"),
)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
TURNED = tuple(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())


def grid(direction=FLIPPED) -> Grid:
    return Grid(SHAPE, (0.7, 0.7, 2.5), (160.0, 150.0, -340.0), direction)


def scan() -> np.ndarray:
    return np.random.default_rng(0).integers(-3024, 3000, SHAPE).astype(np.int16)


def mask() -> np.ndarray:
    """Every value of LUNA16's masks, and one that no one has heard of."""
    values = np.zeros(SHAPE, np.uint8)
    values[1:3, 2:4, 1:3], values[1:3, 2:4, 4:6], values[3, 2, 3], values[4, 0, 0] = 3, 4, 5, 77
    return values


def write(path: Path, array: np.ndarray, on: Grid, compressed: bool = False) -> None:
    """A ``.mhd`` with its ``.raw`` or ``.zraw`` beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(to_sitk(Image(array, on)), os.fspath(path), useCompression=compressed)


@pytest.fixture
def unpacked(tmp_path):
    """Two scans in two archives, and their masks."""
    folder = tmp_path / "unpacked"
    for case, number in ((ONE, 0), (TWO, 7)):
        write(folder / f"subset{number}.zip/subset{number}/{case}.mhd", scan(), grid())
        write(folder / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{case}.mhd", mask(), grid(), True)
    (folder / "subset3.zip/subset3").mkdir(parents=True)  # an archive without any of the cases
    return folder


def locate(folder: Path, case: str = ONE):
    return formats.get("luna16").locate(folder, files_of(labels=LABELS), {"case": case})


def refusal(call, *arguments, **keys) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments, **keys)
    return str(error.value)


# --- where files lie ------------------------------------------------------------------------------


def test_a_scan_and_its_mask(unpacked):
    found = locate(unpacked, TWO)
    assert found.image == unpacked / f"subset7.zip/subset7/{TWO}.mhd"
    assert found.labels == unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{TWO}.mhd"
    assert (found.mask, found.landmarks) == (None, None)


@pytest.mark.parametrize("around", ["", "luna/", "a/b/"])
def test_other_folders_around_them(unpacked, around):
    """Directly in the archive's own folder, or up to two folders below it."""
    for archive, inner in (("subset0.zip", "subset0"), ("seg-lungs-LUNA16.zip", luna16.MASKS)):
        target = unpacked / archive / around
        target.mkdir(parents=True, exist_ok=True)
        for path in list((unpacked / archive / inner).iterdir()):
            path.rename(target / path.name)
    found = locate(unpacked)
    assert found.image.parent == unpacked / "subset0.zip" / around
    assert found.labels.parent == unpacked / "seg-lungs-LUNA16.zip" / around


def test_folders_of_scans_are_not_listed(unpacked, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path).name) or scandir(path))
    locate(unpacked)
    archives = ["seg-lungs-LUNA16.zip", "subset0.zip", "subset3.zip", "subset7.zip"]
    assert sorted(listed) == sorted(["unpacked", *archives])


def test_a_scan_that_is_not_there(unpacked):
    text = refusal(locate, unpacked, UID.format("5"))
    assert re.search(r"The case '.*\.5' .* is not in the archives", text)
    assert "subset0 to subset9" in text


def test_a_mask_is_no_scan(unpacked):
    (unpacked / f"subset0.zip/subset0/{ONE}.mhd").unlink()
    assert "is not in the archives" in refusal(locate, unpacked)


def test_a_scan_without_a_mask(unpacked):
    (unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{ONE}.mhd").unlink()
    text = refusal(locate, unpacked)
    assert f"The case '{ONE}' has no lung mask" in text
    assert "seg-lungs-LUNA16.zip" in text


@pytest.mark.parametrize(
    ("second", "what"),
    [("subset1.zip/subset1", "scan"), ("seg-lungs-LUNA16.zip/copy", "lung mask")],
)
def test_a_scan_in_two_places(unpacked, second, what):
    (unpacked / second).mkdir(parents=True)
    (unpacked / second / f"{ONE}.mhd").touch()
    text = refusal(locate, unpacked)
    assert f"The {what} of the case '{ONE}' stands in several places: " in text
    assert second in text


# --- what becomes of them -------------------------------------------------------------------------


def canonical(unpacked: Path, case: str = ONE):
    target = unpacked.parent / "canonical" / case
    return canonicalise(locate(unpacked, case), case, target, labels=LABELS)


def test_both_lungs_are_one_label_and_all_else_is_background(unpacked):
    canonical(unpacked)
    kept = read_case(unpacked.parent / "canonical" / ONE)
    np.testing.assert_array_equal(kept.labels.array, np.isin(mask(), (3, 4)).astype(np.uint8))
    np.testing.assert_array_equal(kept.image.array, scan())
    assert kept.image.array.dtype == np.int16


@pytest.mark.parametrize("direction", [FLIPPED, TURNED], ids=["flipped", "turned"])
def test_points_stay_where_they_are(unpacked, direction):
    """A voxel's place in the patient, by SimpleITK from the original file and from the kept one."""
    on = grid(direction)
    array, values = scan(), mask()
    array[1, 3, 5], values[1, 3, 5] = 3071, 4
    write(unpacked / f"subset0.zip/subset0/{ONE}.mhd", array, on)
    write(unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{ONE}.mhd", values, on, True)
    canonical(unpacked)
    raw = sitk.ReadImage(os.fspath(unpacked / f"subset0.zip/subset0/{ONE}.mhd"))
    point = raw.TransformIndexToPhysicalPoint((5, 3, 1))
    if direction == FLIPPED:
        np.testing.assert_allclose(point, (160 - 5 * 0.7, 150 - 3 * 0.7, -340 + 2.5))
    for kind, value in (("image", 3071), ("labels", 1)):
        kept = sitk.ReadImage(os.fspath(unpacked.parent / "canonical" / ONE / f"{kind}.nii.gz"))
        assert kept[kept.TransformPhysicalPointToIndex(point)] == value
    case = read_case(unpacked.parent / "canonical" / ONE)
    index = case.image.grid.physical_to_index(np.array(point))
    assert case.image.array[tuple(np.rint(index).astype(int))] == 3071


@pytest.mark.parametrize(
    ("place", "cut"),
    [
        ("subset0.zip/subset0", "holds 417 bytes of 420"),
        ("seg-lungs-LUNA16.zip/seg-lungs-LUNA16", "ends before"),  # compressed
    ],
)
def test_data_that_are_missing_or_cut_off(unpacked, place, cut):
    (data,) = (unpacked / place).glob(f"{ONE}.*raw")
    content = data.read_bytes()
    data.write_bytes(content[:-3])
    text = refusal(canonical, unpacked)
    assert cut in text
    assert str(unpacked / place / f"{ONE}.mhd") in text
    data.unlink()
    assert f"its data file '{data.name}' does not exist" in refusal(canonical, unpacked)


@pytest.mark.parametrize("value", [0, 5, 77])
def test_a_mask_without_lungs(unpacked, value):
    path = unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{ONE}.mhd"
    write(path, np.full(SHAPE, value, np.uint8), grid(), True)
    text = refusal(canonical, unpacked)
    assert f"the case '{ONE}' is empty: no voxel is lungs; the values in it are: {value}." in text
    assert str(path) in text


def test_a_mask_on_another_grid(unpacked):
    path = unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{ONE}.mhd"
    write(path, mask(), grid(Grid(SHAPE).direction), True)
    assert "does not lie on its image's grid" in refusal(canonical, unpacked)


def test_every_bad_case_of_a_job_is_named(unpacked, tmp_path):
    dataset = told_of(format="luna16", labels={"1": "lungs"})
    cases = [{"case": case} for case in (UID.format("5"), ONE, TWO, UID.format("6"))]
    write(
        unpacked / f"seg-lungs-LUNA16.zip/seg-lungs-LUNA16/{ONE}.mhd",
        np.zeros(SHAPE, np.uint8),
        grid(),
        True,
    )
    target = tmp_path / "batch"
    text = refusal(import_batch, unpacked, dataset, cases, [], target)
    assert "3 of 4 cases are refused" in text
    for part in (
        ".5' of the case sheet is not",
        ".6' of the case sheet is not",
        f"{ONE}' is empty",
    ):
        assert part in text
    assert TWO not in text
    assert not target.exists()
    import_batch(unpacked, dataset, cases[2:3], [], target)
    assert read_case(target / TWO).labels.array.any()
    text = refusal(import_batch, unpacked, dataset, cases[1:2], [], tmp_path / "one")
    assert text.startswith(f"The label map of the case '{ONE}' is empty")


# --- real data ------------------------------------------------------------------------------------


def test_real_scans(tmp_path):
    mirror = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror")
    archives = ("subset0.zip", "seg-lungs-LUNA16.zip")
    if not all((mirror / name).is_file() for name in archives):
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/subset0.zip and masks")
    for name in archives:
        source = (mirror / name).absolute().as_uri()
        unpack(fetch(Archive(name, (source,)), tmp_path / "archives"), tmp_path / "unpacked" / name)
    scans = sorted(path.stem for path in (tmp_path / "unpacked").rglob("subset0/*.mhd"))
    assert len(scans) == 3
    for case in scans:
        files = locate(tmp_path / "unpacked", case)
        made = canonicalise(files, case, tmp_path / "canonical" / case, labels=LABELS)
        raw = read_image(files.image)
        assert made.image.array.dtype == np.int16
        np.testing.assert_array_equal(made.image.array, raw.array)
        assert made.image.grid == raw.grid
        assert set(np.unique(made.labels.array)) == {0, 1}
        litres = made.labels.array.sum() * np.prod(made.image.grid.spacing) / 1e6
        assert 2 < litres < 9
        inside = made.image.array[made.labels.array == 1]
        assert -900 < np.median(inside) < -600  # HU of aerated lung
