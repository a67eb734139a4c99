"""Image files of every kind that is read: whole, or refused by name; geometry that is certain."""

from __future__ import annotations

import gzip
import os
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.io import read_field
from warpline.images import memory
from warpline.images.files import READERS, read_grid, read_image
from warpline.provenance.companions import companions

NAN = float("nan")
ARRAY = np.random.default_rng(0).normal(100, 20, (5, 6, 7)).astype(np.float32)
# A file as its writer names it, and as others do.
NAMES = {
    "a.nii": ["a.nii", "a.NII", "a.Nii"],
    "a.nii.gz": ["a.nii.gz", "a.NII.GZ", "a.Nii.gz", "a.nii.GZ"],
    "a.hdr": ["a.hdr", "a.HDR"],
    "a.img": ["a.img", "a.IMG"],
    "a.img.gz": ["a.img.gz", "a.IMG.GZ"],
    "a.nrrd": ["a.nrrd", "a.NRRD"],
    "a.mha": ["a.mha", "a.MHA", "a.Mha"],
}
DETACHED = ["a.mhd", "a.nhdr"]


def written(
    folder: Path, name: str, array: np.ndarray = ARRAY, compress: bool = True
) -> list[Path]:
    """The files that ITK writes under a name, 2 mm a voxel."""
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing((2, 2, 2))
    sitk.WriteImage(image, os.fspath(folder / name), compress)


def renamed(folder: Path, old: str, new: str) -> Path:
    """The file in other capitals, and with it the other half of a pair."""
    if old != new:
        for path in list(folder.iterdir()):
            path.rename(folder / (new if path.name == old else "a" + path.name[1:].upper()))
    return folder / new


def refusal(path: Path) -> WarplineError:
    with pytest.raises(WarplineError) as error:
        read_image(path)
    assert error.value.where == path
    return error.value


ALL = [(old, new) for old, names in NAMES.items() for new in names] + [(n, n) for n in DETACHED]


@pytest.mark.parametrize(("old", "new"), ALL)
@pytest.mark.parametrize("compress", [True, False])
def test_truncated_files_are_refused_whatever_their_name(tmp_path, old, new, compress):
    written(tmp_path, old, compress=compress)
    path = renamed(tmp_path, old, new)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, ARRAY)
    assert image.grid.spacing == (2, 2, 2)
    data = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    content = data.read_bytes()
    # 12: of a gzip file more than its checksum and length, which NRRD's reader can do without.
    for kept in (len(content) - 12, len(content) - 60, len(content) // 2, 10):
        data.write_bytes(content[:kept])
        refusal(path)
    data.write_bytes(content)
    np.testing.assert_array_equal(read_image(path).array, ARRAY)


@pytest.mark.parametrize("name", [*NAMES, *DETACHED])
@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
def test_what_is_no_number_stays_none(tmp_path, name, value):
    array = ARRAY.copy()
    array[1, 2, 3] = value
    written(tmp_path, name, array)
    np.testing.assert_array_equal(read_image(tmp_path / name).array, array)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.mha", "a.nrrd"])
def test_a_field_that_is_no_number_is_refused(tmp_path, name):
    vectors = np.stack([ARRAY, ARRAY, ARRAY], -1)
    vectors[1, 2, 3, 1] = NAN
    vectors[4, 5, 6, 2] = np.inf
    written(tmp_path, name, vectors)
    np.testing.assert_array_equal(read_image(tmp_path / name).array, vectors)
    with pytest.raises(WarplineError, match="not finite"):
        read_field(tmp_path / name)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [(1, 0), (2, -5)])
