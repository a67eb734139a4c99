"""Canonical cases: what is kept, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from schema_tools import files_of

from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise, orientation
from warpline.acquire.formats import CaseFiles
from warpline.acquire.formats.base import Crop
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk

LABELS = {1: "head", 2: "body"}
SHAPE = (6, 7, 8)


def oblique() -> Grid:
    """An anisotropic grid turned about all three axes."""
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5)
    return Grid(SHAPE, (0.7, 1.3, 2.5), (-31.0, 12.5, 7.25), turn.GetMatrix())


@pytest.fixture
def source(tmp_path):
    """Writes files of a case on an oblique grid; any of them can be given otherwise."""
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.normal(100, 20, SHAPE).astype(np.float32),
        "labels": rng.integers(0, 3, SHAPE).astype(np.uint8),
        "mask": rng.integers(0, 2, SHAPE).astype(np.int16) * 7,
    }

    def write(suffix: str = ".nii.gz", grids=None, **changes) -> CaseFiles:
        paths = {}
        for kind, array in (arrays | changes).items():
            if kind in arrays and array is not None:
                paths[kind] = tmp_path / f"{kind}{suffix}"
                write_image(paths[kind], Image(array, (grids or {}).get(kind, oblique())))
        return CaseFiles(**paths, **{k: v for k, v in changes.items() if k not in arrays})

    write.arrays = arrays
    return write


def refused(files: CaseFiles, tmp_path: Path, match: str) -> WarplineError:
    with pytest.raises(WarplineError, match=match) as error:
        canonicalise(files, "007", tmp_path / "007", labels=LABELS)
    assert not (tmp_path / "007").exists()
    return error.value


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_oblique_geometry_and_values_are_kept(source, tmp_path, suffix):
    canonicalise(source(suffix), "007", tmp_path / "007", labels=LABELS)
    case = read_case(tmp_path / "007")
    assert case.id == "007"
    for part in (case.image, case.labels, case.mask):
        assert part.grid.close_to(oblique(), 1e-4)
    np.testing.assert_array_equal(case.image.array, source.arrays["image"])
    np.testing.assert_array_equal(case.labels.array, source.arrays["labels"])
    np.testing.assert_array_equal(case.mask.array, source.arrays["mask"] != 0)
    raw = sitk.ReadImage(os.fspath(tmp_path / "007" / "image.nii.gz"))
    np.testing.assert_allclose(raw.GetDirection(), oblique().direction, atol=1e-6)


def test_types(source, tmp_path):
    canonicalise(source(), "007", tmp_path / "007", labels=LABELS)
    kinds = {
        path.name: sitk.ReadImage(os.fspath(path)).GetPixelIDTypeAsString()
        for path in (tmp_path / "007").glob("*.nii.gz")
    }
    assert kinds == {
        "image.nii.gz": "32-bit float",
        "labels.nii.gz": "8-bit unsigned integer",
        "mask.nii.gz": "8-bit unsigned integer",
    }


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (np.arange(336, dtype=np.uint8) % 250, np.int16),
        (np.arange(336, dtype=np.float64) - 1024, np.int16),
        (np.arange(336, dtype=np.int32) + 32768, np.float32),
        (np.arange(336, dtype=np.float64) / 2, np.float32),
    ],
)
def test_an_image_of_small_integers_stays_one(source, tmp_path, values, kept):
    values = values.reshape(SHAPE)
    case = canonicalise(source(image=values), "007", tmp_path / "007", labels=LABELS)
    assert case.image.array.dtype == kept
    np.testing.assert_array_equal(case.image.array, values)


def test_an_image_alone(source, tmp_path):
    canonicalise(source(labels=None, mask=None), "007", tmp_path / "007", labels={})
    names = sorted(path.name for path in (tmp_path / "007").iterdir())
    assert names == ["image.nii.gz", "record.json"]


def test_four_dimensions_with_one_channel(tmp_path):
    array = np.arange(336, dtype=np.float32).reshape(SHAPE)
    image = sitk.JoinSeries([sitk.GetImageFromArray(array)])
    sitk.WriteImage(image, os.fspath(tmp_path / "image.nii.gz"))
    files = CaseFiles(tmp_path / "image.nii.gz")
    case = canonicalise(files, "007", tmp_path / "007", labels={})
    np.testing.assert_array_equal(case.image.array, array)


def test_several_channels_are_refused(tmp_path):
    image = from_sitk(sitk.GetImageFromArray(np.zeros((4, 4, 4, 3), np.uint8), isVector=True))
    write_image(tmp_path / "image.nii.gz", image)
    refused(CaseFiles(tmp_path / "image.nii.gz"), tmp_path, "3 values a voxel")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_that_are_no_numbers(source, tmp_path, suffix, value, kind):
    """ITK's NIfTI reader turns them into zeros without a word."""
    image = source.arrays["image"].astype(kind)
    image[1, 2, 3] = image[2, 2, 2] = value
    files = source(suffix, image=image)
    refused(files, tmp_path, r"2 voxels that are no .* \(z, y, x\) = \(1, 2, 3\)")


