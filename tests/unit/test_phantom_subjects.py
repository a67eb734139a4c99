"""Phantom subjects: their landmarks, what differs between them, and the way to canonical cases."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from schema_tools import files_of, phantom_of

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.unpack import unpack
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.files import checksum
from warpline.images.grid import Grid
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.folder import TRACHEA, hu2020_landmarks, stored_scan
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
COARSE = {"spacing": [8.0, 8.0, 8.0]}
BRONCHI = ["carina", "airway_R", "airway_L", "airway_R_intermediate"]
SEEDS = [(2020, k) for k in range(20)]


def row(name: str, **changes: str) -> dict[str, str]:
    stem = f"{name}/"
    return {
        "case": name,
        "patient": name,
        "split": "train",
        "labels": "",
        "image": f"{stem}ct.nii.gz",
        "mask": f"{stem}lungs.nii.gz",
        "landmarks": f"{stem}landmarks.csv",
    } | changes


ROWS = [row("one"), row("two", mask="")]


@pytest.fixture(scope="module")
def tables():
    models = [chest.model(seed, hila=4.0) for seed in SEEDS]
    return [hu2020_landmarks(model).set_index("id") for model in models]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    spec = {"seed": 4, "parameters": COARSE}
    (path,) = phantoms.write(
        "subjects", phantom_of(**spec), ROWS, tmp_path_factory.mktemp("mirror")
    )
    return path


def test_every_subject_has_the_eleven_landmarks(tables):
    for table in tables:
        assert list(table.index) == list(chest.HU2020)
        assert len(table) == 11
        # The right of the patient is at smaller x, the head at larger z.
        assert table.loc["airway_R", "x"] < table.loc["carina", "x"] < table.loc["airway_L", "x"]
        assert table.loc["artery_R", "x"] < table.loc["artery_trunk", "x"]
        assert table.loc["artery_trunk", "x"] < table.loc["artery_L", "x"]
        assert table.loc["artery_trunk", "y"] < table.loc["carina", "y"]  # in front of it
        heights = table.loc[[*TRACHEA, *BRONCHI[:2], BRONCHI[3]], "z"]
        assert (np.diff(heights) < 0).all()


def test_the_points_on_the_windpipe_are_equally_far_apart(tables):
    for table in tables:
        steps = np.diff(table.loc[[*TRACHEA, "carina"]].to_numpy(), axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        # As the crow flies: a little less than along a bent windpipe.
        assert lengths.max() / lengths.min() < 1.02
        assert 15 < lengths.mean() < 35


@pytest.mark.parametrize("name", ["carina", "airway_L", "trachea_2", "artery_R", "artery_L"])
def test_airway_landmarks_lie_in_air_and_arteries_in_blood(name):
    seed, calm = SEEDS[0], {"noise": 0, "outside": None, "border": None, "couch": False}
    point = hu2020_landmarks(chest.model(seed, hila=4.0)).set_index("id").loc[name].to_numpy()
    # Wide enough to have some lung in it.
    grid = Grid((3, 25, 61), (2.0, 2.0, 2.0), tuple(map(float, point - [60.0, 24.0, 2.0])))
    scan = chest.subject(seed, grid=grid, hila=4.0, **calm)
    found = scan.image.array[1, 12, 30]
    assert 0 < found < 90 if name.startswith("artery") else found < -700


def test_hila_lie_elsewhere_and_lungs_do_not():
    alike, moved = (
        chest.subject((1, 2), shape=(36, 32, 40), hila=hila, outside=None, border=None, noise=0)
        for hila in (0.0, 4.0)
    )
    np.testing.assert_array_equal(alike.lungs.array, moved.lungs.array)
    central, fine = [], []
    both = alike.landmarks.merge(moved.landmarks, on="id")
    assert len(both) == len(alike.landmarks)
    offset = both[["x_y", "y_y", "z_y"]].to_numpy() - both[["x_x", "y_x", "z_x"]].to_numpy()
    for name, length in zip(both["id"], np.linalg.norm(offset, axis=1), strict=True):
        (central if name in chest.HU2020 else fine).append(length)
    assert np.mean(central) > 4 > 2 * np.median(fine)
    again = chest.subject((1, 2), shape=(36, 32, 40), outside=None, border=None, noise=0)
    np.testing.assert_array_equal(alike.image.array, again.image.array)


@pytest.mark.parametrize("hila", [-1, 6.5])
def test_hila_that_are_not_possible(hila):
    with pytest.raises(WarplineError, match="Hila"):
        chest.model(1, hila=hila)


def test_people_s_hila_differ_independently(tables):
    # What is left of the landmarks' differences after the best affine map of all eleven.
    left = []
    for one, other in pairwise(tables):
        columns = np.c_[one.to_numpy(), np.ones(len(one))]
        fit = np.linalg.lstsq(columns, other.to_numpy(), rcond=None)[0]
        left.append(np.linalg.norm(columns @ fit - other.to_numpy(), axis=1).mean())
    assert 1.5 < np.mean(left) < 8


def test_frames_differ_and_landmarks_go_along():
    near, far = (stored_scan((3, 1), **COARSE, shift=shift) for shift in (0.0, 50.0))
    away = np.subtract(far.image.grid.origin, near.image.grid.origin)
    assert np.abs(away).max() > 5
    axes = ["x", "y", "z"]
    np.testing.assert_allclose(
        far.landmarks[axes] - near.landmarks[axes], np.broadcast_to(away, (11, 3)), atol=1e-9
    )
    np.testing.assert_array_equal(near.image.array, far.image.array)


def test_their_files_go_the_way_of_own_data(archive, tmp_path):
    assert archive.name == "chest.zip"
    assert checksum(archive) in (archive.parent / "SHA256SUMS").read_text()
    unpack(archive, tmp_path / "unpacked" / archive.name)
    found = formats.locate_all("folder", tmp_path / "unpacked", files_of(), ROWS)
    for name, files in found.items():
        canonicalise(files, name, tmp_path / name, labels={1: "lungs"})
    first, second = (read_case(tmp_path / name) for name in ("one", "two"))
    assert first.image.array.dtype == np.int16
    assert first.mask is not None
    assert second.mask is None  # the sheet names none
    assert list(first.landmarks["id"]) == list(second.landmarks["id"]) == list(chest.HU2020)
    index = first.grid.physical_to_index(first.landmarks[["x", "y", "z"]].to_numpy())
    assert (index > 0).all()
    assert (index < np.array(first.grid.shape) - 1).all()


def test_the_same_bytes_every_time_whatever_the_other_cases(archive, tmp_path):
    spec = {"seed": 4, "parameters": COARSE}
    (again,) = phantoms.write("subjects", phantom_of(**spec), ROWS, tmp_path / "a")
    assert again.read_bytes() == archive.read_bytes()
    (alone,) = phantoms.write("subjects", phantom_of(**spec), ROWS[1:], tmp_path / "b")
    part, whole = (unpack(path, tmp_path / path.parent.name / "u") for path in (alone, archive))
    for name in ("ct.nii.gz", "landmarks.csv"):
        assert (part / "two" / name).read_bytes() == (whole / "two" / name).read_bytes()


def test_an_unknown_parameter_is_refused(tmp_path):
    with pytest.raises(WarplineError, match="no parameter 'spacin'"):
        phantoms.write("subjects", phantom_of(parameters={"spacin": 3}), ROWS, tmp_path)


@pytest.mark.parametrize("scale", ["demo", "cpu", "paper"])
def test_the_dataset_at_every_scale(scale):
    data = Catalog({"scale": scale}, ROOT).dataset("chest")
    pairs = data.pairs("test")
    assert len(pairs) == len(data.split("test")) == (4 if scale == "demo" else 10)
    assert sorted(a for a, _ in pairs) == sorted(b for _, b in pairs) == data.split("test")
    # Four halvings.
    assert not np.mod(data.spec["prealign"]["shape"], 16).any()
    assert bool(data.spec["phantom"]) == (scale == "demo")
    assert bool(data.spec["folder"]) == (scale != "demo")
