"""Files as people have them: each is read and what was assumed is said, or the error says why."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner
from fieldtools import smooth_image

import warpline
from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats.base import CaseFiles
from warpline.acquire.scans import read_scan
from warpline.cli.main import main
from warpline.cli.options import heard
from warpline.cli.view import pages_of
from warpline.errors import WarplineError
from warpline.images.files import read_image, read_volume, write_image
from warpline.images.grid import Grid, Image
from warpline.plan.sheets import read_case_sheet

AFFINE = nibabel.affines.from_matvec(np.diag([1.0, 1.2, 1.5]), [5, -6, 7])
ARRAY = np.rint(smooth_image(Grid((8, 9, 10)), seed=1).array * 100).astype(np.float32).T
GRID = Grid((8, 9, 10), (1.0, 1.2, 1.5), (5.0, -6.0, 7.0))


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def nifti(array: np.ndarray, path: Path, **changes) -> Path:
    """A NIfTI-1 file whose header says what the changes say."""
    image = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype)
    image.set_qform(changes.pop("qform", AFFINE), changes.pop("qcode", 1))
    image.set_sform(changes.pop("sform", AFFINE), changes.pop("scode", 2))
    nibabel.save(image, path)
    if changes:
        _patch(path, changes)
    return path


def _patch(path: Path, changes: dict) -> None:
    """Change fields of a header as it stands in the file."""
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, nibabel.nifti1.header_dtype, 1)
    for name, value in changes.items():
        header[name] = value
    path.write_bytes(content)


def sheared(degrees: float) -> np.ndarray:
    """The affine with its second axis leant towards the first one."""
    affine = AFFINE.copy()
    affine[0, 1] = np.tan(np.radians(degrees)) * 1.2
    return affine


def moved(by: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += by
    return affine


def with_nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[:2] = np.nan
    return array


def detached(path: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY.T), str(path.with_suffix(".nhdr")))
    return path.with_suffix(".nhdr")


def analyze(path: Path) -> Path:
    image = nibabel.AnalyzeImage(ARRAY, np.diag([1, 1.2, 1.5, 1]))
    nibabel.save(image, path.with_suffix(".img"))
    return path.with_suffix(".hdr")


def not_packed(path: Path) -> Path:
    plain = nifti(ARRAY, path.with_name("plain.nii"))
    path.write_bytes(plain.read_bytes())
    return path


def packed(path: Path) -> Path:
    """A .nii that is gzip."""
    plain = nifti(ARRAY, path.with_name("plain.nii"))
    target = path.with_name("a.nii")
    target.write_bytes(gzip.compress(plain.read_bytes()))
    return target


def second(path: Path) -> Path:
    nibabel.save(nibabel.Nifti2Image(ARRAY, AFFINE), path)
    return path


def swapped(path: Path) -> Path:
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(ARRAY, AFFINE, header), path)
    return path


def colours(path: Path) -> Path:
    voxels = np.zeros(ARRAY.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), path)
    return path


def flat(path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(ARRAY[:, :, 0], AFFINE), path)
    return path


@dataclass(frozen=True)
class Wild:
    """A kind of file: how it is made, and what is said of it.

    `says` is part of a warning if the file is `read`, else of the error; "" if nothing is said.
    """

    make: Callable[[Path], Path]
    read: bool
    says: str
    do: str = ""


IMAGES = {
    "slight shear": Wild(
        lambda p: nifti(ARRAY, p, sform=sheared(0.5), qcode=0), True, "miss a right angle by 0.5°"
    ),
    "shear": Wild(
        lambda p: nifti(ARRAY, p, sform=sheared(12), qcode=0), False, "by 12.0°", "Resample"
    ),
    "disagreeing forms": Wild(
        lambda p: nifti(ARRAY, p, sform=moved(3)), True, "3 mm apart; the qform is taken"
    ),
    "disagreeing, scanner's sform": Wild(
        lambda p: nifti(ARRAY, p, sform=moved(3), scode=1), True, "3 mm apart; the sform is taken"
    ),
    "no form": Wild(lambda p: nifti(ARRAY, p, qcode=0, scode=0), True, "neither qform nor sform"),
    "spacing 0": Wild(
        lambda p: nifti(ARRAY, p.with_name("a.nii"), scode=0, pixdim=[1, 1, 0, 1, 0, 0, 0, 0]),
        False,
        "spacing",
    ),
    "spacing below 0": Wild(
        lambda p: nifti(ARRAY, p.with_name("a.nii"), scode=0, pixdim=[1, 1, -1.2, 1.5, 0, 0, 0, 0]),
        False,
        "spacing",
    ),
    "not packed .nii.gz": Wild(not_packed, True, ""),
    "packed .nii": Wild(packed, True, ""),
    "NIfTI-2": Wild(second, True, ""),
    "big-endian": Wild(swapped, True, ""),
    "int64": Wild(lambda p: nifti(ARRAY.astype(np.int64), p), True, ""),
    "detached nrrd": Wild(detached, True, ""),
    "Analyze": Wild(analyze, True, "does not say where left and right are"),
    "two dimensions": Wild(flat, False, "2 dimensions", "stack slices"),
    "several volumes": Wild(
        lambda p: nifti(np.stack([ARRAY] * 3, -1), p), False, "3 volumes", "slicer[..., 0]"
    ),
    "one volume of four axes": Wild(lambda p: nifti(ARRAY[..., None], p), True, ""),
    "RGB": Wild(colours, False, "3 values a voxel", "mean"),
    "NaN outside": Wild(lambda p: nifti(with_nan(ARRAY), p), True, ""),
}
# Own data are stricter: voxels without a number are refused unless the dataset file fills them.
STRICTER = {"NaN outside"}


@pytest.mark.parametrize("kind", IMAGES)
def test_register_reads_the_file_or_says_what_to_do(kind, tmp_path):
    wild = IMAGES[kind]
    path = wild.make(tmp_path / "a.nii.gz")
    if wild.read:
        with heard() as said:
            found = warpline.register(path, path, method="identity")
        warped = sitk.GetArrayFromImage(found.warp(path))
        known = np.isfinite(warped)
        np.testing.assert_allclose(warped[known], ARRAY.T[known], atol=1e-3)
        assert len(said) == bool(wild.says)
        assert wild.says in "".join(said)
    else:
        done = run("register", path, path, "--method", "identity", "-o", tmp_path / "out")
        assert done.exit_code == 2, done.output
        assert wild.says in done.output
        assert wild.do in done.output
        assert "to do:" in done.output
        assert not (tmp_path / "out").exists()


def test_what_was_said_stands_in_the_record_and_on_the_page(tmp_path):
    path = nifti(ARRAY, tmp_path / "a.nii.gz", sform=sheared(0.5), qcode=0)
    done = run("register", path, path, "--method", "identity", "-o", tmp_path / "out", "--json")
    said = json.loads((tmp_path / "out/registration.json").read_text())["said"]
    assert len(said) == 1
    assert said[0] in done.output
    assert "miss a right angle by 0.5°" in said[0]
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "What was done to the files" in page


@pytest.mark.parametrize("kind", IMAGES)
def test_own_data_take_the_file_or_say_what_to_do(kind, tmp_path, caplog):
    wild = IMAGES[kind]
    files = CaseFiles(wild.make(tmp_path / "a.nii.gz"))
    if wild.read and kind not in STRICTER:
        with caplog.at_level(logging.WARNING):
            case = canonicalise(files, "a", tmp_path / "case", labels={})
        np.testing.assert_allclose(case.image.array, ARRAY.T)
        assert wild.says in caplog.text
    else:
        with pytest.raises(WarplineError) as error:
            canonicalise(files, "a", tmp_path / "case", labels={})
        assert "'a'" in error.value.what
        assert error.value.do


@pytest.mark.parametrize("kind", IMAGES)
def test_inspect_tells_of_every_file(kind, tmp_path):
    path = IMAGES[kind].make(tmp_path / "a.nii.gz")
    done = run("inspect", path)
    assert done.exit_code in (0, 1), done.output
    assert path.name in done.output


def test_where_the_slightly_sheared_image_lies(tmp_path):
    image = read_image(nifti(ARRAY, tmp_path / "a.nii.gz", sform=sheared(0.5), qcode=0))
    axes = np.reshape(image.grid.direction, (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    # The middle stays, and no corner moves by more than half of what the shear moves it.
    middle = (np.array(GRID.shape) - 1) / 2
    there = (sheared(0.5) @ [*middle[::-1], 1])[:3] * (-1, -1, 1)
    np.testing.assert_allclose(image.grid.index_to_physical(middle), there, atol=1e-4)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(GRID.shape) - 1)
    true = (np.c_[corners[:, ::-1], np.ones(8)] @ sheared(0.5).T)[:, :3] * (-1, -1, 1)
    apart = np.linalg.norm(image.grid.index_to_physical(corners) - true, axis=1).max()
    assert apart <= 0.5 * np.tan(np.radians(0.5)) * np.hypot(9 * 1.2, 10)


def test_nan_is_filled_and_told_where_the_dataset_says_so(tmp_path, capsys):
    path = nifti(with_nan(ARRAY), tmp_path / "a.nii.gz")
    with pytest.raises(WarplineError, match="no finite number") as error:
        canonicalise(CaseFiles(path), "a", tmp_path / "case", labels={})
    assert "nan: fill" in error.value.do
    case = canonicalise(CaseFiles(path, fill_nan=True), "a", tmp_path / "case", labels={})
    assert "144 of 720 voxels" in capsys.readouterr().out
    assert (case.image.array[..., :2] == ARRAY[2:].min()).all()
    np.testing.assert_array_equal(case.image.array[..., 2:], ARRAY.T[..., 2:])


# Label maps -------------------------------------------------------------------------------------

LABELS = (np.arange(ARRAY.size).reshape(ARRAY.shape) % 3).astype(np.float64)


def imported(tmp_path: Path, labels: np.ndarray, names: dict[int, str], **changes):
    image = nifti(ARRAY, tmp_path / "a.nii.gz")
    path = nifti(labels, tmp_path / "l.nii.gz", **changes)
    return canonicalise(CaseFiles(image, labels=path), "a", tmp_path / "case", labels=names)


def test_rounded_labels_are_taken_and_told(tmp_path, capsys):
    case = imported(tmp_path, LABELS * 1.00001, {1: "one", 2: "two"})
    np.testing.assert_array_equal(case.labels.array, LABELS.T)
    assert "are taken for whole ones" in capsys.readouterr().out
    with pytest.raises(WarplineError, match="no integer"):
        imported(tmp_path, LABELS * 1.1, {1: "one", 2: "two"})


def test_a_label_beyond_a_byte_says_what_to_do(tmp_path):
    with pytest.raises(WarplineError, match="values go from 0 to 255") as error:
        imported(tmp_path, LABELS * 150, {150: "one", 300: "two"})
    assert "another number" in error.value.do


def test_headers_that_differ_in_the_last_digits_are_one_grid_and_half_a_voxel_is_not(tmp_path):
    near = {"sform": moved(3e-4), "qform": moved(3e-4)}
    assert imported(tmp_path, LABELS, {1: "one", 2: "two"}, **near).labels is not None
    half = {"sform": moved(0.5), "qform": moved(0.5)}
    with pytest.raises(WarplineError, match="does not lie on its image's grid"):
        imported(tmp_path, LABELS, {1: "one", 2: "two"}, **half)
    path = nifti(LABELS, tmp_path / "half.nii.gz", **half)
    image = nifti(ARRAY, tmp_path / "a.nii.gz")
    run("register", image, image, "--method", "identity", "-o", tmp_path / "out")
    pair = ("--fixed", image, "--moving", image, "--fixed-labels", path, "--moving-labels", path)
    done = run("evaluate", tmp_path / "out", *pair)
    assert (done.exit_code, "does not lie where its image lies" in done.output) == (2, True)


def test_a_label_that_one_image_has_is_named_and_does_not_count(tmp_path):
    image = nifti(ARRAY, tmp_path / "a.nii.gz")
    one, two = np.where(LABELS == 2, 0, LABELS), LABELS
    paths = [nifti(x, tmp_path / f"{n}.nii.gz") for n, x in (("one", one), ("two", two))]
    run("register", image, image, "--method", "identity", "-o", tmp_path / "out")
    pair = ("--fixed", image, "--moving", image)
    pair += ("--fixed-labels", paths[0], "--moving-labels", paths[1])
    done = run("evaluate", tmp_path / "out", *pair, "--json")
    rows = json.loads(done.output)
    dice = {row["label"]: row["value"] for row in rows if row["metric"] == "dice"}
    assert dice == {"1": 1.0, "2": None}


# Masks ------------------------------------------------------------------------------------------


def test_masks_that_are_empty_or_elsewhere_are_refused(tmp_path):
    image = nifti(ARRAY, tmp_path / "a.nii.gz")
    empty = nifti(np.zeros(ARRAY.shape, np.uint8), tmp_path / "empty.nii.gz")
    other = nifti(np.ones(ARRAY.shape, np.uint8), tmp_path / "o.nii.gz", sform=moved(9), qcode=0)
    pair = ("register", image, image, "--method", "identity", "-o", tmp_path / "out")
    for mask, said in ((empty, "is empty"), (other, "does not lie where")):
        done = run(*pair, "--fixed-mask", mask)
        assert (done.exit_code, said in done.output) == (2, True), done.output


# Case sheets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("names", [("case", "split", "image"), ("Case", "SPLIT", "Image ")])
def test_case_sheets_of_spreadsheets(tmp_path, separator, names):
    cell = "a.nii.gz" if separator == "\t" else f'"a{separator}b.nii.gz"'
    rows = [names, ("1", "test", cell), ("02", "test", "b.nii.gz")]
    (tmp_path / "cases.csv").write_text("\n".join(map(separator.join, rows)) + "\n")
    found = read_case_sheet(tmp_path / "cases.csv")
    assert [row["case"] for row in found] == ["1", "02"]
    assert found[0]["image"] == cell.strip('"')


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,test\na,test\n", "stands twice"),
        ("scan,test\nScan,test\n", "differ in capitals alone"),
    ],
)
def test_cases_that_would_be_one_folder_are_refused(tmp_path, rows, said):
    (tmp_path / "cases.csv").write_text("case,split\n" + rows)
    with pytest.raises(WarplineError, match=said) as error:
        read_case_sheet(tmp_path / "cases.csv")
    assert error.value.do


# Landmarks --------------------------------------------------------------------------------------

POINT = (9.0, -3.0, 12.0)  # mm, LPS, within GRID
FCSV = "# Markups fiducial file version = {version}\n# CoordinateSystem = {frame}\n{row}\n"
ROW = "1,{x},{y},{z},0,0,0,1,1,1,0,apex,,"


def markups(frame: str, sign: int) -> str:
    place = [sign * POINT[0], sign * POINT[1], POINT[2]]
    point = {"id": "1", "label": "apex", "position": place, "positionStatus": "defined"}
    return json.dumps({"markups": [{"coordinateSystem": frame, "controlPoints": [point]}]})


def fiducials(frame: str, sign: int) -> str:
    row = ROW.format(x=sign * POINT[0], y=sign * POINT[1], z=POINT[2])
    return "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n".join(
        [FCSV.format(version="4.11", frame=frame, row="").rstrip() + "\n", row + "\n"]
    )


@pytest.mark.parametrize(("frame", "sign"), [("LPS", 1), ("RAS", -1)])
@pytest.mark.parametrize(("name", "text"), [("p.fcsv", fiducials), ("p.mrk.json", markups)])
def test_points_of_slicer_are_landmarks_in_either_frame(tmp_path, frame, sign, name, text):
    write_image(tmp_path / "a.nii.gz", Image(ARRAY.T.copy(), GRID))
    (tmp_path / name).write_text(text(frame, sign))
    files = CaseFiles(tmp_path / "a.nii.gz", landmarks=tmp_path / name)
    case = canonicalise(files, "a", tmp_path / "case", labels={})
    assert case.landmarks.to_numpy().tolist() == [["apex", *POINT]]


def test_landmarks_outside_the_image_are_refused_by_own_data(tmp_path):
    write_image(tmp_path / "a.nii.gz", Image(ARRAY.T.copy(), GRID))
    (tmp_path / "p.csv").write_text("id,x,y,z\nfar,-900,0,0\n")
    files = CaseFiles(tmp_path / "a.nii.gz", landmarks=tmp_path / "p.csv")
    with pytest.raises(WarplineError, match="lie outside its image: far") as error:
        canonicalise(files, "a", tmp_path / "case", labels={})
    assert "LPS" in error.value.do


def test_evaluate_names_the_landmarks_of_a_longer_file(tmp_path):
    image = nifti(ARRAY, tmp_path / "a.nii.gz")
    (tmp_path / "f.csv").write_text("id,x,y,z\na,-9,3,12\n")
    (tmp_path / "m.csv").write_text("id,x,y,z\na,-9,3,12\nA,-8,3,12\n")
    run("register", image, image, "--method", "identity", "-o", tmp_path / "out")
    pair = ("--fixed", image, "--moving", image)
    marks = ("--fixed-landmarks", tmp_path / "f.csv", "--moving-landmarks", tmp_path / "m.csv")
    done = run("evaluate", tmp_path / "out", *pair, *marks)
    assert (done.exit_code, "A (only moving)" in done.output) == (2, True)


# DICOM ------------------------------------------------------------------------------------------


def series(folder: Path, *, tilt: float = 0, leave_out: int = -1, name: str = "1.2.3") -> Path:
    """Eight slices of 9 × 10 pixels, 3 mm apart, each shifted along y by the tilt."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(8):
        if k == leave_out:
            continue
        image = sitk.GetImageFromArray(ARRAY.T[k].astype(np.int16)[None])
        image.SetSpacing((1.0, 1.2, 3.0))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{name}.{k + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2.9",
            "0020|000e": name,
            "0020|0032": f"0\\{tilt * k:g}\\{3 * k:g}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|0030": "1.2\\1",
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{name}-{k}.dcm"))
        writer.Execute(image)
    return folder


def test_a_folder_of_dicom_is_a_scan(tmp_path):
    folder = series(tmp_path / "scan")
    image = read_scan(folder)
    np.testing.assert_array_equal(image.array, ARRAY.T.astype(np.int16))
    assert image.grid.spacing == (1.0, 1.2, 3.0)
    done = run("register", folder, folder, "--method", "identity", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("changes", "said", "do"),
    [
        ({"tilt": 0.8}, "not stacked along its normal", "dcm2niix"),
        ({"leave_out": 4}, "misses 1 slices", "Export the whole series"),
    ],
)
def test_a_tilted_or_incomplete_series_says_what_to_do(tmp_path, changes, said, do):
    folder = series(tmp_path / "scan", **changes)
    done = run("register", folder, folder, "--method", "identity", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert said in done.output
    assert do in done.output
    assert str(folder) in done.output


def test_several_series_in_a_folder_are_counted(tmp_path):
    series(series(tmp_path / "scan"), name="1.2.4")
    done = run("register", *[tmp_path / "scan"] * 2, "--method", "identity")
    assert done.exit_code == 2
    assert "1.2.3 (8 files), 1.2.4 (8 files)" in done.output
    assert "a folder of its own" in done.output


def test_verbose_tells_what_was_read(tmp_path):
    path = nifti(ARRAY, tmp_path / "a.nii.gz")
    told = run("register", path, path, "--method", "identity", "-o", tmp_path / "out", "-v")
    assert f"{path}: 10 × 9 × 8 voxels of 1 × 1.2 × 1.5 mm" in told.output
    moved = tmp_path / "moved.nii.gz"
    for words in (
        ("apply", tmp_path / "out", "--image", path, "-o", moved),
        ("evaluate", tmp_path / "out", "--fixed", path, "--moving", path),
    ):
        assert f"{path}: 10 × 9 × 8 voxels of 1 × 1.2 × 1.5 mm" in run(*words, "-v").output
        assert "10 × 9 × 8" not in run(*words).output


# One of several ---------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"sform": sheared(0.5), "qcode": 0}])
def test_one_of_several_volumes_is_taken(tmp_path, changes):
    one = nifti(ARRAY * 2, tmp_path / "one.nii.gz", **dict(changes))
    stack = np.stack([ARRAY, ARRAY * 2, ARRAY * 3], -1)
    changes = {**changes, "scl_slope": 0.5, "scl_inter": 3.0}
    several = nifti(stack, tmp_path / "all.nii", **changes)
    with heard() as said:
        read = read_scan(several, 1)
    expected = read_scan(one)
    np.testing.assert_allclose(read.array, expected.array * 0.5 + 3, rtol=1e-6)
    assert read.grid.close_to(expected.grid)
    assert any("of 3 volumes the one of number 1 is taken" in line for line in said)
    np.testing.assert_array_equal(read_scan(one, 1).array, expected.array)  # it has but one
    done = run("register", several, one, "--volume", 3, "--method", "identity")
    assert (done.exit_code, "no volume 3 among 3" in done.output) == (2, True)
    words = ("--volume", 1, "--method", "identity", "-o", tmp_path / "out")
    assert run("register", several, one, *words).exit_code == 0


def several_of(kind: str, folder: Path) -> Path:
    """Three volumes in one file: `ARRAY`, and 1 and 2 more than it."""
    stack = np.stack([ARRAY.T + k for k in range(3)]).astype(np.float32)  # (t, z, y, x)
    path = folder / f"several.{kind.split(',')[0]}"
    if kind in ("mha", "nrrd"):
        image = sitk.GetImageFromArray(stack, isVector=False)
        image.SetSpacing((1.0, 1.2, 1.5, 1.0))
        sitk.WriteImage(image, str(path))
        return path
    first = kind == "nrrd, the list first"
    sizes = [*ARRAY.shape]
    head = [
        "NRRD0004",
        "type: float",
        "dimension: 4",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, [3, *sizes] if first else [*sizes, 3])),
        "space directions: "
        + ("none (1,0,0) (0,1.2,0) (0,0,1.5)" if first else "(1,0,0) (0,1.2,0) (0,0,1.5) none"),
        "kinds: " + ("list domain domain domain" if first else "domain domain domain list"),
        "endian: little",
        "encoding: raw",
        "space origin: (0,0,0)",
    ]
    values = np.moveaxis(stack, 0, -1) if first else stack
    content = np.ascontiguousarray(values).astype("<f4").tobytes()
    path.write_bytes("\n".join(head).encode() + b"\n\n" + content)
    return path