def test_a_value_too_large_for_float32(source, tmp_path):
    image = source.arrays["image"].astype(np.float64)
    image[0, 0, 0] = 1e300
    refused(source(image=image), tmp_path, "no finite number")


def test_a_constant_image(source, tmp_path):
    refused(source(image=np.full(SHAPE, 3, np.int16)), tmp_path, "constant: every voxel is 3")


def shifted(**changes) -> Grid:
    grid = oblique()
    return Grid(**{**grid.__dict__, **changes})


@pytest.mark.parametrize("kind", ["labels", "mask"])
@pytest.mark.parametrize(
    "grid",
    [
        shifted(origin=(-31.0, 12.5, 7.27)),
        shifted(spacing=(0.7, 1.3, 2.6)),
        shifted(direction=Grid(SHAPE).direction),
    ],
    ids=["origin", "spacing", "direction"],
)
def test_another_geometry(source, tmp_path, kind, grid):
    files = source(grids={kind: grid})
    error = refused(files, tmp_path, "does not lie on its image's grid")
    assert str(files.image) in str(error)
    assert str(getattr(files, kind)) in str(error)


def test_another_size(source, tmp_path):
    grid = Grid((6, 7, 9), oblique().spacing, oblique().origin, oblique().direction)
    labels = np.zeros(grid.shape, np.uint8)
    error = refused(source(labels=labels, grids={"labels": grid}), tmp_path, "grid")
    assert "size (8, 7, 6)" in str(error)
    assert "size (9, 7, 6)" in str(error)


def test_a_header_rounded_to_float32_is_the_same_geometry(source, tmp_path):
    grid = shifted(origin=(-31.0, 12.5, 7.2501), spacing=(0.7, 1.3, 2.50001))
    case = canonicalise(source(grids={"labels": grid}), "007", tmp_path / "007", labels=LABELS)
    assert case.labels.grid == case.image.grid


def test_an_empty_label_map_is_allowed(source, tmp_path):
    files = source(labels=np.zeros(SHAPE, np.uint8))
    case = canonicalise(files, "007", tmp_path / "007", labels=LABELS)
    assert not case.labels.array.any()


@pytest.mark.parametrize("value", [3, 300, -1])
def test_an_unknown_label(source, tmp_path, value):
    labels = source.arrays["labels"].astype(np.int16)
    labels[0, 0, :2] = value
    error = refused(source(labels=labels), tmp_path, f"holds the value {value} in 2 voxels")
    assert "1 head, 2 body" in str(error)


def test_a_label_map_of_fractions(source, tmp_path):
    labels = source.arrays["labels"].astype(np.float32)
    labels[0, 0, 0] = 0.5
    refused(source(labels=labels), tmp_path, "holds 0.5, which is no integer")
    labels[0, 0, 0] = np.nan
    refused(source(labels=labels), tmp_path, "no finite number")


def test_labels_stored_as_floats(source, tmp_path):
    files = source(labels=source.arrays["labels"].astype(np.float32))
    case = canonicalise(files, "007", tmp_path / "007", labels={"1": "head", "2": "body"})
    assert case.labels.array.dtype == np.uint8


