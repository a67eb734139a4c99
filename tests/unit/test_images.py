"""Grids and images against SimpleITK; files that are not what they should be."""

from __future__ import annotations

import gc
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from warpline.errors import WarplineError
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import adopt, from_sitk, grid_of, to_sitk

number = st.floats(-100, 100)


@st.composite
def grids(draw) -> Grid:
    """Oblique, anisotropic grids of either handedness."""
    # Rounded: ITK answers with NaN for cosines like 1e-298.
    angle = st.floats(-3, 3).map(lambda value: round(value, 6))
    direction = Rotation.from_rotvec(draw(st.tuples(angle, angle, angle))).as_matrix()
    direction[:, 2] *= draw(st.sampled_from([1, -1]))
    return Grid(
        draw(st.tuples(*[st.integers(1, 9)] * 3)),
        draw(st.tuples(*[st.floats(0.2, 5)] * 3)),
        draw(st.tuples(number, number, number)),
        tuple(direction.ravel()),
    )


def oblique(shape=(4, 5, 6)) -> Grid:
    direction = Rotation.from_rotvec([0.3, -0.2, 0.4]).as_matrix()
    return Grid(shape, (0.8, 1.2, 2.0), (5.0, -3.0, 2.0), tuple(direction.ravel()))


def numbers(grid: Grid, dtype=np.float32, extra=()) -> np.ndarray:
    shape = (*grid.shape, *extra)
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def itk_image(grid: Grid) -> sitk.Image:
    image = sitk.Image([int(n) for n in grid.shape[::-1]], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def refusal(path: Path) -> str:
    with pytest.raises(WarplineError) as error:
        read_image(path)
    assert f"where: {path}" in str(error.value)
    return str(error.value)


# Grids ------------------------------------------------------------------------------------------


@given(grid=grids(), index=st.tuples(number, number, number))
@settings(max_examples=50, deadline=None)
def test_indices_and_points_are_simpleitk_s(grid, index):
    image = itk_image(grid)
    point = grid.index_to_physical(np.array(index))
    expected = image.TransformContinuousIndexToPhysicalPoint(index[::-1])
    np.testing.assert_allclose(point, expected, atol=1e-8)
    back = image.TransformPhysicalPointToContinuousIndex(point.tolist())[::-1]
    np.testing.assert_allclose(grid.physical_to_index(point), back, atol=1e-6)
    np.testing.assert_allclose(grid.physical_to_index(point), index, atol=1e-6)


def test_a_point_by_hand():
    # x is the third array axis, runs along the physical y and has 2 mm steps.
    grid = Grid((2, 3, 4), (2, 3, 5), (10, 20, 30), (0, -1, 0, 1, 0, 0, 0, 0, 1))
    points = grid.index_to_physical(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]))
    np.testing.assert_allclose(points, [[10, 22, 30], [7, 20, 30], [10, 20, 35]])
    np.testing.assert_allclose(grid.physical_to_index(points), [[0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_indices_are_those_of_the_array():
    indices = Grid((2, 3, 4)).indices()
    assert indices.shape == (2, 3, 4, 3)
    assert indices[1, 2, 3].tolist() == [1, 2, 3]


@given(grid=grids())
@settings(max_examples=30, deadline=None)
def test_a_grid_survives_simpleitk(grid):
    image = to_sitk(Image(numbers(grid), grid))
    assert grid_of(image).shape == grid.shape
    assert grid_of(image).close_to(grid, 1e-9)
    again = from_sitk(image)
    assert (again.array == numbers(grid)).all()
    assert again.grid == grid_of(image)


@pytest.mark.parametrize(
    ("change", "close"),
    [
        ({}, True),
        ({"origin": (5.0005, -3.0, 2.0)}, True),
        ({"origin": (5.002, -3.0, 2.0)}, False),
        ({"spacing": (0.8, 1.2, 2.0003)}, True),  # 3 steps: 0.9 µm
        ({"spacing": (0.8, 1.2, 2.0006)}, False),  # 3 steps: 1.8 µm, 1.7 of them along z
        ({"shape": (4, 5, 7)}, False),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)}, False),
    ],
)
def test_grids_are_close_if_all_their_voxels_are(change, close):
    values = {**vars(oblique()), **change}
    assert oblique().close_to(Grid(**values)) == close
    assert Grid(**values).close_to(oblique()) == close


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="does not lie on grid"):
        Image(np.zeros((2, 3, 4)), Grid((4, 3, 2)))


def test_an_adopted_image_outlives_the_object_that_held_it():
    expected = numbers(oblique()).astype(np.float32)
    image = adopt(to_sitk(Image(expected, oblique())) + 0.0)
    gc.collect()
    [np.full(oblique().shape, 7, np.float32) for _ in range(50)]  # who frees the memory loses it
    assert (image.array == expected).all()
    part = image.array[1:]
    del image
    gc.collect()
    [np.full(oblique().shape, 7, np.float32) for _ in range(50)]
    assert (part == expected[1:]).all()
    part[:] = 3
    assert (part == 3).all()


