"""Phantom follow-up scans: landmarks, truth, files, and the way they take to canonical cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from schema_tools import files_of, phantom_of
from scipy.spatial import cKDTree

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.files import checksum
from warpline.phantoms.providers.followup import stored_pair
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
COARSE = {"spacing": [7.0, 7.0, 8.0]}


def row(patient: str, side: str, **changes: str) -> dict[str, str]:
    stem = f"{patient}/{side}"
    return {
        "case": f"{patient}-{side}",
        "patient": patient,
        "split": "test",
        "labels": "",
        "image": f"{stem}.mha",
        "mask": f"{stem}_mask.mha",
        "landmarks": f"{stem}_landmarks.txt",
    } | changes


ROWS = [row("p1", "baseline"), row("p1", "followup", mask="")]


@pytest.fixture(scope="module")
def pair():
    return stored_pair((2017, 3), **COARSE)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    spec = {"seed": 4, "parameters": {**COARSE, "landmarks": 30}}
    (path,) = phantoms.write(
        "followup", phantom_of(**spec), ROWS, tmp_path_factory.mktemp("mirror")
    )
    return path


def test_the_true_field_maps_the_landmarks(pair):
    assert pair.baseline.points.shape == pair.followup.points.shape == (100, 3)
    mapped = pair.truth.transform_points(pair.baseline.points)
    # The maps are exact; the field is sampled at every 7 mm, and jumps at the pleura.
    assert np.median(np.linalg.norm(mapped - pair.followup.points, axis=1)) < 0.05
    assert np.linalg.norm(mapped - pair.followup.points, axis=1).max() < 1.5
    before = np.linalg.norm(pair.baseline.points - pair.followup.points, axis=1)
    assert 3 < before.mean() < 30


def test_the_true_field_maps_the_images(pair):
    inside = pair.baseline.lungs.array > 0
    warped = pair.truth.warp_labels(pair.followup.lungs).array > 0
    dice = 2 * (warped & inside).sum() / (warped.sum() + inside.sum())
    unmoved = type(pair.truth).identity(pair.truth.grid).warp_labels(pair.followup.lungs).array > 0
    assert dice > 0.93
    assert dice > 2 * (unmoved & inside).sum() / (unmoved.sum() + inside.sum()) + 0.05


def test_landmarks_are_in_the_lungs_and_well_distributed(pair):
    points = pair.baseline.points
    index = np.rint(pair.baseline.image.grid.physical_to_index(points)).astype(int)
    assert pair.baseline.lungs.array[tuple(index.T)].all()
    distance, _ = cKDTree(points).query(points, k=2)
    assert distance[:, 1].min() > 5


def test_the_scans_differ_as_two_scanners_would(pair):
    first, second = pair.baseline.image, pair.followup.image
    assert not first.grid.close_to(second.grid, 0.5)
    assert first.array.min() != second.array.min()


def test_other_patients_are_other_and_the_same_is_the_same(pair):
    again = stored_pair((2017, 3), **COARSE)
    np.testing.assert_array_equal(again.followup.image.array, pair.followup.image.array)
    np.testing.assert_array_equal(again.truth.vectors, pair.truth.vectors)
    other = stored_pair((2017, 4), **COARSE)
    assert not np.allclose(other.baseline.points[:5], pair.baseline.points[:5], atol=1)


def test_its_files_go_the_way_of_real_ones(archive, tmp_path):
    assert archive.name == "followup.zip"
    assert checksum(archive) in (archive.parent / "SHA256SUMS").read_text()
    unpack(archive, tmp_path / "unpacked" / archive.name)
    found = formats.locate_all("followup", tmp_path / "unpacked", files_of(patients=ROWS), ROWS)
    sides = []
    for name, files in found.items():
        canonicalise(files, name, tmp_path / name, labels={})
        sides.append(read_case(tmp_path / name))
    first, second = sides
    assert first.mask is not None
    assert second.mask is None  # the sheet names none
    assert list(first.landmarks["id"]) == list(second.landmarks["id"])
    assert len(first.landmarks) == 30
    truth = sitk.ReadImage(str(tmp_path / "unpacked/followup.zip/p1/truth.mha"))
    assert truth.GetSize() == first.grid.shape[::-1]
    assert truth.GetNumberOfComponentsPerPixel() == 3
    # A field in ITK's own words: its transform takes baseline points to follow-up points.
    transform = sitk.DisplacementFieldTransform(sitk.Cast(truth, sitk.sitkVectorFloat64))
    axes = ["x", "y", "z"]
    pairs = zip(first.landmarks[axes].to_numpy(), second.landmarks[axes].to_numpy(), strict=True)
    errors = [np.linalg.norm(np.subtract(transform.TransformPoint(p), q)) for p, q in pairs]
    assert np.median(errors) < 0.1


def test_the_same_bytes_every_time(archive, tmp_path):
    spec = {"seed": 4, "parameters": {**COARSE, "landmarks": 30}}
    (again,) = phantoms.write("followup", phantom_of(**spec), ROWS, tmp_path)
    assert again.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("rows", "parameters", "message"),
    [
        (ROWS[:1], {}, "'p1' has 1 cases"),
        (ROWS, {"spacng": 3}, "no parameter 'spacng'"),
    ],
)
def test_what_cannot_be_made(tmp_path, rows, parameters, message):
    with pytest.raises(WarplineError, match=message):
        phantoms.write("followup", phantom_of(parameters=parameters), rows, tmp_path)
    assert not (tmp_path / "followup.zip").exists()


@pytest.mark.parametrize(
    ("scale", "numbers"), [("demo", (4, 1, 3)), ("cpu", (10, 2, 7)), ("paper", (10, 2, 7))]
)
def test_the_dataset_has_the_paper_s_splits(scale, numbers):
    dataset = Catalog({"scale": scale}, ROOT).dataset("followup")
    pairs = [dataset.pairs(split) for split in ("train", "val", "test")]
    assert tuple(map(len, pairs)) == numbers
    for fixed, moving in (pair for split in pairs for pair in split):
        assert fixed.endswith("-baseline")
        assert moving == fixed.replace("-baseline", "-followup")


def test_elastix_own_pair_comes_file_by_file(tmp_path):
    dataset = Catalog({"scale": "paper"}, ROOT).dataset("elastix-lung")
    assert dataset.pairs("test") == [("baseline", "followup")]
    for archive, entry in dataset.spec["archives"].items():
        assert entry["sources"][0].endswith(f"/{archive}")
        (tmp_path / archive).mkdir()
        (tmp_path / archive / archive).write_text("point\n100\n")
    found = formats.locate_all(
        "followup", tmp_path, files_of(patients=dataset.cases), dataset.cases
    )
    assert all(files.mask and files.landmarks for files in found.values())
