"""DIR-Lab's files: finding them in whatever copy, raw volumes, landmarks from 1, initial errors."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from schema_tools import files_of

from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats.dirlab import DIRECTION, OUTSIDE, read_indices
from warpline.cases.case import read_case
from warpline.cases.steps.geometry import orient
from warpline.errors import WarplineError
from warpline.images.grid import Grid
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
SIZE, SPACING = (7, 6, 5), (0.97, 1.5, 2.5)  # x, y, z
# Fixed and moving landmarks, x y z from 1: corners, and 3 voxels further along z: 7.5 mm.
FIXED = [(1, 1, 1), (7, 6, 2), (3, 2, 2)]
MOVING = [(1, 1, 4), (7, 6, 5), (3, 2, 5)]


def row(phase: str, patient: str = "case1") -> dict[str, str]:
    return {
        "case": f"{patient}-{phase}",
        "patient": patient,
        "split": "fold0",
        "image": f"{patient}_{phase}*.img",
        "landmarks": f"{patient}_*300_{phase}_xyz*.txt",
    }


ROWS = [row("T00"), row("T50")]


def spec(published: float | None = 7.5, **changes) -> dict:
    scan = {"size": list(SIZE), "spacing": list(SPACING), "initial_tre": published}
    page = "https://example.org/4dct"
    return {"scans": {"case1": scan}, "patients": ROWS, "ask": page, "phantom": None} | changes


def text(points, between: str = " ") -> bytes:
    return "".join(between.join(map(str, point)) + "\r\n" for point in points).encode()


def volume(points, background: int = 24) -> np.ndarray:
    """Stored values (z, y, x): the k-th landmark's voxel has 1024 + k."""
    stored = np.full(SIZE[::-1], background, "<i2")
    for number, (x, y, z) in enumerate(points, start=1):
        stored[z - 1, y - 1, x - 1] = 1024 + number
    return stored


def tree(fixed=None, moving=None, suffix: str = "_s", root: str = "Case1Pack") -> dict[str, bytes]:
    """A copy's files by their paths."""
    fixed = volume(FIXED) if fixed is None else fixed
    moving = volume(MOVING) if moving is None else moving
    return {
        f"{root}/Images/case1_T00{suffix}.img": fixed.tobytes(),
        f"{root}/Images/case1_T50{suffix}.img": moving.tobytes(),
        f"{root}/Images/case1_T10{suffix}.img": b"another phase",
        f"{root}/Images/case10_T00{suffix}.img": b"another patient",
        f"{root}/ExtremePhases/Case1_300_T00_xyz.txt": text(FIXED),
        f"{root}/ExtremePhases/Case1_300_T50_xyz.txt": text(MOVING, "\t"),
        f"{root}/Sampled4D/case1_4D-75_T00_xyz.txt": text(FIXED[:1]),
        f"__MACOSX/{root}/Images/._case1_T00{suffix}.img": b"leftover",
    }


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def locate(folder: Path, dataset: dict | None = None, rows=ROWS):
    return formats.locate_all("dirlab", folder, files_of(**(dataset or spec())), rows)


def refusal(call, *arguments) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments)
    return str(error.value)


# Finding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"suffix": "-ssm"},
        {"suffix": ""},
        {"root": "Case8Deploy"},
        {"root": "a/b/Case1Pack/case1pack"},
    ],
)
@pytest.mark.parametrize("capitals", [str, str.upper, str.lower])
@pytest.mark.parametrize("as_zip", [False, True])
def test_every_copy_is_found(tmp_path, change, capitals, as_zip):
    files = {capitals(name): content for name, content in tree(**change).items()}
    if as_zip:
        zipped(tmp_path / "below" / capitals("Case1Pack.zip"), files)
    else:
        unpacked(tmp_path, files)
    found = locate(tmp_path)
    stored, points = found["case1-T00"].read()
    assert stored.array[0, 0, 0] == 1
    assert len(points) == 3
    assert "Images" in str(found["case1-T50"].image) or capitals is not str


