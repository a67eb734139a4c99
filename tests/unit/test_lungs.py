"""Lungs found in phantoms and in real scans, and what is not taken for a lung."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from warpline.cases.case import Case
from warpline.cases.lungs import segment_lungs
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest


def overlap(found: Image, truth: np.ndarray) -> float:
    mask = found.array > 0
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


@pytest.fixture(scope="module")
def scan():
    return chest.subject(1, shape=(56, 60, 72), outside=-3024, border=-2048, couch=True, threads=1)


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (2, {"outside": None, "couch": True}),
        (3, {"outside": -2048, "couch": False}),
        (4, {"noise": 60.0}),
    ],
)
def test_phantoms(seed, options):
    scan = chest.subject(seed, shape=(52, 56, 68), threads=1, **options)
    found = segment_lungs(scan.image)
    assert found.array.dtype == np.uint8
    assert found.grid == scan.image.grid
    assert overlap(found, scan.lungs.array > 0) > 0.95


def test_the_windpipe_is_no_lung(scan):
    found = segment_lungs(scan.image)
    assert overlap(found, scan.lungs.array > 0) > 0.95
    points = scan.landmarks.set_index("id")
    index = np.rint(
        scan.image.grid.physical_to_index(
            points.loc[["trachea_1", "trachea_2"], ["x", "y", "z"]].to_numpy()
        )
    ).astype(int)
    assert (scan.image.array[tuple(index.T)] < -400).all()
    assert not found.array[tuple(index.T)].any()


def test_vessels_belong_to_the_lungs(scan):
    found = segment_lungs(scan.image).array
    deep = ndimage.distance_transform_edt(scan.lungs.array, scan.image.grid.spacing[::-1]) > 12
    vessels = deep & (scan.image.array > -400)
    assert vessels.sum() > 20
    assert found[vessels].all()


def test_fine_grids_are_looked_at_coarsely():
    """1.25 mm in the slice: the outline of the coarse segmentation is interpolated."""
    grid = Grid((30, 171, 235), (1.6, 1.6, 7.0), (-188.0, -130.0, -140.0))
    scan = chest.subject(3, grid=grid, threads=1)
    assert overlap(segment_lungs(scan.image), scan.lungs.array > 0) > 0.95


def test_any_orientation_and_any_cut_along_the_body(scan):
    whole = segment_lungs(scan.image).array
    upright = Image(np.ascontiguousarray(np.moveaxis(scan.image.array, 0, 2)), _turned(scan))
    np.testing.assert_array_equal(segment_lungs(upright).array, np.moveaxis(whole, 0, 2))
    low, high = 20, 36  # both ends within the lungs
    part = replace(scan.image.grid, shape=(high - low, *scan.image.grid.shape[1:]))
    cut = segment_lungs(Image(scan.image.array[low:high], part))
    assert overlap(cut, scan.lungs.array[low:high] > 0) > 0.93


def _turned(scan) -> Grid:
    """The scan's grid with x along the body: array axes (y, x, z) instead of (z, y, x)."""
    old = scan.image.grid
    shape = (old.shape[1], old.shape[2], old.shape[0])
    spacing = (old.spacing[2], old.spacing[0], old.spacing[1])
    return Grid(shape, spacing, (0, 0, 0), (0, 1, 0, 0, 0, 1, 1, 0, 0))


@pytest.mark.parametrize("kind", ["air", "tissue", "normalised", "gas"])
def test_what_has_no_lung(scan, kind):
    array = {
        "air": np.full(scan.image.array.shape, -1000, np.int16),
        "tissue": np.maximum(scan.image.array, -100),
        "normalised": (scan.image.array + 1000) / 4095,
        "gas": np.where(scan.lungs.array > 0, -1000, np.maximum(scan.image.array, -100)),
    }[kind]
    with pytest.raises(WarplineError, match="No lung is found") as error:
        segment_lungs(scan.image.with_array(array))
    assert "in HU" in error.value.do


def test_the_step_fills_a_missing_mask_and_says_so(scan, capsys):
    found = prepare(Case("p1", scan.image), [{"segment_lungs": None}])
    assert overlap(found.mask, scan.lungs.array > 0) > 0.95
    litres = (scan.lungs.array > 0).sum() * np.prod(scan.image.grid.spacing) / 1e6
    said = capsys.readouterr().out
    assert said.startswith("p1: no lung mask; the lungs are segmented (")
    assert float(said.split("(")[1].split()[0]) == pytest.approx(litres, rel=0.05)
    own = Case("p1", scan.image, mask=scan.lungs)
    assert prepare(own, [{"segment_lungs": None}]) is own
    assert capsys.readouterr().out == ""
    flat = Case("p1", scan.image.with_array(np.zeros(scan.image.array.shape)))
    with pytest.raises(WarplineError, match=r"No lung is found(.|\n)*case p1"):
        prepare(flat, [{"segment_lungs": None}])


def real(name: str) -> Path:
    path = Path(os.environ.get("WARPLINE_REAL_DATA", ""), name)
    if "WARPLINE_REAL_DATA" not in os.environ or not path.exists():
        pytest.skip(f"WARPLINE_REAL_DATA does not name a folder with {name}")
    return path


def test_a_real_scan_of_luna16(tmp_path):
    mirror = real("mirror/subset0.zip").parent
    for archive in ("subset0.zip", "seg-lungs-LUNA16.zip"):
        with zipfile.ZipFile(mirror / archive) as source:
            source.extractall(tmp_path)
    path = sorted((tmp_path / "subset0").glob("*.mhd"))[0]
    mask = read_image(tmp_path / "seg-lungs-LUNA16" / path.name).array
    assert overlap(segment_lungs(read_image(path)), (mask == 3) | (mask == 4)) > 0.95


def test_a_real_scan_of_another_scanner():
    folder = real("data/cip_chest_ct")
    lungs = read_image(folder / "wholeLung-64.nrrd").array > 0
    assert overlap(segment_lungs(read_image(folder / "ct-64.nrrd")), lungs) > 0.95


def test_vessels_everywhere_do_not_hide_a_lung():
    """Two lungs with a rod of soft tissue every 14 mm along each axis: nowhere is a ball of 10 mm
    free of them."""
    shape, spacing = (80, 90, 120), 2.5
    z, y, x = np.indices(shape) * spacing
    body = ((y - 112) / 100) ** 2 + ((x - 150) / 135) ** 2 < 1
    lungs = np.zeros(shape, bool)
    for middle in (90, 210):
        lungs |= ((z - 100) / 80) ** 2 + ((y - 112) / 65) ** 2 + ((x - middle) / 42) ** 2 < 1
    near = [np.abs((axis + 7) % 14 - 7) <= 2 for axis in (z, y, x)]
    rods = sum(part.astype(int) for part in near) >= 2
    hu = np.where(body, 40, -1000)
    hu[lungs] = -850
    hu[lungs & rods] = 30
    free = ndimage.distance_transform_edt(lungs & ~rods, sampling=spacing)
    assert free.max() < 10
    found = segment_lungs(Image(hu.astype(np.int16), Grid(shape, (spacing,) * 3)))
    assert overlap(found, lungs) > 0.97