@pytest.mark.parametrize("kind", ["mha", "nrrd", "nrrd, the list first", "nrrd, the list last"])
def test_one_of_several_volumes_of_metaimage_and_nrrd_is_taken(tmp_path, kind):
    several = several_of(kind, tmp_path)
    one = read_volume(several, 1)
    np.testing.assert_array_equal(one.array, ARRAY.T.astype(np.float32) + 1)
    np.testing.assert_allclose(one.grid.spacing, (1.0, 1.2, 1.5))
    with pytest.raises(WarplineError, match="no volume 3 among 3"):
        read_volume(several, 3)
    words = ("register", several, several, "--method", "identity", "-o", tmp_path / "out")
    done = run(*words)
    assert done.exit_code == 2
    assert "--volume" in done.output
    done = run(*words, "--volume", 2)
    assert done.exit_code == 0, done.output
    assert "of 3 volumes the one of number 2 is taken" in done.output
    warped = read_image(tmp_path / "out" / "warped.nii.gz").array
    np.testing.assert_allclose(warped, ARRAY.T.astype(np.float32) + 2, atol=1e-3)
    assert pages_of(tmp_path / "out").is_dir()


def test_a_registration_of_dicom_folders_can_be_looked_at(tmp_path):
    folder = series(tmp_path / "scan")
    done = run("register", folder, folder, "--method", "identity", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    pages = pages_of(tmp_path / "out")
    assert (pages / "registration" / "pair-0.js").is_file()
    again = (pages / "start.js").read_text(encoding="utf-8")
    assert f"warpline view {tmp_path / 'out'}" in again


def test_inspect_tells_colours_and_slices_from_fields_and_volumes(tmp_path):
    colours = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    for name in ("a.nii.gz", "a.mha"):
        sitk.WriteImage(colours, str(tmp_path / name))
        done = run("inspect", tmp_path / name)
        assert (done.exit_code, "a colour" in done.output) == (1, True)
        assert "a.nii.gz: image" in done.output or "a.mha: image" in done.output
    sitk.WriteImage(sitk.Image((5, 6), sitk.sitkFloat32), str(tmp_path / "b.nii.gz"))
    done = run("inspect", tmp_path / "b.nii.gz")
    assert (done.exit_code, "a single slice" in done.output) == (1, True)


def test_masks_that_do_not_overlap_after_the_start_are_told(tmp_path):
    path = nifti(ARRAY, tmp_path / "a.nii.gz")
    masks = []
    for name, part in (("low", slice(0, 4)), ("high", slice(6, 10))):
        mask = np.zeros(ARRAY.shape, np.uint8)
        mask[part] = 1
        masks.append(nifti(mask, tmp_path / f"{name}.nii.gz"))
    words = ("--start", "none", "--quality", "fast", "--threads", 1, "-o", tmp_path / "out")
    both = ("--fixed-mask", masks[0], "--moving-mask", masks[1])
    done = run("register", path, path, *both, *words)
    assert done.exit_code == 1, done.output
    assert "within their masks does not lie on each other after the start" in done.output
