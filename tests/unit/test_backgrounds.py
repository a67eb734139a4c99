"""Backgrounds of CT scans: what they are found to be, whatever the scanner left around the body."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from warpline.cases.backgrounds import find_backgrounds, histogram
from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest

SHAPE = (24, 72, 80)
AIR = {
    # kind of air → what its voxels are, and the value that stands for it, to so many HU
    "noisy": (lambda rng: rng.normal(-1000, 12, SHAPE), -1000, 6),
    "very noisy": (lambda rng: rng.normal(-995, 30, SHAPE), -995, 12),
    "saturated": (lambda rng: np.maximum(rng.normal(-1022, 9, SHAPE), -1024), -1024, 0),
    "cut off": (lambda rng: np.maximum(rng.normal(-1002, 14, SHAPE), -1024), -1002, 7),
    "flat": (lambda rng: np.full(SHAPE, -1024.0), -1024, 0),
}


def scan(air="noisy", outside=None, padding=None, couch=True, seed=0) -> Image:
    """A body with lungs in a field of view: everything that a chest scan has, roughly."""
    rng = np.random.default_rng(seed)
    hu = AIR[air][0](rng)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    body = (x / 0.75) ** 2 + (y / 0.5) ** 2 < 1
    lungs = ((np.abs(x) - 0.32) / 0.22) ** 2 + (y / 0.35) ** 2 < 1
    windpipe = x**2 + (y / 0.9) ** 2 < 0.03**2
    hu[body] = rng.normal(40, 25, SHAPE)[body]
    hu[lungs] = rng.normal(-860, 40, SHAPE)[lungs]
    hu[windpipe] = rng.normal(-990, 15, SHAPE)[windpipe]
    if couch:
        hu[(np.abs(y - 0.62) < 0.03) & (np.abs(x) < 0.6)] = -300
    if outside is not None:
        hu[x**2 + y**2 > 1] = outside
    if padding is not None:
        hu[:, :3] = padding
        hu[:, -3:] = padding
    return Image(np.rint(hu).astype(np.int16), Grid(SHAPE, (0.8, 0.8, 2.5)))


def values(image: Image) -> tuple[list[float], float | None]:
    """Values outside, and the one inside."""
    found = find_backgrounds(image)
    inside = [background.value for background in found if background.inside]
    assert len(inside) <= 1
    assert [b.value for b in found] == sorted(b.value for b in found)
    return [b.value for b in found if not b.inside], (inside or [None])[0]


@pytest.mark.parametrize("air", AIR)
@pytest.mark.parametrize("couch", [True, False])
@pytest.mark.parametrize(
    ("outside", "padding", "expected"),
    [
        (None, None, []),
        (-2048, None, [-2048]),
        (-3024, None, [-3024]),
        (-2048, -3024, [-3024, -2048]),
        (-2048, 0, [-2048]),  # no background is brighter than air
    ],
)
def test_backgrounds_are_found(air, couch, outside, padding, expected):
    image = scan(air, outside, padding, couch)
    constants, inside = values(image)
    assert constants == expected
    assert abs(inside - AIR[air][1]) <= AIR[air][2]


@pytest.mark.parametrize("air", ["noisy", "very noisy"])
def test_a_constant_in_the_range_of_air_is_outside_if_there_is_air_beside_it(air):
    constants, inside = values(scan(air, outside=-1024))
    assert constants == [-1024]
    assert abs(inside - AIR[air][1]) <= AIR[air][2]


@pytest.mark.parametrize("outside", [None, -2048])
def test_the_way_a_scan_is_stored_does_not_matter(outside):
    image = scan(outside=outside)
    expected = values(image)
    flipped = Grid(SHAPE, direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    assert values(Image(image.array[:, ::-1, ::-1], flipped)) == expected
    # The slices along x: the axis of the patient's height is told by the direction.
    turned = np.moveaxis(image.array, 0, 2)
    grid = Grid(turned.shape, direction=(0, 1, 0, 0, 0, 1, 1, 0, 0))
    assert values(Image(turned, grid)) == expected
    assert values(Image(image.array.astype(np.float32), image.grid)) == expected


def test_fractions_are_those_of_the_voxels():
    image = scan("flat", outside=-2048)
    outside, inside = find_backgrounds(image)
    assert outside.fraction == (image.array == -2048).mean()
    assert inside.fraction == (np.abs(image.array + 1024) <= 30).mean()


def test_a_crop_inside_the_body_has_no_background():
    image = scan()
    crop = image.array[:, 26:46, 18:62]
    assert (crop < -960).any()  # the windpipe
    assert find_backgrounds(Image(crop, Grid(crop.shape))) == []


@pytest.mark.parametrize("mean", [-860, -920])
def test_lung_is_no_background(mean):
    array = np.random.default_rng(0).normal(mean, 40, (20, 40, 40)).astype(np.int16)
    assert find_backgrounds(Image(array, Grid(array.shape))) == []


def test_a_body_that_fills_the_field_of_view_still_has_the_air_in_it():
    image = scan(outside=-2048)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    edge = (x**2 + y**2 <= 1) & (x**2 + y**2 > 0.2) & (image.array < -900)
    assert values(image.with_array(np.where(edge, -100, image.array).astype(np.int16)))[0] == [
        -2048
    ]


def test_the_histogram_counts_every_value():
    array = np.random.default_rng(0).integers(-32768, 32768, (4, 30, 20)).astype(np.int16)
    expected = np.bincount(array.ravel().astype(int) + 32768, minlength=1 << 16)
    assert (histogram(array) == expected).all()
    values = np.array([[[-1e6, -0.6, 0.4, 1e6]]], np.float32)
    counts = histogram(values)
    assert counts[[0, 32767, 32768, 65535]].tolist() == [1, 1, 1, 1]


# The step ---------------------------------------------------------------------------------------


def clipped(image: Image) -> np.ndarray:
    return prepare(Case("a", image), [{"clip_background": {}}]).image.array


@pytest.mark.parametrize("air", AIR)
@pytest.mark.parametrize("outside", [None, -2048, -3024])
def test_clipping_leaves_one_background_and_all_else_as_it_was(outside, air):
    image = scan(air, outside=outside)
    before = image.array.copy()
    _, inside = values(image)
    array = clipped(image)
    assert array.min() == inside
    assert (array[before >= inside] == before[before >= inside]).all()
    assert (image.array == before).all()
    assert [b.inside for b in find_backgrounds(image.with_array(array))] == [True]
    assert array.dtype == np.int16


def test_a_scan_without_air_is_left_and_the_log_says_so(capsys):
    array = np.random.default_rng(0).normal(-860, 40, (20, 40, 40)).astype(np.float32)
    assert (clipped(Image(array, Grid(array.shape))) == array).all()
    assert "a: no air inside the field of view (no other background)" in capsys.readouterr().out


def test_the_chest_phantom_s_backgrounds():
    for seed, (outside, border, couch) in enumerate(
        [(None, None, False), (-2048, None, True), (-3024, -2048, True)]
    ):
        made = chest.subject(seed, shape=(24, 48, 48), outside=outside, border=border, couch=couch)
        constants, inside = values(made.image)
        assert constants == sorted(value for value in (outside, border) if value is not None)
        assert abs(inside + 1000) <= 10 or inside == -1024


def test_real_scans(tmp_path):
    archive = Path(os.environ.get("WARPLINE_REAL_DATA", "")) / "mirror" / "subset0.zip"
    if not archive.is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/subset0.zip")
    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path)
    scans = sorted(tmp_path.rglob("*.mhd"))
    assert scans
    for path in scans:
        image = read_image(path)
        constants, inside = values(image)
        assert constants == [int(image.array.min())]
        assert constants[0] in (-2048, -3024)
        assert -1024 <= inside <= -985
        outside = find_backgrounds(image)[0]
        circle = 1 - np.pi / 4  # of a square, outside the circle that fits it
        assert outside.fraction == pytest.approx(circle, abs=0.02)
