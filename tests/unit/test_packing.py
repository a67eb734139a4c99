"""Files packed on all threads are those that every program reads."""

from __future__ import annotations

import gzip
import subprocess

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.packing import PIECE, pack

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("worth", [1.0, 0.8])
@pytest.mark.parametrize("size", [1, 1000, PIECE, PIECE + 1, 3 * PIECE + 5])
def test_what_is_packed_comes_back_to_the_byte(tmp_path, size, worth):
    rng = np.random.default_rng(size)
    content = rng.integers(0, 4, size // 2, np.uint8).tobytes() + rng.bytes(size - size // 2)
    (tmp_path / "a").write_bytes(content)
    pack(tmp_path / "a", tmp_path / "a.gz", worth)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == content
    subprocess.run(["gzip", "--test", tmp_path / "a.gz"], check=True)  # of another library
    first = (tmp_path / "a.gz").read_bytes()
    pack(tmp_path / "a", tmp_path / "a.gz", worth)
    assert (tmp_path / "a.gz").read_bytes() == first


def test_what_repeats_is_small_and_noise_is_stored_where_time_counts(tmp_path):
    sizes = {}
    contents = {"zeros": bytes(3 * PIECE), "words": b"a few words again; " * PIECE}
    contents["noise"] = np.random.default_rng(0).normal(size=PIECE).astype(np.float32).tobytes()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        for worth in (1.0, 0.8):
            pack(tmp_path / name, tmp_path / "out.gz", worth)
            sizes[name, worth] = (tmp_path / "out.gz").stat().st_size / len(content)
    assert sizes["zeros", 1.0] == sizes["zeros", 0.8] < 0.01
    assert sizes["words", 1.0] == sizes["words", 0.8] < 0.02
    assert sizes["noise", 1.0] < 0.95
    assert 1.0 < sizes["noise", 0.8] < 1.001


@pytest.mark.parametrize("quick", [False, True])
def test_a_field_is_the_same_to_other_programs(tmp_path, quick):
    grid = Grid((40, 70, 90), (0.9, 1.4, 2.5), (10.0, -20.0, 30.0), OBLIQUE)
    vectors = np.random.default_rng(1).normal(size=(*grid.shape, 3)).astype(np.float32)
    path = tmp_path / "field.nii.gz"
    write_field(path, DisplacementField(vectors, grid), quick=quick)
    assert [other.name for other in tmp_path.iterdir()] == ["field.nii.gz"]
    by_itk = sitk.ReadImage(str(path))
    assert (sitk.GetArrayFromImage(by_itk) == vectors).all()
    assert np.allclose(by_itk.GetDirection(), OBLIQUE, atol=1e-6)
    by_nibabel = nibabel.load(path)
    assert by_nibabel.header.get_intent()[0] == "vector"
    assert (np.asarray(by_nibabel.dataobj)[:, :, :, 0].transpose(2, 1, 0, 3) == vectors).all()
    assert (read_field(path).vectors == vectors).all()
    assert read_field(path).grid.close_to(grid)
    sitk.WriteImage(sitk.GetImageFromArray(vectors, isVector=True), str(tmp_path / "itk.nii.gz"))
    smaller = (tmp_path / "itk.nii.gz").stat().st_size
    assert path.stat().st_size < (1.15 if quick else 1.01) * smaller


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64, bool])
def test_the_head_is_that_of_itk(tmp_path, kind):
    grid = Grid((3, 4, 5), (0.9, 1.4, 2.5), (10.0, -20.0, 30.0), OBLIQUE)
    array = (np.arange(60).reshape(grid.shape) % 2).astype(kind)
    write_image(tmp_path / "a.nii.gz", Image(array, grid))
    write_image(tmp_path / "a.nii", Image(array, grid))
    content = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    assert content == (tmp_path / "a.nii").read_bytes()
    assert (read_image(tmp_path / "a.nii.gz").array == array).all()


def test_a_file_that_itk_leaves_short_is_no_file(tmp_path, monkeypatch):
    """As on a full disk, where ITK says nothing."""
    write = sitk.WriteImage

    def short(image, path, **named):
        write(image, path, **named)
        with open(path, "r+b") as stream:
            stream.truncate(400)

    monkeypatch.setattr(sitk, "WriteImage", short)
    with pytest.raises(OSError, match="holds 400 bytes of 592"):
        write_image(tmp_path / "a.nii.gz", Image(np.zeros((3, 4, 5), np.float32), Grid((3, 4, 5))))
    assert not list(tmp_path.iterdir())