def test_label_values_are_renamed(source, tmp_path):
    labels = source.arrays["labels"].astype(np.int32) * 500
    files = source(labels=labels, label_values={500: 2, 1000: 1})
    case = canonicalise(files, "007", tmp_path / "007", labels=LABELS)
    np.testing.assert_array_equal(case.labels.array, np.array([0, 2, 1])[labels // 500])


@pytest.mark.parametrize("kind", ["image", "labels", "mask"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.6, 0.99])
def test_truncated_files_are_named(source, tmp_path, kind, suffix, part):
    """ITK reads a truncated NIfTI file, compressed or not, as if it were whole."""
    files = source(suffix)
    path = getattr(files, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert refused(files, tmp_path, "cannot be read|truncated").where == path


# --- landmarks ------------------------------------------------------------------------------------


def landmarks(tmp_path: Path, text: str) -> dict:
    path = tmp_path / "points.csv"
    path.write_text(text)
    return {"landmarks": path}


def test_landmarks_in_millimetres(source, tmp_path):
    index = np.array([[0, 0, 0], [1.5, 2.25, 3.0], [5, 6, 7]])
    points = oblique().index_to_physical(index)
    table = pd.DataFrame(points, columns=["x", "y", "z"])
    table.insert(0, "id", ["01", "apex", "b"])
    files = source(**landmarks(tmp_path, table.to_csv(index=False)))
    canonicalise(files, "007", tmp_path / "007", labels=LABELS)
    read = read_case(tmp_path / "007").landmarks
    assert list(read["id"]) == ["01", "apex", "b"]
    np.testing.assert_allclose(read[["x", "y", "z"]], points)


def test_landmarks_in_voxels(source, tmp_path):
    files = source(**landmarks(tmp_path, "3,2.25,1.5\n7,6,5\n"), landmarks_in="voxel")
    canonicalise(files, "007", tmp_path / "007", labels=LABELS)
    read = read_case(tmp_path / "007").landmarks
    image = sitk.ReadImage(os.fspath(tmp_path / "007" / "image.nii.gz"))
    expected = [
        image.TransformContinuousIndexToPhysicalPoint(index)
        for index in ((3, 2.25, 1.5), (7.0, 6.0, 5.0))
    ]
    assert list(read["id"]) == ["1", "2"]
    np.testing.assert_allclose(read[["x", "y", "z"]], expected, atol=1e-5)


def test_landmarks_in_voxels_with_ids(source, tmp_path):
    text = " id , k,j,i, seen\ncarina,1.5,2.25,3,yes\n 07,5,6,7,no\n"
    canonicalise(source(**landmarks(tmp_path, text)), "007", tmp_path / "007", labels=LABELS)
    read = read_case(tmp_path / "007").landmarks
    image = sitk.ReadImage(os.fspath(tmp_path / "007" / "image.nii.gz"))
    expected = [
        image.TransformContinuousIndexToPhysicalPoint(index)
        for index in ((3, 2.25, 1.5), (7.0, 6.0, 5.0))
    ]
    assert list(read["id"]) == ["carina", "07"]
    np.testing.assert_allclose(read[["x", "y", "z"]], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,x,y,z\na,-31,12.5,7.25\nb,900,0,0\n", "1 of 2 landmarks .* outside its image: b\\.$"),
        ("id,x,y,z\na,-31,12.5,\n", "1 of 1 landmarks"),
        ("id,x,y,z\na,-31,12.5,7.25\na,-31,12.5,7.25\n", "'a' stands twice"),
        ("id,x,y\na,1,2\n", "has the columns id, x, y\\."),
        ("id,i,j,z\na,1,2,3\n", "Needed are the columns id, x, y, z .* or id, i, j, k"),
        ("id,x,y,z\na,-31,12.5,7.25\n ,-31,12.5,7.25\n", "a line has no id"),
        ("id,x,y,z\na,-31,12.5,7.25\na ,-30,12,7\n", "'a' stands twice"),
        ("id,x,y,z\na,3,2,1\nb,900,0,0\n", "their columns are i, j, k"),
        ("id,i,j,k\na,3,2,1\nb,8,0,0\n", "1 of 2 landmarks .*outside its image: b"),
        ("id,x,y,z\na,1,2,three\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_wrong_landmarks(source, tmp_path, text, match):
    refused(source(**landmarks(tmp_path, text)), tmp_path, f"(?m){match}")


@pytest.mark.parametrize("text", ["1,2\n", "1,2,3,4\n", "x,y,z\n1,2,3\n"])
def test_wrong_landmarks_in_voxels(source, tmp_path, text):
    files = source(**landmarks(tmp_path, text), landmarks_in="voxel")
    refused(files, tmp_path, "lines of x, y, z are needed")


# --- real data ------------------------------------------------------------------------------------


def test_real_cases(tmp_path):
    archive = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror", "Task04_Hippocampus.tar")
    if not archive.is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/Task04_Hippocampus.tar")
    folder = unpack(archive, tmp_path / "unpacked")
    entries = json.loads((folder / "Task04_Hippocampus/dataset.json").read_text())["training"]
    for entry in entries[::10]:
        case = Path(entry["image"]).name[12:15]
        found = formats.get("msd").locate(folder, files_of(labels=LABELS), {"case": case})
        canonicalise(found, case, tmp_path / case, labels=LABELS)
        kept, raw = read_case(tmp_path / case), read_image(found.image)
        np.testing.assert_array_equal(kept.image.array, raw.array)
        assert kept.image.grid.close_to(raw.grid, 1e-4)
        assert set(np.unique(kept.labels.array)) == {0, 1, 2}


# --- the record -----------------------------------------------------------------------------------

# All ways in which the axes of a file can run, x, y and z of the file as columns.
FRAMES = [
    np.eye(3)[:, order] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def record(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


@pytest.mark.parametrize("turn", [np.eye(3), np.reshape(oblique().direction, (3, 3))])
def test_the_letters_of_all_48_frames(turn):
    """Against nibabel's, whose x and y point the other way in mm."""
    for frame in FRAMES:
        grid = Grid(SHAPE, (0.7, 1.3, 2.5), direction=tuple((turn @ frame).ravel()))
        affine = np.diag([-1.0, -1, 1, 1])
        affine[:3, :3] @= grid.matrix
        assert orientation(grid) == "".join(nibabel.aff2axcodes(affine))


def test_what_a_case_s_record_says(source, tmp_path):
    canonicalise(source(), "007", tmp_path / "007", labels=LABELS)
    found = record(tmp_path / "007")
    assert found["image"] == "image.nii.gz"
    assert found["orientation"] == "LPS"
    assert found["annotated"] == [1, 2]
    assert found["size"] == [8, 7, 6]
    for key, precision in (("spacing", 1e-6), ("origin", 1e-5), ("direction", 1e-6)):
        np.testing.assert_allclose(found[key], getattr(oblique(), key), atol=precision)
    assert not {"crop", "label_map_moved_mm"} & set(found)


@pytest.mark.parametrize(
    ("changes", "annotated"),
    [({"annotated": (2,)}, [2]), ({"annotated": ()}, []), ({"labels": None}, [])],
)
def test_labels_that_are_annotated(source, tmp_path, changes, annotated):
    canonicalise(source(**changes), "007", tmp_path / "007", labels=LABELS)
    assert record(tmp_path / "007")["annotated"] == annotated


def test_label_maps_that_lie_elsewhere_are_turned_into_place(source, tmp_path):
    """The same anatomy in every frame, with an origin of its own."""
    files = source(labels_elsewhere=True)
    turn = np.reshape(oblique().direction, (3, 3))
    expected = source.arrays["labels"]
    for frame in FRAMES:
        axes = [int(np.flatnonzero(column)[0]) for column in frame.T]  # of (x, y, z), physical
        flips = [2 - k for k in range(3) if frame[axes[k], k] < 0]
        array = np.flip(expected.transpose([2 - axes[2 - k] for k in range(3)]), flips)
        spacing = tuple(oblique().spacing[axis] for axis in axes)
        grid = Grid(array.shape, spacing, (3.0, 4.0, 0.0), tuple((turn @ frame).ravel()))
        write_image(files.labels, Image(np.ascontiguousarray(array), grid))
        case = canonicalise(files, "007", tmp_path / "007", labels=LABELS)
        np.testing.assert_array_equal(case.labels.array, expected)
        corner = np.array([array.shape[k] - 1 if k in flips else 0 for k in range(3)])
        moved = np.linalg.norm(grid.index_to_physical(corner) - oblique().origin)
        assert record(tmp_path / "007")["label_map_moved_mm"] == pytest.approx(moved, abs=1e-3)


def test_label_maps_that_lie_elsewhere_must_have_the_image_s_voxels(source, tmp_path):
    other = Grid(SHAPE, (0.7, 1.4, 2.5), (0.0, 0.0, 0.0), oblique().direction)
    files = source(labels_elsewhere=True, grids={"labels": other})
    refused(files, tmp_path, "does not lie on its image's grid")


def test_a_crop_is_cut_out_of_everything_and_recorded(source, tmp_path):
    seen = []

    def crop(label_map):
        seen.append(label_map)
        return Crop((1, 2, 3), (5, 6, 8), {"by": "hand"})

    canonicalise(source(crop=crop), "007", tmp_path / "007", labels=LABELS)
    case = read_case(tmp_path / "007")
    box = (slice(1, 5), slice(2, 6), slice(3, 8))
    np.testing.assert_array_equal(seen[0].array, source.arrays["labels"])
    np.testing.assert_array_equal(case.image.array, source.arrays["image"][box])
    np.testing.assert_array_equal(case.labels.array, source.arrays["labels"][box])
    np.testing.assert_array_equal(case.mask.array, source.arrays["mask"][box] != 0)
    origin = oblique().index_to_physical(np.array([1, 2, 3]))
    for part in (case.image, case.labels, case.mask):
        np.testing.assert_allclose(part.grid.origin, origin, atol=1e-4)
    assert record(tmp_path / "007")["crop"] == {
        "start": [3, 2, 1],
        "stop": [8, 6, 5],
        "by": "hand",
    }
    assert record(tmp_path / "007")["size"] == [8, 7, 6]
