"""Phantom chests in LUNA16's archives."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from schema_tools import asked, files_of, phantom_of

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.archive import Archive
from warpline.acquire.canonical import canonicalise
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.phantoms.providers.luna16 import stored_scan, subset_of, write_luna16

CASES = [{"case": f"1.2.{number}"} for number in range(6)]
# The lungs of the stand-in: centres (x, y, z) and half axes in mm.
LUNGS = {1: (-70.0, 10.0, -40.0), 2: (70.0, 10.0, -40.0)}
AXES = (50.0, 80.0, 130.0)


def ball(grid: Grid, centre, axes) -> np.ndarray:
    points = grid.index_to_physical(grid.indices())
    return (((points - centre) / axes) ** 2).sum(axis=-1) < 1


def stand_in(seed, *, grid: Grid, variation, outside, couch) -> SimpleNamespace:
    """Two ellipsoids of lung and a tube of air between them, in a body without end."""
    lungs = np.zeros(grid.shape, np.uint8)
    for value, centre in LUNGS.items():
        lungs[ball(grid, centre, np.multiply(AXES, 1 + 0.1 * variation * (seed[1] % 2)))] = value
    x, y, _ = np.moveaxis(grid.index_to_physical(grid.indices()), -1, 0)
    hu = np.where(lungs > 0, -800, 40)
    hu[(np.hypot(x, y) < 12) & (lungs == 0)] = -1000
    assert (outside, couch) == ("mixed", "mixed")
    return SimpleNamespace(image=Image(hu.astype(np.int16), grid), lungs=Image(lungs, grid))


def scan(number: int = 0, make=stand_in, **parameters):
    return stored_scan(make, (2019, number), **parameters)


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    write_luna16(asked(seed=3, parameters={"flipped": 0.5}), CASES, folder, make=stand_in)
    return folder


@pytest.fixture(scope="module")
def unpacked(archives, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    for path in archives.glob("*.zip"):
        unpack(path, folder / path.name)
    return folder


def test_the_archives_are_those_of_the_dataset(archives):
    names = sorted(path.name for path in archives.iterdir())
    subsets = [f"subset{number}.zip" for number in range(10)]
    assert names == ["SHA256SUMS", "seg-lungs-LUNA16.zip", *subsets]
    lines = (archives / "SHA256SUMS").read_text().splitlines()
    assert sorted(line.split()[1] for line in lines) == names[1:]


def test_what_is_in_them(archives):
    members = {path.stem: zipfile.ZipFile(path).namelist() for path in archives.glob("*.zip")}
    for number in range(10):
        here = [row["case"] for row in CASES if subset_of(row["case"]) == number]
        files = [f"subset{number}/{case}{end}" for case in here for end in (".mhd", ".raw")]
        assert sorted(members[f"subset{number}"]) == sorted([f"subset{number}/", *files])
    ends = (".mhd", ".zraw")
    masks = [f"seg-lungs-LUNA16/{row['case']}{end}" for row in CASES for end in ends]
    assert sorted(members["seg-lungs-LUNA16"]) == sorted(["seg-lungs-LUNA16/", *masks])


def test_cases_are_spread_over_the_subsets():
    counts = np.bincount([subset_of(f"1.3.6.{number}") for number in range(1000)], minlength=10)
    assert counts.min() > 60


def test_the_same_bytes_every_time_whatever_the_other_cases(archives, tmp_path):
    spec = {"seed": 3, "parameters": {"flipped": 0.5}}
    write_luna16(asked(**spec), CASES[::-1], tmp_path / "again", make=stand_in)
    for path in archives.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    write_luna16(asked(**spec), CASES[2:3], tmp_path / "alone", make=stand_in)
    name = f"subset{subset_of('1.2.2')}.zip"
    with (
        zipfile.ZipFile(archives / name) as both,
        zipfile.ZipFile(tmp_path / "alone" / name) as one,
    ):
        for member in one.namelist():
            assert one.read(member) == both.read(member)
    write_luna16(asked(**spec | {"seed": 4}), CASES[2:3], tmp_path / "other", make=stand_in)
    assert (tmp_path / "other" / name).read_bytes() != (tmp_path / "alone" / name).read_bytes()


def header(text: str) -> dict[str, str]:
    return dict(line.split(" = ") for line in text.splitlines())


def test_headers_are_itk_s_own(unpacked, tmp_path):
    """The same keys in the same order as ITK writes for the same image, and the same values."""
    paths = sorted(unpacked.rglob("*.mhd"))
    assert len(paths) == 2 * len(CASES)  # a scan and a mask of each
    for path in paths:
        ours = header(path.read_text())
        compressed = path.parent.name == "seg-lungs-LUNA16"
        sitk.WriteImage(
            sitk.ReadImage(os.fspath(path)), os.fspath(tmp_path / path.name), compressed
        )
        theirs = header((tmp_path / path.name).read_text())
        assert list(ours) == [key for key in theirs if not key.startswith("ITK_")]
        for key in ("AnatomicalOrientation", "DimSize", "ElementType", "ElementDataFile"):
            assert ours[key] == theirs[key]
        for key in ("TransformMatrix", "Offset", "ElementSpacing"):
            numbers = [[float(n) for n in values[key].split()] for values in (ours, theirs)]
            np.testing.assert_allclose(*numbers)


def test_headers_are_luna16_s(unpacked):
    """Against headers of the real data."""
    mirror = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror")
    if not (mirror / "subset0.zip").is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/subset0.zip")
    for name, pattern in (("subset0.zip", "subset*.zip"), ("seg-lungs-LUNA16.zip", "seg-*.zip")):
        ours = next(unpacked.glob(f"{pattern}/*/*.mhd"))
        with zipfile.ZipFile(mirror / name) as real:
            member = next(n for n in real.namelist() if n.endswith(".mhd"))
            theirs = header(real.read(member).decode())
        assert list(header(ours.read_text())) == list(theirs)
        assert header(ours.read_text())["ElementType"] == theirs["ElementType"]


def test_from_archives_to_canonical_cases(archives, unpacked, tmp_path):
    """The road of real data; the lungs come out where the subject has them."""
    path = archives / "seg-lungs-LUNA16.zip"
    assert fetch(Archive(path.name, (path.as_uri(),)), tmp_path / "fetched").exists()
    directions, orientations = set(), set()
    for row in CASES:
        files = formats.get("luna16").locate(unpacked, files_of(), row)
        case = canonicalise(files, row["case"], tmp_path / row["case"], labels={1: "lungs"})
        directions.add(case.image.grid.direction[0])
        orientations.add(header(files.image.read_text())["AnatomicalOrientation"])
        grid = case.labels.grid
        for centre in LUNGS.values():
            index = np.rint(grid.physical_to_index(np.array(centre))).astype(int)
            assert case.labels.array[tuple(index)] == 1
            assert case.image.array[tuple(index)] == -800
        outside = np.rint(grid.physical_to_index(np.array((0.0, 60.0, -40.0)))).astype(int)
        assert case.labels.array[tuple(outside)] == 0
    assert directions == {1.0, -1.0}
    assert orientations == {"RAI", "LPI"}


def test_flipped_scans_show_the_same_at_the_same_place():
    plain, flipped = scan(flipped=0), scan(flipped=1)
    assert plain.image.grid.direction[::4] == (1, 1, 1)
    assert flipped.image.grid.direction[::4] == (-1, -1, 1)
    for kind in ("image", "mask"):
        one, other = getattr(plain, kind), getattr(flipped, kind)
        for index in ((0, 0, 0), (3, 20, 40), (5, 63, 0)):
            point = one.grid.index_to_physical(index)
            there = np.rint(other.grid.physical_to_index(point)).astype(int)
            assert np.abs(other.grid.index_to_physical(there) - point).max() < 1e-3
            assert other.array[tuple(there)] == one.array[index]


def test_right_is_3_left_is_4_and_some_masks_have_a_trachea():
    extra = 0
    for number in range(8):
        found = scan(number, flipped=0)
        grid, mask = found.mask.grid, found.mask.array
        for value, centre in ((3, LUNGS[1]), (4, LUNGS[2])):
            index = np.rint(grid.physical_to_index(np.array(centre))).astype(int)
            assert mask[tuple(index)] == value
        assert set(np.unique(mask)) <= {0, 3, 4, 5}
        air = found.image.array[mask == 5]
        assert (air == -1000).all()
        extra += air.size > 0
    assert 0 < extra < 8


@pytest.mark.long
def test_the_lungs_are_whole_and_scans_cover_more_or_less_around_them():
    heights, counts, above, below = [], [], [], []
    for number in range(40):
        found = scan(number, flipped=0)
        lungs = np.isin(found.mask.array, (3, 4))
        z = np.flatnonzero(lungs.any(axis=(1, 2)))
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            shown = lungs.any(axis=others)
            assert not shown[0]
            assert not shown[-1]
        spacing = found.mask.grid.spacing[2]
        heights.append(len(lungs) * spacing)
        counts.append(len(lungs))
        below.append(z[0] * spacing)
        above.append((len(lungs) - 1 - z[-1]) * spacing)
        assert found.image.array.shape[1:] == (64, 64)
        assert 5.2 <= found.mask.grid.spacing[0] <= 6.4
        assert found.mask.grid.spacing[0] == found.mask.grid.spacing[1]
        assert 2 <= spacing <= 9
    assert max(counts) / min(counts) > 4
    assert max(heights) / min(heights) > 1.4
    assert min(below) < 30 < 120 < max(below)
    assert min(above) < 20 < 50 < max(above)


def test_parameters_do_what_they_say():
    wide = scan(size=32, spacing_xy=(13, 13), spacing_z=(20, 20), neck=(0, 0), abdomen=(300, 300))
    assert wide.image.array.shape[1:] == (32, 32)
    assert wide.image.grid.spacing == (13, 13, 20)
    z = np.flatnonzero(np.isin(wide.mask.array, (3, 4)).any(axis=(1, 2)))
    assert z[0] * 20 > 290
    assert (len(wide.mask.array) - 1 - z[-1]) * 20 <= 40
    one, other = scan(1, variation=0), scan(1, variation=2)
    assert (other.mask.array > 0).sum() > 1.2 * (one.mask.array > 0).sum()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"sise": 64}, r"no parameter 'sise'(?s:.*)Did you mean 'size'"),
        ({"spacing_z": [3]}, "'spacing_z' is no range"),
        ({"spacing_z": 3}, "'spacing_z' is no range"),
        ({"spacing_xy": [0, 1]}, "'spacing_xy' is no range"),
        ({"neck": [5, 1]}, "'neck' is no range"),
        ({"abdomen": [-5, 1]}, "'abdomen' is no range"),
        ({"size": 20}, "20 voxels of .* do not reach over lungs"),
    ],
)
def test_wrong_parameters(tmp_path, parameters, match):
    with pytest.raises(WarplineError, match=match):
        write_luna16(asked(parameters=parameters), CASES, tmp_path, make=stand_in)
    assert not (tmp_path / "SHA256SUMS").exists()


def test_chests_in_the_archives(tmp_path):
    """The real phantom, through `phantoms.write`."""
    spec = {"seed": 2019, "parameters": {"size": 48, "spacing_xy": [7, 8], "spacing_z": [7, 8]}}
    paths = phantoms.write(
        "luna16", phantom_of(**json.loads(json.dumps(spec))), CASES[:2], tmp_path
    )
    assert len(paths) == 11
    for path in paths:
        unpack(path, tmp_path / "unpacked" / path.name)
    for row in CASES[:2]:
        files = formats.get("luna16").locate(tmp_path / "unpacked", files_of(), row)
        case = canonicalise(files, row["case"], tmp_path / row["case"], labels={1: "lungs"})
        volume = case.labels.array.sum() * np.prod(case.labels.grid.spacing) / 1e6
        assert 2 < volume < 9
        assert np.median(case.image.array[case.labels.array == 1]) < -700
        values = set(np.unique(read_image(files.labels).array))
        assert {3, 4} <= values <= {0, 3, 4, 5}
