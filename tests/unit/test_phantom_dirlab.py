"""Phantom copies of DIR-Lab's archives: their trees, their landmarks, and the way to pairs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from schema_tools import files_of, phantom_of

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats.dirlab import DIRECTION
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.files import checksum
from warpline.images.grid import Grid
from warpline.phantoms.providers.dirlab import stored_pair
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
# Narrower than a chest, as the volumes of the first cases are.
GRID = Grid((40, 48, 48), (5.2, 5.2, 6.0), direction=DIRECTION)
SCAN = {"size": [48, 48, 40], "spacing": [5.2, 5.2, 6.0], "initial_tre": 1.0}
QUICK = {"landmarks": 60, "outside": 1.0}


def rows(*patients: str) -> list[dict[str, str]]:
    """Rows of the case sheets."""
    found = []
    for name in ("dirlab-4dct", "dirlab-copd"):
        dataset = Catalog({"scale": "paper"}, ROOT).dataset(name)
        found += [row for row in dataset.cases if row["patient"] in patients]
    return found


def written(kind: str, patients: tuple[str, ...], folder: Path, **parameters) -> list[Path]:
    spec = {"seed": 3, "parameters": {**QUICK, **parameters}}
    spec["scans"] = dict.fromkeys(patients, SCAN)
    return phantoms.write(kind, phantom_of(**spec), rows(*patients), folder)


@pytest.fixture(scope="module")
def deep():
    return stored_pair((2020, 1), GRID, diaphragm=(30, 30), noise=12.0)


@pytest.fixture(scope="module")
def archives(tmp_path_factory, deep) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as patch:  # a pair that is there: only the trees differ
        always_give(deep, patch)
        paths = written("dirlab-4dct", ("case1", "case8"), folder)
    paths += written("dirlab-copd", ("copd3",), folder)
    return {path.name: path for path in paths}


def always_give(pair, patch: pytest.MonkeyPatch) -> None:
    """Let the phantom take this pair for every patient's."""
    patch.setattr("warpline.phantoms.providers.dirlab.stored_pair", lambda *_, **__: pair)
    patch.setattr("warpline.phantoms.providers.request.check_parameters", lambda *_: None)


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_trees_are_those_of_the_copies(archives):
    assert names(archives["Case1Pack.zip"]) == {
        "Case1Pack/Images/case1_T00_s.img",
        "Case1Pack/Images/case1_T50_s.img",
        "Case1Pack/ExtremePhases/Case1_300_T00_xyz.txt",
        "Case1Pack/ExtremePhases/Case1_300_T50_xyz.txt",
        "Case1Pack/Sampled4D/case1_4D-75_T00.txt",
        "Case1Pack/Sampled4D/case1_4D-75_T50.txt",
    }
    assert {
        "Case8Deploy/Images/case8_T00.img",
        "Case8Deploy/extremePhases/case8_dirLab300_T00_xyz.txt",
    } < names(archives["Case8Pack.zip"])
    assert names(archives["copd3.zip"]) == {
        "copd3/copd3/copd3_iBHCT.img",
        "copd3/copd3/copd3_eBHCT.img",
        "copd3/copd3/copd3_300_iBH_xyz_r1.txt",
        "copd3/copd3/copd3_300_eBH_xyz_r1.txt",
    }
    sums = (archives["copd3.zip"].parent / "SHA256SUMS").read_text()
    assert all(checksum(path) in sums for path in archives.values())