@pytest.mark.parametrize(
    ("name", "case", "image", "landmarks"),
    [
        ("dirlab-4dct", "case8-T00", "case8_T00.img", "case8_dirLab300_T00_xyz.txt"),
        ("dirlab-copd", "copd1-iBHCT", "copd1_iBHCT.img", "copd1_300_iBH_xyz_r1.txt"),
    ],
)
def test_the_case_sheets_patterns_match_the_providers_names(tmp_path, name, case, image, landmarks):
    content = {"a/Images/" + image: volume(FIXED).tobytes(), "a/b/" + landmarks: text(FIXED, "\t")}
    unpacked(tmp_path, content)
    real = Catalog({"scale": "paper"}, ROOT).dataset(name).row(case)
    own = {real["patient"]: spec()["scans"]["case1"]}
    found = locate(tmp_path, spec(scans=own, patients=[real]), [real])[case]
    assert (found.image.name, found.landmarks.name) == (image, landmarks)


def test_what_is_unpacked_goes_before_its_zip_and_doubles_are_refused(tmp_path):
    zipped(tmp_path / "Case1Pack.zip", tree(fixed=volume(FIXED[:1])))
    unpacked(tmp_path, tree())
    assert isinstance(locate(tmp_path)["case1-T00"].image, Path)
    unpacked(tmp_path / "again", tree())
    found = refusal(locate, tmp_path)
    assert "Several files match case1_T00*.img of the case 'case1-T00'" in found
    assert "again" in found
    assert "Keep one of them" in found


def test_missing_files_say_what_whom_to_ask_and_where_to_put_it(tmp_path):
    files = tree()
    del files["Case1Pack/Images/case1_T50_s.img"]
    found = refusal(locate, unpacked(tmp_path, files))
    assert "The case 'case1-T50' lacks case1_T50*.img." in found
    assert "T00" not in found
    assert f"where: {tmp_path}" in found
    assert "https://example.org/4dct" in found
    nothing = refusal(locate, tmp_path / "nowhere")
    assert "2 cases cannot be found" in nothing
    assert "lacks case1_T00*.img and case1_*300_T00_xyz*.txt" in nothing
    assert nothing.count("Ask for the data") == 1


def test_broken_zips(tmp_path):
    path = zipped(tmp_path / "Case1Pack.zip", tree())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated, or no zip" in refusal(locate, tmp_path)
    # The bit that marks an encrypted member, in the central directory.
    place = whole.index(b"PK\x01\x02") + 8
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    found = refusal(locate, tmp_path)
    assert "is encrypted" in found
    assert "Unpack it with its password" in found


def test_a_damaged_member_of_a_zip(tmp_path):
    path = zipped(tmp_path / "Case1Pack.zip", tree())
    content = volume(FIXED).tobytes()
    path.write_bytes(path.read_bytes().replace(content, content[:-1] + b"\x01", 1))
    found = refusal(locate(tmp_path)["case1-T00"].read)
    assert "case1_T00_s.img' is damaged" in found
    assert "Case1Pack.zip" in found


# Volumes and landmarks --------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [(0, 0), (2, 0), (0, 1), (1, 2)])
def test_landmarks_stay_at_their_voxels(tmp_path, empty):
    """As another library reads the canonical files, before and after the axes are put in order."""
    above, below = empty
    points = [(1, 1, 1 + above), (7, 6, 5 - below), (3, 2, 2 + above)]
    stored = volume(points)
    stored[:above], stored[len(stored) - below :] = 0, 0
    files = tree(fixed=stored)
    files["Case1Pack/ExtremePhases/Case1_300_T00_xyz.txt"] = text(points)
    found = locate(unpacked(tmp_path, files), spec(published=None))
    case = canonicalise(found["case1-T00"], "one", tmp_path / "one", labels={})
    assert case.image.array.dtype == np.int16
    assert case.grid.shape == (5 - above - below, 6, 7)
    image = sitk.ReadImage(str(tmp_path / "one" / "image.nii.gz"))
    np.testing.assert_allclose(image.GetSpacing(), SPACING, rtol=1e-6)
    kept = read_case(tmp_path / "one")
    turned = orient(kept)
    assert np.allclose(turned.grid.direction, np.eye(3).ravel())
    for number, point in enumerate(kept.landmarks[["x", "y", "z"]].to_numpy(), start=1):
        assert image[image.TransformPhysicalPointToIndex(point.tolist())] == number
        index = turned.grid.physical_to_index(point)
        np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
        assert turned.image.array[tuple(np.rint(index).astype(int))] == number