def test_scaled_and_swapped_files_keep_what_is_no_number(tmp_path, order, kind, scale):
    values = ARRAY.astype(kind)
    values[1, 0, 2] = NAN
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(kind)
    image = nibabel.Nifti1Image(values.T, np.eye(4), header)
    image.header.set_slope_inter(*scale)
    nibabel.save(image, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata().T
    found = read_image(tmp_path / "a.nii").array
    assert np.isnan(found).sum() == 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_file_of_pieces_is_searched_across_them(tmp_path, monkeypatch):
    """Pieces end within a number; places count through them."""
    monkeypatch.setattr("warpline.images.nifti.PIECE", 7)
    vectors = np.stack([ARRAY, ARRAY, ARRAY], -1)
    vectors[4, 5, 6] = NAN
    vectors[0, 0, 0, 0] = -np.inf
    written(tmp_path, "a.nii", vectors)
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").array, vectors)


@pytest.mark.parametrize("suffix", [".vtk", ".gipl", ".gipl.gz", ".tif", ".png", ".mnc", ""])
def test_other_formats_are_refused_by_name(tmp_path, suffix):
    name = f"a{suffix}"
    (tmp_path / name).write_bytes(b"anything")
    error = refusal(tmp_path / name)
    assert f"Images of the kind '{Path(name).suffix}' are not read" in error.what
    assert all(kind in error.do for kind in READERS)


def test_one_format_under_another_s_name_is_refused(tmp_path):
    written(tmp_path, "a.mha")
    for name in ("a.nii", "a.nrrd"):
        (tmp_path / name).write_bytes((tmp_path / "a.mha").read_bytes())
        refusal(tmp_path / name)


def test_half_a_pair_is_refused(tmp_path):
    written(tmp_path, "a.hdr")
    (tmp_path / "a.img").unlink()
    assert "its other half, .hdr or .img: is not there" in refusal(tmp_path / "a.hdr").what


@pytest.mark.parametrize("order", "<>")
def test_nifti_2_is_read(tmp_path, order):
    affine = nibabel.affines.from_matvec([[0, -2, 0], [1.5, 0, 0], [0, 0, 3]], [4, 5, -6])
    header = nibabel.Nifti2Header(endianness=order)
    header.set_data_dtype(np.float32)
    nibabel.save(nibabel.Nifti2Image(ARRAY.T, affine, header), tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.array, ARRAY)
    assert read_grid(tmp_path / "a.nii.gz") == image.grid
    # Index (x, y, z) = (1, 2, 3) in RAS, with x and y turned to LPS.
    there = (affine @ (1, 2, 3, 1))[:3] * (-1, -1, 1)
    np.testing.assert_allclose(image.grid.index_to_physical([3, 2, 1]), there, atol=1e-6)
    content = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(content[:-20])
    refusal(tmp_path / "a.nii.gz")


# Geometry -----------------------------------------------------------------------------------------


def placed(
    folder: Path,
    pixdim: tuple[float, float, float] = (2, 2, 2),
    codes: tuple[int, int] = (1, 0),
    **changes: tuple[float, ...],
) -> Path:
    """A NIfTI file, 2 mm a voxel by its sform and qform, with changes to its header's bytes."""
    image = nibabel.Nifti1Image(ARRAY.T, None)
    image.header.set_sform(np.diag([2, 2, 2, 1]), codes[0])
    image.header.set_qform(np.diag([2, 2, 2, 1]), codes[1])
    nibabel.save(image, folder / "a.nii")
    content = bytearray((folder / "a.nii").read_bytes())
    places = {"pixdim": 80, "quatern_b": 256, "qoffset_x": 268, "srow_x": 280, "vox_offset": 108}
    for name, values in {"pixdim": pixdim, **changes}.items():
        struct.pack_into(f"<{len(values)}f", content, places[name], *values)
    (folder / "a.nii").write_bytes(content)
    return folder / "a.nii"


@pytest.mark.parametrize("pixdim", [(0, 0, 0), (NAN, 2, 2), (2, 0, 2), (-2, 2, 2), (1, 1, 1)])
def test_the_sform_s_spacing_is_taken_where_the_header_s_is_not_its(tmp_path, pixdim, caplog):
    image = read_image(placed(tmp_path, pixdim))
    assert image.grid.spacing == (2, 2, 2)
    assert "the header's spacing" in caplog.text
    # The standard's own words: x = srow_x[0] i + …; ITK's frame is LPS.
    np.testing.assert_allclose(image.grid.index_to_physical(np.array([1, 2, 3])), [-6, -4, 2])


def test_consistent_files_are_read_without_a_word(tmp_path, caplog):
    for codes in ((1, 0), (0, 1), (1, 1)):
        assert read_image(placed(tmp_path, codes=codes)).grid.spacing == (2, 2, 2)
    assert not caplog.records
    assert read_image(placed(tmp_path, codes=(0, 0))).grid.spacing == (2, 2, 2)
    assert "neither qform nor sform" in caplog.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"srow_x": (2, 0, 0, NAN)}, "its sform"),
        ({"srow_x": (NAN, 0, 0, 0)}, "its sform"),
        ({"qoffset_x": (NAN,), "codes": (0, 1)}, "its qform"),
        ({"quatern_b": (NAN,), "codes": (0, 1)}, "its qform"),
        ({"pixdim": (0, 0, 0), "codes": (0, 0)}, "the spacing (0, 0, 0) mm, and no sform"),
        ({"pixdim": (0, 2, 2), "codes": (0, 1)}, "no sform"),
        ({"pixdim": (NAN, 2, 2), "codes": (0, 0)}, "no sform"),
        ({"pixdim": (-2, 2, 2), "codes": (0, 1)}, "no sform"),
        ({"pixdim": (1, 1, 1), "srow_x": (2, 1, 0, 0), "codes": (1, 0)}, "right angle"),
        ({"pixdim": (0, 0, 0), "srow_x": (0, 0, 0, 0), "codes": (1, 1)}, "spacing of 0 mm"),
        ({"pixdim": (0, 0, 0), "srow_x": (2, 1, 0, 0), "codes": (1, 1)}, "no right angles"),
    ],
)
def test_geometry_that_is_not_certain_is_refused(tmp_path, changes, reason):
    assert reason in refusal(placed(tmp_path, **changes)).what