# Files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_an_image_survives_a_file(tmp_path, suffix, dtype):
    image = Image(numbers(oblique(), dtype), oblique())
    write_image(tmp_path / f"a{suffix}", image)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.array.dtype == dtype
    assert (again.array == image.array).all()
    assert again.grid.close_to(image.grid, 1e-4)


def test_truth_values_are_kept_as_bytes(tmp_path):
    grid = Grid((2, 2, 2))
    write_image(tmp_path / "a.nii.gz", Image(numbers(grid) > 3, grid))
    array = read_image(tmp_path / "a.nii.gz").array
    assert array.dtype == np.uint8
    assert array.ravel().tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_vectors_are_the_last_axis(tmp_path):
    image = Image(numbers(oblique(), extra=(3,)), oblique())
    write_image(tmp_path / "a.nii.gz", image)
    assert (read_image(tmp_path / "a.nii.gz").array == image.array).all()
    itk = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert itk.GetNumberOfComponentsPerPixel() == 3
    assert itk[5, 4, 3] == tuple(image.array[3, 4, 5])


def test_a_single_volume_with_a_time_axis_is_a_volume(tmp_path):
    image = to_sitk(Image(numbers(oblique()), oblique()))
    for name in ("a.nii.gz", "a.nrrd"):
        sitk.WriteImage(sitk.JoinSeries([image]), str(tmp_path / name))
        again = read_image(tmp_path / name)
        assert (again.array == numbers(oblique())).all()
        assert again.grid.close_to(oblique(), 1e-4)


def test_two_volumes_are_refused(tmp_path):
    image = to_sitk(Image(numbers(oblique()), oblique()))
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(tmp_path / "a.nii.gz"))
    assert "2 volumes); three are needed" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_flat_image_is_refused(tmp_path, name):
    sitk.WriteImage(sitk.Image([5, 6], sitk.sitkUInt8), str(tmp_path / name))
    assert "has 2 dimensions (5 × 6); three are needed" in refusal(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("content", [b"", b"hello", gzip.compress(b"hello" * 200), bytes(400)])
def test_a_file_that_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    message = refusal(tmp_path / "a.nii.gz")
    assert "cannot be read" in message
    assert "Fetch or export the file again" in message


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("kept", [0.3, 0.9, -20])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    # ITK reads a truncated NIfTI file as if the rest were zeros.
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).random((20, 20, 20), dtype=np.float32)
    write_image(path, Image(noise, Grid((20, 20, 20))))
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept < 0 else int(kept * len(content))])
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("position", [0.2, 0.8, -6])
def test_a_damaged_file_is_refused(tmp_path, position):
    path = tmp_path / "a.nii.gz"
    noise = np.random.default_rng(0).random((20, 20, 20), dtype=np.float32)
    write_image(path, Image(noise, Grid((20, 20, 20))))
    content = bytearray(path.read_bytes())
    content[position if position < 0 else int(position * len(content))] ^= 255
    path.write_bytes(content)
    assert "cannot be read" in refusal(path)


def test_files_that_other_programs_pack_are_read(tmp_path):
    grid = Grid((3, 4, 5))
    write_image(tmp_path / "a.nii", Image(numbers(grid), grid))
    content = (tmp_path / "a.nii").read_bytes()
    pieces = gzip.compress(content[:300]) + gzip.compress(content[300:])  # as bgzip does
    for name, packed in (("b.nii.gz", pieces), ("c.nii", content + b"more")):
        (tmp_path / name).write_bytes(packed)
        assert (read_image(tmp_path / name).array == numbers(grid)).all()


def test_big_endian_files_are_read_and_checked(tmp_path):
    grid = Grid((3, 4, 5))
    write_image(tmp_path / "a.nii", Image(numbers(grid), grid))
    content = (tmp_path / "a.nii").read_bytes()
    swapped = bytearray(content)
    for start, size, count in ((0, 4, 1), (40, 2, 8), (68, 2, 3), (76, 4, 11), (120, 2, 1)):
        for k in range(count):
            part = slice(start + k * size, start + (k + 1) * size)
            swapped[part] = content[part][::-1]
    for start in (*range(252, 256, 2), *range(256, 328, 4), *range(352, len(content), 4)):
        size = 2 if start < 256 else 4
        swapped[start : start + size] = content[start : start + size][::-1]
    path = tmp_path / "b.nii"
    path.write_bytes(swapped)
    assert (read_image(path).array == numbers(grid)).all()
    path.write_bytes(swapped[:-4])
    assert f"holds {len(content) - 4} bytes of {len(content)}" in refusal(path)
