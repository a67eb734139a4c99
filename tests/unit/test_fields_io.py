"""Fields as files and as transforms of SimpleITK, ANTs and elastix; the Learn2Reg layout."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from fieldtools import interior_points, oblique, smooth, smooth_field, smooth_image
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.fields import io, learn2reg
from warpline.fields.algebra import jacobian_determinant
from warpline.fields.elastix import parameter_object, to_itk
from warpline.fields.physical import DisplacementField
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

GRID = oblique((14, 18, 16))
MOVING = Grid((16, 16, 20), (1.2, 1.1, 1.6), GRID.origin, oblique(seed=5).direction)


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    torch.set_num_threads(2)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_files_round_trip(tmp_path, suffix):
    field = smooth_field(GRID)
    io.write_field(tmp_path / f"field{suffix}", field)
    back = io.read_field(tmp_path / f"field{suffix}")
    assert back.grid.close_to(GRID)
    np.testing.assert_array_equal(back.vectors, field.vectors)
    assert [p.name for p in tmp_path.iterdir()] == [f"field{suffix}"]


def test_double_precision_files_are_read(tmp_path):
    field = smooth_field(GRID)
    path = os.fspath(tmp_path / "field.nii.gz")
    sitk.WriteImage(io.to_sitk_transform(field).GetDisplacementField(), path)
    back = io.read_field(path)
    assert back.vectors.dtype == np.float32
    np.testing.assert_array_equal(back.vectors, field.vectors)


def test_wrong_files_say_what_is_wrong(tmp_path):
    with pytest.raises(WarplineError, match="does not exist"):
        io.read_field(tmp_path / "none.nii.gz")
    write_image(tmp_path / "image.nii.gz", smooth_image(GRID))
    with pytest.raises(WarplineError, match="1 component, not three") as caught:
        io.read_field(tmp_path / "image.nii.gz")
    assert "image.nii.gz" in str(caught.value)
    vectors = np.zeros((*GRID.shape, 3), np.float32)
    vectors[1, 2, 3, 0] = np.nan
    write_image(tmp_path / "nan.mha", Image(vectors, GRID))
    with pytest.raises(WarplineError, match="not finite"):
        io.read_field(tmp_path / "nan.mha")
    with pytest.raises(WarplineError, match="not finite"):
        io.write_field(tmp_path / "other.nii.gz", DisplacementField(vectors, GRID))
    assert not (tmp_path / "other.nii.gz").exists()
    (tmp_path / "text.mat").write_text("no transform")
    with pytest.raises(WarplineError, match="cannot be used"):
        io.from_ants([tmp_path / "text.mat"], GRID)
    io.write_field(tmp_path / "field.nii.gz", smooth_field(GRID))
    with pytest.raises(WarplineError, match="inverted by a flag"):
        io.from_ants([tmp_path / "field.nii.gz"], GRID, [True])


def test_simpleitk_transforms():
    field = smooth_field(GRID)
    points = interior_points(GRID)
    transform = io.to_sitk_transform(field)
    moved = [transform.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(field.transform_points(points, order=1), moved, atol=1e-4)
    back = io.from_sitk_transform(transform, GRID)
    middle = (slice(1, -1),) * 3
    np.testing.assert_allclose(back.vectors[middle], field.vectors[middle], atol=1e-4)


def spline_transform(amplitude=2.0, seed=0) -> sitk.BSplineTransform:
    reference = sitk.GetImageFromArray(np.zeros(GRID.shape, np.float32))
    reference.SetSpacing(GRID.spacing)
    reference.SetOrigin(GRID.origin)
    reference.SetDirection(GRID.direction)
    spline = sitk.BSplineTransformInitializer(reference, [3, 3, 3])
    rng = np.random.default_rng(seed)
    spline.SetParameters(rng.uniform(-amplitude, amplitude, len(spline.GetParameters())).tolist())
    return spline


def affine_transform(seed=0) -> sitk.AffineTransform:
    rng = np.random.default_rng(seed)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))).ravel().tolist())
    affine.SetTranslation([1.0, -2.0, 0.5])
    affine.SetCenter(np.asarray(GRID.origin).tolist())
    return affine


def test_affine_and_spline_transforms_are_sampled():
    points = GRID.index_to_physical(GRID.indices()[1:-1, 1:-1, 1:-1].reshape(-1, 3)[::29])
    for transform in (affine_transform(), spline_transform()):
        field = io.from_sitk_transform(transform, GRID)
        moved = [transform.TransformPoint(point) for point in points.tolist()]
        np.testing.assert_allclose(field.transform_points(points), moved, atol=1e-4)


def test_affine_matrices(tmp_path):
    affine = affine_transform()
    matrix = io.matrix_of_transform(affine)
    points = interior_points(GRID)
    moved = np.array([affine.TransformPoint(point) for point in points.tolist()])
    np.testing.assert_allclose(points @ matrix[:3, :3].T + matrix[:3, 3], moved, atol=1e-9)
    field = DisplacementField.from_matrix(matrix, GRID)
    np.testing.assert_allclose(field.transform_points(points, order=1), moved, atol=1e-4)
    with pytest.raises(WarplineError, match="not affine"):
        io.matrix_of_transform(spline_transform())


def ants_points(points: np.ndarray, files: list[str], inverted=None) -> np.ndarray:
    ants = pytest.importorskip("ants")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(points, columns=["x", "y", "z"])
    options = {} if inverted is None else {"whichtoinvert": inverted}
    return ants.apply_transforms_to_points(3, frame, files, **options)[["x", "y", "z"]].to_numpy()


def test_ants_lists_map_fixed_points_to_moving_points(tmp_path):
    warp, affine = os.fspath(tmp_path / "1Warp.nii.gz"), os.fspath(tmp_path / "0Affine.mat")
    io.write_field(warp, smooth_field(GRID))
    sitk.WriteTransform(affine_transform(), affine)
    # At the voxels, where ANTs' linear reading and ours are one.
    index = GRID.indices()[2:-2, 2:-2, 2:-2].reshape(-1, 3)[::41]
    points = GRID.index_to_physical(index)
    for files, inverted in (
        ([warp], None),
        ([warp, affine], None),
        ([affine, warp], [True, False]),
    ):
        field = io.from_ants(files, GRID, inverted)
        moved = points + field.vectors[tuple(index.T)]
        expected = ants_points(points, files, inverted)
        np.testing.assert_allclose(moved, expected, atol=2e-3)


def test_ants_warps_as_we_do(tmp_path):
    ants = pytest.importorskip("ants")
    field, image = smooth_field(GRID, 2.0), smooth_image(MOVING)
    io.write_field(tmp_path / "Warp.nii.gz", field)
    write_image(tmp_path / "moving.nii.gz", image)
    write_image(tmp_path / "fixed.nii.gz", smooth_image(GRID))
    fixed, moving = (
        ants.image_read(os.fspath(tmp_path / f"{n}.nii.gz")) for n in ("fixed", "moving")
    )
    by_file = ants.apply_transforms(fixed, moving, [os.fspath(tmp_path / "Warp.nii.gz")])
    by_object = ants.apply_ants_transform_to_image(io.to_ants(field), moving, fixed)
    ours = field.warp_image(image).array
    index = MOVING.physical_to_index(GRID.index_to_physical(GRID.indices()) + field.vectors)
    known = ((index > 0.01) & (index < np.array(MOVING.shape) - 1.01)).all(-1)
    assert known.mean() > 0.2
    for theirs in (by_file, by_object):
        np.testing.assert_allclose(theirs.numpy().transpose(2, 1, 0)[known], ours[known], atol=2e-3)


def test_an_image_of_itk_s_own_package_lies_where_ours_does(monkeypatch):
    class Itk(dict):
        def image_from_array(self, array):
            self["array"] = array
            return self

        def __getattr__(self, name):
            return lambda value: self.update({name: value})

        def matrix_from_array(self, array):
            return array

    monkeypatch.setitem(sys.modules, "itk", Itk())
    grid, mask = oblique((4, 5, 6)), np.zeros((4, 5, 6), bool)
    mask[1, 2, 3] = True
    found = to_itk(Image(mask, grid))
    assert (found["SetSpacing"], found["SetOrigin"]) == (grid.spacing, grid.origin)
    np.testing.assert_array_equal(found["SetDirection"].ravel(), grid.direction)
    assert found["array"].dtype == np.uint8
    np.testing.assert_array_equal(found["array"], mask)


def test_ants_and_simpleitk_read_a_written_field_alike(tmp_path):
    field = smooth_field(GRID)
    path = os.fspath(tmp_path / "Warp.nii.gz")
    io.write_field(path, field)
    points = interior_points(GRID, margin=1.5)
    expected = field.transform_points(points, order=1)
    np.testing.assert_allclose(ants_points(points, [path]), expected, atol=2e-3)
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(path, sitk.sitkVectorFloat64))
    moved = [transform.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_elastix_transforms(tmp_path):
    pytest.importorskip("itk")
    affine = affine_transform()
    numbers = " ".join(repr(value) for value in affine.GetParameters())
    centre = " ".join(repr(value) for value in affine.GetCenter())
    (tmp_path / "TransformParameters.0.txt").write_text(
        f"""(Transform "AffineTransform")