@pytest.mark.parametrize("spacings", ["(0,0,0) (0,2,0) (0,0,2)", "(2,0,0) (2,0,0) (0,0,2)"])
def test_other_formats_geometry_must_be_one(tmp_path, spacings):
    header = (
        "NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 6 5\n"
        f"space directions: {spacings}\nendian: little\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + ARRAY.tobytes())
    refusal(tmp_path / "a.nrrd")


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
def test_any_damage_of_a_header_is_read_or_refused(tmp_path, suffix):
    """No other exception than the one that names the file."""
    name = f"a{suffix}"
    written(tmp_path, name)
    path = tmp_path / name
    packed = path.read_bytes()
    content = gzip.decompress(packed) if suffix.endswith("gz") else packed
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, 348, rng.integers(1, 5)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(gzip.compress(damaged, 1) if suffix.endswith("gz") else damaged)
        try:
            read_image(path)  # any other exception fails here
        except WarplineError as error:
            refused += error.where == path
    assert refused > 30


@pytest.mark.parametrize("offset", [NAN, np.inf, -1, 0, 352.5, 1e30])
def test_voxels_at_no_place_are_refused(tmp_path, offset):
    assert "puts the voxels at byte" in refusal(placed(tmp_path, vox_offset=(offset,))).what


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_a_header_that_claims_a_million_million_voxels(tmp_path, suffix):
    claimed = (10_000, 10_000, 10_000)
    if suffix.startswith(".nii"):
        path = placed(tmp_path)
        content = bytearray(path.read_bytes())
        struct.pack_into("<3h", content, 42, *claimed)
        content = gzip.compress(content) if suffix.endswith("gz") else content
    elif suffix == ".mha":
        written(tmp_path, "b.mha")
        content = (tmp_path / "b.mha").read_bytes().replace(b"7 6 5", b"10000 10000 10000")
    else:
        written(tmp_path, "b.nrrd")
        content = (tmp_path / "b.nrrd").read_bytes().replace(b"7 6 5", b"10000 10000 10000")
    (tmp_path / f"c{suffix}").write_bytes(content)
    started = time.monotonic()
    refusal(tmp_path / f"c{suffix}")
    assert time.monotonic() - started < 5


def test_a_gzip_of_zeros_behind_a_small_image_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("warpline.images.nifti.SLACK", 1 << 20)
    content = placed(tmp_path).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content) + gzip.compress(bytes(1 << 22)))
    assert f"more than {1 << 20} bytes follow its voxels" in refusal(tmp_path / "b.nii.gz").what


def test_an_image_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    written(tmp_path, "a.mha")
    monkeypatch.setattr(memory, "memory", lambda: ARRAY.nbytes)
    read_image(tmp_path / "a.mha")
    monkeypatch.setattr(memory, "memory", lambda: ARRAY.nbytes - 1)
    assert "GiB of memory" in refusal(tmp_path / "a.mha").what


def test_the_memory_is_that_of_a_limited_process():
    code = (
        "import resource; from warpline.images.memory import memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29)); print(memory())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(found.stdout) == 1 << 29
    assert memory.memory() <= resource.getpagesize() * os.sysconf("SC_PHYS_PAGES")


# Companions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = b.raw\n", ["b.raw"]),
        ("a.MHD", "ElementDataFile = sub/b.raw\n", ["sub/b.raw"]),
        ("a.mha", "ElementDataFile = LOCAL\nb.raw", []),
        ("a.mhd", "ElementDataFile = LIST\nb0.raw\nb1.raw\n", ["b0.raw", "b1.raw"]),
        ("a.mhd", "ElementDataFile = b%02d.raw 8 10 2\n", ["b08.raw", "b10.raw"]),
        ("a.mhd", "ElementDataFile = b%d.raw 1 900000000 1\n", []),
        ("a.nhdr", "NRRD0004\ndata file: b.raw\n", ["b.raw"]),
        ("a.nhdr", "NRRD0004\ndata file: LIST\nb.raw\nc.raw\n", ["b.raw", "c.raw"]),
        ("a.nhdr", "NRRD0004\ndata file: b%d.raw 3 1 -1\n", ["b3.raw", "b2.raw", "b1.raw"]),
        ("a.nrrd", "NRRD0004\n\ndata file: b.raw\n", []),
        # What the readers pass over does not hide what they take.
        ("a.nhdr", "NRRD0004\ndata file:=b.raw\ndata file: c.raw\n", ["c.raw"]),
        ("a.mhd", "elementdatafile = b.raw\nElementDataFile = c.raw\n", ["c.raw"]),
        ("a.nii", "", []),
        ("a.mhd", "", []),
    ],
)
def test_the_files_that_a_header_names(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert companions(tmp_path / name) == [tmp_path / other for other in expected]


def test_the_halves_of_a_pair(tmp_path):
    for name in ("a.hdr", "a.img", "ab.img", "a.IMG.gz", "a.nii"):
        (tmp_path / name).touch()
    assert companions(tmp_path / "a.hdr") == [tmp_path / "a.IMG.gz", tmp_path / "a.img"]
    assert companions(tmp_path / "a.img") == [tmp_path / "a.hdr"]
    assert companions(tmp_path / "missing" / "a.hdr") == []