def test_millimetres_by_hand(tmp_path):
    found = locate(unpacked(tmp_path, tree()))
    _, points = found["case1-T00"].read()
    assert list(points["id"]) == ["1", "2", "3"]
    # RL grows to the left (+x), AP to the back (+y), SI to the feet (-z); 1 1 1 is at 0 mm.
    np.testing.assert_allclose(
        points[["x", "y", "z"]], [[0, 0, 0], [5.82, 7.5, -2.5], [1.94, 1.5, -2.5]]
    )


def test_hu(tmp_path):
    stored = volume(FIXED)
    stored[2, 0] = [-2000, -1000, -501, -500, 0, 3000, 32767]
    found = locate(unpacked(tmp_path, tree(fixed=stored)))
    image, _ = found["case1-T00"].read()
    assert image.array.dtype == np.int16
    assert image.array[2, 0].tolist() == [OUTSIDE] * 3 + [-1524, -1024, 1976, 31743]
    assert image.array[3, 0, 0] == -1000


@pytest.mark.parametrize("between", [" ", "\t", "   "])
@given(points=st.lists(st.tuples(*(st.integers(1, n) for n in SIZE)), min_size=1, max_size=9))
def test_any_list_of_voxels_is_read_as_written(tmp_path_factory, between, points):
    path = tmp_path_factory.getbasetemp() / "points.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text(points, between) + b"\r\n")
    read = read_indices(path, Grid(SIZE[::-1], SPACING, direction=DIRECTION), "a")
    np.testing.assert_array_equal(read[:, ::-1] + 1, points)


# Refusals ---------------------------------------------------------------------------------------


def test_a_volume_of_another_size(tmp_path):
    found = refusal(locate, unpacked(tmp_path, tree(fixed=volume(FIXED)[:4])))
    assert "'case1-T00' has 336 bytes; 7 × 6 × 5 voxels of 2 bytes are 420" in found
    assert "case1_T00_s.img" in found
    assert "'scans.case1'" in found


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (text([*FIXED, (0, 1, 1)]), ["1 1 1 to 7 6 5", "1 of 4 lie outside", "number 4: 0 1 1"]),
        (text([(6, 7, 1)]), ["1 of 1 lie outside, the first is number 1: 6 7 1"]),
        (text([("nan", 1, 1)]), ["number 1: nan 1 1"]),
        (b"\r\n", ["there are none"]),
        (b"1 2\r\n", ["every line must be x y z"]),
        (b"1 2 3\r\n4 5\r\n", ["every line must be x y z"]),
        # Numbers that would make whole landmarks if lines did not count.
        (b"1 1\r\n1 2\r\n2 2\r\n", ["every line must be x y z"]),
        (b"1 1 1 2 2 2\r\n3 3 3 4 4 4\r\n", ["every line must be x y z"]),
        (b"\x89PNG\x00\xff", ["every line must be x y z"]),
        (b"x y z\r\n1 2 3\r\n", ["every line must be x y z"]),
        (text(FIXED[:2]), ["'case1-T50' and 'case1-T00' have 2 and 3 landmarks"]),
    ],
)
def test_bad_landmarks(tmp_path, content, messages):
    files = tree() | {"Case1Pack/ExtremePhases/Case1_300_T50_xyz.txt": content}
    found = refusal(locate, unpacked(tmp_path, files))
    for message in [*messages, "'case1-T50'", "Case1_300_T50_xyz.txt"]:
        assert message in found


def test_landmarks_in_empty_slices_and_empty_volumes(tmp_path):
    stored = volume(MOVING)
    stored[4] = 0
    found = locate(unpacked(tmp_path, tree(moving=stored)))
    message = refusal(found["case1-T50"].read)
    assert "landmark 2 of the case 'case1-T50' lies in an empty slice: the slices 1 to 4 of 5" in (
        message
    )
    found = locate(unpacked(tmp_path, tree(moving=volume([], background=-2000))))
    assert "no stored value is above 0" in refusal(found["case1-T50"].read)


def test_a_patient_without_a_size(tmp_path):
    found = refusal(locate, unpacked(tmp_path, tree()), spec(scans={}))
    assert "The size and spacing of the patient 'case1' are not known" in found
    assert "key 'scans'" in found