(NumberOfParameters 12)
(TransformParameters {numbers})
(InitialTransformParameterFileName "NoInitialTransform")
(HowToCombineTransforms "Compose")
(CenterOfRotationPoint {centre})
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Size {" ".join(str(n) for n in GRID.shape[::-1])})
(Index 0 0 0)
(Spacing {" ".join(repr(s) for s in GRID.spacing)})
(Origin {" ".join(repr(float(o)) for o in GRID.origin)})
(Direction {" ".join(repr(float(d)) for d in np.reshape(GRID.direction, (3, 3)).T.ravel())})
(UseDirectionCosines "true")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
(DefaultPixelValue 0)
(ResultImageFormat "nii")
(ResultImagePixelType "float")
"""
    )
    parameters = parameter_object()
    parameters.ReadParameterFile(os.fspath(tmp_path / "TransformParameters.0.txt"))
    field = io.from_elastix(parameters, GRID)
    expected = io.from_sitk_transform(affine, GRID)
    np.testing.assert_allclose(field.vectors, expected.vectors, atol=1e-3)
    with pytest.raises(WarplineError, match="another fixed image"):
        io.from_elastix(parameters, MOVING)


def test_learn2reg_round_trip():
    field = smooth_field(GRID, 2.0)
    array = learn2reg.to_learn2reg(field, MOVING)
    assert array.shape == (*GRID.shape[::-1], 3)
    back = learn2reg.from_learn2reg(array, GRID, MOVING)
    np.testing.assert_allclose(back.vectors, field.vectors, atol=1e-4)
    again = learn2reg.to_learn2reg(back, MOVING)
    np.testing.assert_allclose(again, array, atol=1e-4)


def test_learn2reg_points_are_what_the_evaluation_reads():
    array = np.random.default_rng(0).uniform(-1, 1, (9, 8, 7, 3)).astype(np.float32)
    grid = Grid((7, 8, 9))
    field = learn2reg.from_learn2reg(array, grid, grid)
    # i, j, k are x, y, z: entry [2, 3, 4] belongs to the voxel at (x, y, z) = (2, 3, 4).
    np.testing.assert_allclose(field.vectors[4, 3, 2], array[2, 3, 4], atol=1e-6)
    points = np.random.default_rng(1).uniform(1, 6, (20, 3))
    moved = np.stack(
        [ndimage.map_coordinates(array[..., axis], points.T) for axis in range(3)], axis=1
    )
    np.testing.assert_allclose(field.transform_points(points), points + moved, atol=1e-5)


@pytest.mark.parametrize("shape", [(14, 18, 16), (15, 18, 17)])
def test_learn2reg_submission(tmp_path, shape):
    grid = oblique(shape)
    field = smooth_field(grid, 2.0, sigma=5.0)
    path = tmp_path / "disp_0001_0002.npz"
    learn2reg.write_submission(path, field, grid)
    with np.load(path) as content:
        assert content["arr_0"].dtype == np.float16
        assert content["arr_0"].shape == (3, *(n // 2 for n in shape[::-1]))
        corner = content["arr_0"][:, -1, -1, -1]
    expected = learn2reg.to_learn2reg(field, grid)[-1, -1, -1]
    np.testing.assert_allclose(corner, expected, atol=2e-2)
    back = learn2reg.read_submission(path, grid, grid)
    difference = learn2reg.to_learn2reg(back, grid) - learn2reg.to_learn2reg(field, grid)
    assert np.abs(difference).max() < 0.15
    # Between what was written it is read as the evaluation reads it, by splines of degree two.
    rough = np.random.default_rng(0).normal(size=(3, *(n // 2 for n in shape[::-1])))
    np.savez(path, rough.astype(np.float32))
    full = learn2reg.to_learn2reg(learn2reg.read_submission(path, grid, grid), grid)
    zooms = [n / (n // 2) for n in shape[::-1]]
    evaluated = np.stack([ndimage.zoom(part, zooms, order=2) for part in rough], axis=-1)
    np.testing.assert_allclose(full, evaluated, atol=1e-3)


def test_an_image_of_another_number_of_components_is_no_field(tmp_path):
    for components in (1, 2, 4):
        kind = sitk.sitkVectorFloat32 if components > 1 else sitk.sitkFloat32
        path = tmp_path / f"of{components}.nii.gz"
        sitk.WriteImage(sitk.Image([6, 5, 4], kind, components), str(path))
        told = f"{components} component{'s' if components > 1 else ''}, not three"
        with pytest.raises(WarplineError, match=told) as refused:
            io.read_field(path)
        assert str(refused.value.where) == str(path)


def test_learn2reg_errors(tmp_path):
    with pytest.raises(WarplineError, match="fixed image asks for"):
        learn2reg.from_learn2reg(np.zeros((3, 4, 5, 3)), GRID, MOVING)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(WarplineError, match="not a Learn2Reg submission"):
        learn2reg.read_submission(tmp_path / "text.npz", GRID, MOVING)
    np.savez(tmp_path / "small.npz", np.zeros((3, 2, 2, 2)))
    with pytest.raises(WarplineError, match="fixed image asks for"):
        learn2reg.read_submission(tmp_path / "small.npz", GRID, MOVING)


def test_the_challenges_own_numbers():
    folder = os.environ.get("WARPLINE_REAL_DATA")
    if not folder or not (Path(folder) / "reference").is_dir():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with the Learn2Reg reference cases")
    reference = Path(folder) / "reference"
    expected = json.loads((reference / "learn2reg_expected.json").read_text())
    for case in ("case0", "case1", "case2"):
        numbers = expected[case]
        with np.load(reference / f"{case}.npz") as content:
            data = dict(content)
        i, j, k = data["fixed_label"].shape
        grid = Grid((k, j, i), tuple(numbers["landmark_spacing_mm"]))
        field = learn2reg.from_learn2reg(data["displacement"], grid, grid)
        # The challenge leaves out two voxels at every side.
        determinant = field.jacobian_determinant()[1:-1, 1:-1, 1:-1]
        assert (determinant <= 0).mean() == numbers["fraction_jacobian_nonpositive_interior"]
        points = grid.index_to_physical(data["fixed_landmarks"][:, ::-1])
        moving = grid.index_to_physical(data["moving_landmarks"][:, ::-1])
        errors = np.linalg.norm(field.transform_points(points) - moving, axis=1)
        np.testing.assert_allclose(errors, numbers["tre_mm"], atol=1e-5)
        # The challenge's own clipped logarithm, from our determinant.
        logarithm = np.log(np.clip(determinant + 3, 1e-9, 1e9))
        assert logarithm.std() == pytest.approx(numbers["sdlogj_learn2reg"], abs=1e-6)
        warped = field.warp_labels(Image(data["moving_label"].transpose(2, 1, 0), grid)).array
        fixed = data["fixed_label"].transpose(2, 1, 0)
        for label, dice in enumerate(numbers["dice_per_label"], start=1):
            a, b = fixed == label, warped == label
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) == pytest.approx(dice, abs=1e-6)


def test_voxel_jacobian_is_the_learn2reg_one():
    displacement = smooth((9, 10, 11), 2.0)
    grid = Grid((9, 10, 11), (0.7, 1.1, 2.0))
    field = DisplacementField.from_voxel(displacement, grid, grid)
    expected = jacobian_determinant(displacement)[0]
    np.testing.assert_allclose(field.jacobian_determinant(), expected, atol=1e-5)