@pytest.mark.parametrize("zipped", [True, False])
def test_its_archives_go_the_way_of_real_ones(archives, tmp_path, zipped):
    folder = tmp_path / "unpacked"
    if zipped:
        folder = next(iter(archives.values())).parent
    else:
        for name, path in archives.items():
            unpack(path, folder / name)
    cases = rows("case1", "case8", "copd3")
    spec = {"scans": dict.fromkeys(["case1", "case8", "copd3"], SCAN), "patients": cases}
    found = formats.locate_all("dirlab", folder, files_of(**spec, phantom={"kind": "x"}), cases)
    sides = {}
    for name in ("copd3-iBHCT", "copd3-eBHCT"):
        canonicalise(found[name], name, tmp_path / name, labels={})
        steps = [{"segment_lungs": {}}, {"orient": {}}, {"clip_background": {}}]
        sides[name] = prepare(read_case(tmp_path / name), steps)
    inhale, exhale = sides.values()
    assert list(inhale.landmarks["id"]) == list(exhale.landmarks["id"])
    assert (len(inhale.image.array), len(exhale.image.array)) == (40, 38)  # two slices were empty
    for case in sides.values():
        points = case.landmarks[["x", "y", "z"]].to_numpy()
        index = np.rint(case.grid.physical_to_index(points)).astype(int)
        assert case.mask.array[tuple(index.T)].mean() > 0.8
        assert case.image.array.min() > -1100  # nothing of what lies outside is left
        # Head up: lungs narrow to the head.
        width = case.mask.array.any(axis=1).sum(axis=1)
        slices = np.flatnonzero(width)
        assert width[slices[-2]] < 0.7 * width[slices[len(slices) // 2]]
    # At exhale the domes are higher, and so is the lowest lung.
    assert exhale.landmarks["z"].mean() > inhale.landmarks["z"].mean() + 5
    # But for the real ones the published distance is asked for.
    with pytest.raises(WarplineError, match=r"published are 1\.00 mm"):
        formats.locate_all("dirlab", folder, files_of(**spec), cases)


def test_landmarks_are_voxels_half_a_voxel_from_the_truth(deep):
    assert deep.inhale_points.dtype.kind == deep.exhale_points.dtype.kind == "i"
    assert len(deep.inhale_points) == len(np.unique(deep.inhale_points, axis=0)) == 300
    off = np.abs(deep.exhale_points - deep.true_points)
    assert 0.4 < off.max() <= 0.5
    # The mean of the distance to a voxel's centre, over a voxel of these sizes, by simulation.
    anywhere = np.random.default_rng(1).uniform(-0.5, 0.5, (100_000, 3)) * GRID.spacing
    expected = np.linalg.norm(anywhere, axis=1).mean()
    found = np.linalg.norm((deep.exhale_points - deep.true_points) * GRID.spacing, axis=1)
    assert found.mean() == pytest.approx(expected, rel=0.1)


def test_deep_breaths_are_far_apart(deep):
    distance = (deep.inhale_points - deep.exhale_points) * GRID.spacing
    assert np.linalg.norm(distance, axis=1).mean() > 8
    assert distance[:, 2].max() > 20  # the indices grow to the feet: at inhale they are larger
    shallow = stored_pair((2020, 1), GRID, diaphragm=(10, 10))
    less = (shallow.inhale_points - shallow.exhale_points) * GRID.spacing
    ratio = np.linalg.norm(less, axis=1).mean() / np.linalg.norm(distance, axis=1).mean()
    assert 0.25 < ratio < 0.6


def test_landmarks_show_the_same_anatomy(deep):
    """Vessels fork there: brighter than the lung about them, in both phases."""
    for volume, points in ((deep.inhale, deep.inhale_points), (deep.exhale, deep.true_points)):
        index = np.rint(points[:, ::-1] - 1).astype(int)
        beside = np.clip(index + np.array([0, 2, 2]), 0, np.array(volume.shape) - 1)
        assert np.median(volume[tuple(index.T)]) > np.median(volume[tuple(beside.T)])


def test_values_are_those_that_are_stored(archives):
    with zipfile.ZipFile(archives["copd3.zip"]) as archive:
        inhale = archive.read("copd3/copd3/copd3_iBHCT.img")
        exhale = archive.read("copd3/copd3/copd3_eBHCT.img")
    with zipfile.ZipFile(archives["Case1Pack.zip"]) as archive:
        points = archive.read("Case1Pack/ExtremePhases/Case1_300_T00_xyz.txt").decode()
    stored = np.frombuffer(inhale, "<i2")
    assert stored.min() == -2000  # outside the field of view
    assert 0 <= np.partition(stored[stored >= 0], 100)[100] < 60  # air
    assert all(len(line.split()) == 3 for line in points.split("\r\n")[:-1])
    empty = (np.frombuffer(exhale, "<i2").reshape(40, -1) == 0).all(axis=1)
    assert np.flatnonzero(empty).tolist() == [38, 39]  # at the feet


def test_the_same_bytes_every_time(archives, tmp_path):
    (again,) = written("dirlab-copd", ("copd3",), tmp_path)
    assert again.read_bytes() == archives["copd3.zip"].read_bytes()


def test_what_cannot_be_made(tmp_path):
    with pytest.raises(WarplineError, match="no parameter 'diafragm'"):
        written("dirlab-copd", ("copd3",), tmp_path, diafragm=3)
    with pytest.raises(WarplineError, match="'copd1' are not known"):
        phantoms.write("dirlab-copd", phantom_of(), rows("copd1"), tmp_path)
    with pytest.raises(WarplineError, match="The patient 'anna' has no number"):
        phantoms.write("dirlab-copd", phantom_of({"anna": SCAN}), [{"patient": "anna"}], tmp_path)
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize("name", ["dirlab-4dct", "dirlab-copd"])
def test_the_demo_has_an_archive_for_each_patient(name, deep, tmp_path, monkeypatch):
    """The dataset file lists what the phantom writes; the volumes themselves are not needed."""
    dataset = Catalog({"scale": "demo"}, ROOT).dataset(name)
    spec = dataset.spec
    always_give(deep, monkeypatch)
    phantom = spec["phantom"] | {"scans": spec["scans"]}
    paths = phantoms.write(phantom["kind"], phantom, dataset.cases, tmp_path)
    assert [path.name for path in paths] == list(spec["archives"])
    real = Catalog({"scale": "paper"}, ROOT).dataset(name).spec["scans"]
    for patient in {row["patient"] for row in dataset.cases}:
        extents = [
            np.multiply(s[patient]["size"], s[patient]["spacing"]) for s in (real, spec["scans"])
        ]
        np.testing.assert_allclose(*extents, atol=2.6)  # the same field of view, coarser