# Initial errors ---------------------------------------------------------------------------------


def test_the_initial_error_is_told_once_and_compared(tmp_path, capsys):
    folder = unpacked(tmp_path, tree())
    locate(folder)
    said = "case1: 3 landmarks, initial error 7.50 mm"
    assert capsys.readouterr().out == f"{said}, published: 7.50 mm\n"
    found = refusal(locate, folder, spec(published=7.56))
    assert "The 3 landmarks of the patient 'case1' are 7.50 mm apart" in found
    assert "published are 7.56 mm" in found
    capsys.readouterr()
    locate(folder, spec(published=7.54))
    locate(folder, spec(published=9.9, phantom={"kind": "dirlab-4dct"}))
    assert f"{said}\n" in capsys.readouterr().out


def test_the_initial_error_is_in_millimetres_of_each_axis(tmp_path):
    moving = [(2, 1, 1), (7, 4, 2), (3, 2, 5)]  # off by 0.97, 3 and 7.5 mm
    files = tree(moving=volume(moving))
    files["Case1Pack/ExtremePhases/Case1_300_T50_xyz.txt"] = text(moving)
    locate(unpacked(tmp_path, files), spec(published=(0.97 + 3 + 7.5) / 3))
    assert "3.82 mm apart" in refusal(locate, tmp_path, spec(published=4.0))


# Dataset files ----------------------------------------------------------------------------------

INITIAL = {
    "dirlab-4dct": [3.89, 4.34, 6.94, 9.83, 7.48, 10.89, 11.03, 14.99, 7.92, 7.30],
    "dirlab-copd": [26.33, 21.79, 12.64, 29.58, 30.08, 28.46, 21.60, 26.46, 14.86, 21.81],
}


@pytest.mark.parametrize(("name", "mean"), [("dirlab-4dct", 8.46), ("dirlab-copd", 23.36)])
def test_the_tables_are_the_published_ones(name, mean):
    dataset = Catalog({"scale": "paper"}, ROOT).dataset(name)
    scans = dataset.spec["scans"]
    assert [scan["initial_tre"] for scan in scans.values()] == INITIAL[name]
    # Hansen & Heinrich 2020, Table 1, row "initial".
    assert np.mean(INITIAL[name]) == pytest.approx(mean, abs=0.005)
    assert {case["patient"] for case in dataset.cases} == set(scans)
    assert {tuple(scan["size"][:2]) for scan in scans.values()} <= {(256, 256), (512, 512)}
    assert {scan["spacing"][2] for scan in scans.values()} == {2.5}
    assert all(scan["spacing"][0] == scan["spacing"][1] for scan in scans.values())
    if name == "dirlab-copd":
        assert scans["copd9"]["spacing"] == [0.664, 0.664, 2.5]


@pytest.mark.parametrize("name", ["dirlab-4dct", "dirlab-copd"])
@pytest.mark.parametrize(("scale", "number", "patients"), [("demo", 2, 2), ("paper", 5, 2)])
def test_folds_are_disjoint_and_cover_every_patient(name, scale, number, patients):
    dataset = Catalog({"scale": scale}, ROOT).dataset(name)
    folds = [dataset.pairs(f"fold{k}") for k in range(number)]
    assert [len(fold) for fold in folds] == [patients] * number
    assert sorted(pair for fold in folds for pair in fold) == sorted(dataset.pairs("all"))
    for fixed, moving in dataset.pairs("all"):
        assert fixed.endswith(("-T00", "-iBHCT"))
        assert moving == fixed.replace("T00", "T50").replace("iBH", "eBH")


def test_the_real_files_have_the_published_errors(capsys):
    root = Path(os.environ.get("WARPLINE_REAL_DATA", "/nowhere")) / "dirlab"
    if not root.is_dir():
        pytest.skip("WARPLINE_REAL_DATA names no folder with a folder 'dirlab'")
    for name in INITIAL:
        dataset = Catalog({"scale": "paper"}, ROOT).dataset(name)
        told = {key: dataset.spec[key] for key in ("scans", "ask", "phantom")}
        locate(root, told | {"patients": dataset.cases}, dataset.cases)
    assert capsys.readouterr().out.count("published") == 20
