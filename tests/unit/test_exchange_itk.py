"""Transforms of ITK, ANTs and elastix against SimpleITK and the programs themselves."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
from exchangetools import FIXED, LPS, MOVING, apply, moved, voxels, world
from fieldtools import sitk_transform, smooth_field, smooth_image

from warpline.errors import WarplineError
from warpline.fields.exchange import FORMATS, read_transform, write_transform
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

IJK = voxels(FIXED)
POINTS = world(FIXED, IJK)
AFFINE = DisplacementField.from_matrix(LPS, FIXED)
# Inside: ITK's fields move nothing beyond their grid, and points on its border are either.
INNER = IJK[((IJK > 0) & (np.array(FIXED.shape[::-1]) - 1 > IJK)).all(axis=1)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")


def sitk_affine(matrix: np.ndarray = LPS, center=(1.0, 2.0, 3.0)) -> sitk.AffineTransform:
    """The map about a centre that is not 0, which files must not lose."""
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[:3, :3].ravel().tolist())
    affine.SetCenter(center)
    shift = matrix[:3, 3] + matrix[:3, :3] @ center - center
    affine.SetTranslation(shift.tolist())
    return affine


@pytest.mark.parametrize("suffix", ["tfm", "txt", "h5", "mat"])
def test_affine_files_of_itk(tmp_path, suffix):
    path = tmp_path / f"affine.{suffix}"
    sitk.WriteTransform(sitk_affine(), os.fspath(path))
    field = read_transform(path, "itk", FIXED)
    np.testing.assert_allclose(moved(field, IJK), apply(LPS, POINTS), atol=1e-4)
    if suffix != "h5":
        write_transform(path, field, "itk")
        back = sitk.ReadTransform(os.fspath(path))
        assert back.IsLinear()
        there = [back.TransformPoint(point) for point in POINTS.tolist()]
        np.testing.assert_allclose(there, apply(LPS, POINTS), atol=1e-3)


def test_a_field_is_no_affine_file(tmp_path):
    with pytest.raises(WarplineError, match=r"up to \d\S* mm from one") as caught:
        write_transform(tmp_path / "field.tfm", smooth_field(FIXED), "itk")
    assert "nii.gz" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["nii.gz", "mha", "nrrd", "h5"])
def test_fields_of_itk(tmp_path, suffix):
    field = smooth_field(FIXED)
    path = tmp_path / f"field.{suffix}"
    assert write_transform(path, field, "itk") == [path]
    back = read_transform(path, "itk")
    assert back.grid.close_to(FIXED)
    np.testing.assert_allclose(back.vectors, field.vectors, atol=1e-5)
    if suffix == "h5":
        other = sitk.ReadTransform(os.fspath(path))
    else:
        image = sitk.ReadImage(os.fspath(path), sitk.sitkVectorFloat64)
        other = sitk.DisplacementFieldTransform(image)
    there = [other.TransformPoint(point) for point in world(FIXED, INNER).tolist()]
    np.testing.assert_allclose(there, moved(field, INNER), atol=1e-4)


def test_another_fixed_grid_reads_the_file_as_itk_does(tmp_path):
    field = smooth_field(FIXED)
    write_field(tmp_path / "field.mha", field)
    there = [
        sitk_transform(field).TransformPoint(p) for p in world(MOVING, voxels(MOVING)).tolist()
    ]
    back = read_transform(tmp_path / "field.mha", "itk", MOVING)
    np.testing.assert_allclose(moved(back, voxels(MOVING)), there, atol=1e-4)
    # A header that differs in its last digits is the same grid, to the bit.
    near = Grid(FIXED.shape, FIXED.spacing, tuple(np.add(FIXED.origin, 3e-4)), FIXED.direction)
    back = read_transform(tmp_path / "field.mha", "itk", near)
    np.testing.assert_array_equal(back.vectors, field.vectors)
    assert back.grid == near


def test_what_is_missing_is_said(tmp_path):
    sitk.WriteTransform(sitk_affine(), os.fspath(tmp_path / "affine.tfm"))
    with pytest.raises(WarplineError, match="fixed image is needed") as caught:
        read_transform(tmp_path / "affine.tfm")
    assert "--fixed" in str(caught.value)
    with pytest.raises(WarplineError, match="does not exist"):
        read_transform(tmp_path / "none.tfm", fixed=FIXED)
    with pytest.raises(WarplineError, match="no format of transforms 'antz'") as caught:
        read_transform(tmp_path / "affine.tfm", "antz", FIXED)
    assert "Did you mean 'ants'" in str(caught.value)
    (tmp_path / "text.tfm").write_text("nothing")
    with pytest.raises(WarplineError, match="cannot be read as a transform of ITK"):
        read_transform(tmp_path / "text.tfm", fixed=FIXED)
    with pytest.raises(WarplineError, match="is one file, not 2"):
        read_transform(["a.tfm", "b.tfm"], "itk", FIXED)
    for name in FORMATS:
        with pytest.raises(WarplineError):
            write_transform(tmp_path / "field.pdf", AFFINE, name, MOVING)


# --- ANTs ---------------------------------------------------------------------------------------


@pytest.fixture
def ants_files(tmp_path):
    """A warp, its inverse (any other field), and an affine map, named as ANTs does."""
    write_field(tmp_path / "out_1Warp.nii.gz", smooth_field(FIXED))
    write_field(tmp_path / "out_1InverseWarp.nii.gz", smooth_field(FIXED, seed=3))
    sitk.WriteTransform(sitk_affine(), os.fspath(tmp_path / "out_0GenericAffine.mat"))
    return tmp_path


def ants_points(points: np.ndarray, files: list[str], inverted: list[bool]) -> np.ndarray:
    import ants
    import pandas as pd

    frame = pd.DataFrame(points, columns=["x", "y", "z"])
    return ants.apply_transforms_to_points(3, frame, files, whichtoinvert=inverted)[
        ["x", "y", "z"]
    ].to_numpy()


def test_ants_lists_and_prefixes(ants_files):
    warp, inverse, affine = (
        os.fspath(ants_files / f"out_{name}")
        for name in ("1Warp.nii.gz", "1InverseWarp.nii.gz", "0GenericAffine.mat")
    )
    points = world(FIXED, INNER)
    there = ants_points(points, [warp, affine], [False, False])
    for files in ([warp, affine], [os.fspath(ants_files / "out_")]):
        field = read_transform(files, "ants", FIXED)
        np.testing.assert_allclose(moved(field, INNER), there, atol=1e-3)
    # The way back: the affine map first, so its points may leave the grid of the inverse warp.
    back = read_transform([f"[{affine},1]", inverse], "ants", MOVING)
    starts = apply(LPS, world(FIXED, INNER))
    there = ants_points(starts, [affine, inverse], [True, False])
    ours = sitk.DisplacementFieldTransform(sitk.ReadImage(inverse, sitk.sitkVectorFloat64))
    by_hand = [ours.TransformPoint(p) for p in apply(np.linalg.inv(LPS), starts).tolist()]
    np.testing.assert_allclose(by_hand, there, atol=1e-3)
    some = world(MOVING, voxels(MOVING))
    by_hand = [ours.TransformPoint(p) for p in apply(np.linalg.inv(LPS), some).tolist()]
    np.testing.assert_allclose(moved(back, voxels(MOVING)), by_hand, atol=1e-3)
    # A warp alone is read alone, on its own grid.
    alone = read_transform(warp, "ants")
    np.testing.assert_allclose(alone.vectors, smooth_field(FIXED).vectors, atol=1e-6)


@pytest.mark.parametrize("name", ["field.nii.gz", "affine.mat"])
def test_ants_reads_what_is_written(tmp_path, name):
    import ants

    from warpline.registration.baselines.ants_tools import ants_image

    field = AFFINE if name.endswith("mat") else smooth_field(FIXED)
    write_transform(tmp_path / name, field, "ants")
    path = os.fspath(tmp_path / name)
    points = world(FIXED, INNER)
    np.testing.assert_allclose(ants_points(points, [path], [False]), moved(field, INNER), atol=1e-3)
    image = smooth_image(FIXED, sigma=3)
    theirs = ants.apply_transforms(ants_image(image), ants_image(image), [path], "linear")
    inside = (slice(1, -1),) * 3
    # Beyond the image ANTs takes 0; look where the field stays on it.
    index = FIXED.physical_to_index(FIXED.index_to_physical(FIXED.indices()) + field.vectors)
    stays = ((index > 0) & (index < np.array(FIXED.shape) - 1)).all(axis=-1)[inside]
    assert stays.mean() > 0.1
    difference = theirs.numpy().transpose(2, 1, 0) - field.warp_image(image).array
    assert np.abs(difference[inside][stays]).max() < 1e-3


# --- elastix ------------------------------------------------------------------------------------

HEAD = """\
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Size {size})
(Index 0 0 0)
(Spacing {spacing})
(Origin {origin})
(Direction {direction})
(UseDirectionCosines "true")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
(DefaultPixelValue 0)
(ResultImageFormat "nii.gz")
(ResultImagePixelType "float")
(HowToCombineTransforms "{how}")
(InitialTransformParameterFileName "{initial}")
"""


def text(values) -> str:
    return " ".join(f"{value:.15g}" for value in np.ravel(values))


def head(grid: Grid, initial="NoInitialTransform", how="Compose") -> str:
    # elastix writes the columns of the direction.
    return HEAD.format(
        size=text(grid.shape[::-1]),
        spacing=text(grid.spacing),
        origin=text(grid.origin),
        direction=text(np.reshape(grid.direction, (3, 3)).T),
        initial=initial,
        how=how,
    )


def elastix_affine() -> str:
    centre = np.array([1.0, 2.0, 3.0])
    shift = LPS[:3, 3] + LPS[:3, :3] @ centre - centre
    return (
        '(Transform "AffineTransform")\n(NumberOfParameters 12)\n'
        f"(TransformParameters {text(LPS[:3, :3])} {text(shift)})\n"
        f"(CenterOfRotationPoint {text(centre)})\n"
    )


def elastix_spline(seed=1, kind="BSplineTransform") -> str:
    """Cubic B-splines on a grid that is turned as the image is and reaches beyond it."""
    spacing = np.multiply(FIXED.spacing, 4.0)
    size = [7, 7, 7]
    direction = np.reshape(FIXED.direction, (3, 3))
    origin = np.array(FIXED.origin) - direction @ (1.5 * spacing)
    values = np.random.default_rng(seed).uniform(-2, 2, 3 * 7**3)
    return (
        f'(Transform "{kind}")\n(NumberOfParameters {values.size})\n'
        f"(TransformParameters {text(values)})\n"
        f"(GridSize {text(size)})\n(GridIndex 0 0 0)\n(GridSpacing {text(spacing)})\n"
        f"(GridOrigin {text(origin)})\n(GridDirection {text(direction.T)})\n"
        '(BSplineTransformSplineOrder 3)\n(UseCyclicTransform "false")\n'
    )


OTHERS = {
    "Euler": "(TransformParameters 0.1 -0.2 0.15 3 -5 7)\n(CenterOfRotationPoint 1 2 3)\n"
    '(ComputeZYX "{zyx}")\n(NumberOfParameters 6)\n',
    "Similarity": "(TransformParameters 0.05 -0.1 0.08 3 -5 7 1.1)\n"
    "(CenterOfRotationPoint 1 2 3)\n(NumberOfParameters 7)\n",
    "Translation": "(TransformParameters 3 -5 7)\n(NumberOfParameters 3)\n",
}


def transformix(files: list, grid: Grid) -> np.ndarray:
    """The field that elastix' own program makes of its files, (z, y, x, 3) in mm."""
    pytest.importorskip("itk")
    from warpline.fields.elastix import parameter_object, run_transformix

    parameters = parameter_object()
    for file in files:
        parameters.AddParameterFile(os.fspath(file))
    # The object ignores the names of initial files: what comes before is what was added before.
    return run_transformix(grid, parameters, files[0].parent)[0]


@pytest.mark.tool("elastix")
@pytest.mark.parametrize("how", ["Compose", "Add"])
def test_elastix_chains_as_transformix_reads_them(tmp_path, how):
    first, last = tmp_path / "TransformParameters.0.txt", tmp_path / "TransformParameters.1.txt"
    first.write_text(elastix_affine() + head(FIXED))
    # The name is that of the folder where elastix ran.
    named = "/elsewhere/TransformParameters.0.txt"
    last.write_text(elastix_spline() + head(FIXED, named, how))
    field = read_transform(last, "elastix")
    assert field.grid.close_to(FIXED)
    last.write_text(elastix_spline() + head(FIXED, os.fspath(first), how))
    theirs = transformix([first, last], FIXED)
    assert np.abs(theirs - AFFINE.vectors).max() > 0.3
    np.testing.assert_allclose(field.vectors, theirs, atol=1e-3)


@pytest.mark.tool("elastix")
def test_other_transforms_of_elastix(tmp_path):
    for name, content in OTHERS.items():
        for zyx in ("false", "true") if name == "Euler" else ("",):
            path = tmp_path / f"{name}{zyx}.txt"
            said = content.format(zyx=zyx) if zyx else content
            path.write_text(f'(Transform "{name}Transform")\n{said}' + head(FIXED))
            field = read_transform(path, "elastix", FIXED)
            np.testing.assert_allclose(field.vectors, transformix([path], FIXED), atol=1e-3)
    path.write_text(elastix_spline(2, "RecursiveBSplineTransform") + head(FIXED))
    field = read_transform(path, "elastix", FIXED)
    np.testing.assert_allclose(field.vectors, transformix([path], FIXED), atol=1e-3)


@pytest.mark.tool("elastix")
@pytest.mark.parametrize("field", [AFFINE, smooth_field(FIXED)], ids=["affine", "field"])
def test_transformix_reads_what_is_written(tmp_path, field):
    path = tmp_path / "TransformParameters.0.txt"
    written = write_transform(path, field, "elastix")
    assert len(written) == (1 if field is AFFINE else 2)
    inner = (slice(1, -1),) * 3
    theirs = transformix([path], FIXED)
    np.testing.assert_allclose(theirs[inner], field.vectors[inner], atol=1e-3)
    back = read_transform(path, "elastix")
    np.testing.assert_allclose(back.vectors[inner], field.vectors[inner], atol=1e-3)


def test_the_grid_of_elastix_may_begin_at_another_index(tmp_path):
    path = tmp_path / "TransformParameters.0.txt"
    shift = '(Transform "TranslationTransform")\n' + OTHERS["Translation"]
    path.write_text(shift + head(FIXED).replace("(Index 0 0 0)", "(Index 1 2 3)"))
    field = read_transform(path, "elastix")
    np.testing.assert_allclose(field.grid.origin, world(FIXED, np.array([[1, 2, 3]]))[0])
    np.testing.assert_allclose(field.vectors[2, 3, 4], (3, -5, 7), atol=1e-5)


def test_wrong_files_of_elastix(tmp_path):
    path = tmp_path / "TransformParameters.0.txt"
    path.write_text("(MaximumNumberOfIterations 100)\n")
    with pytest.raises(WarplineError, match="holds no transform"):
        read_transform(path, "elastix", FIXED)
    path.write_text(elastix_affine() + head(FIXED, "gone.txt"))
    with pytest.raises(WarplineError, match=r"begins with 'gone\.txt', which is not there"):
        read_transform(path, "elastix", FIXED)
    path.write_text(elastix_affine() + head(FIXED, path.name))
    with pytest.raises(WarplineError, match="begin with one another"):
        read_transform(path, "elastix", FIXED)
    path.write_text('(Transform "SplineKernelTransform")\n' + head(FIXED))
    with pytest.raises(WarplineError, match="transformix -def all"):
        read_transform(path, "elastix", FIXED)
    path.write_text(
        elastix_affine()
        .replace("12)", "12)")
        .replace("(TransformParameters ", "(TransformParameters 1 ")
        + head(FIXED)
    )
    with pytest.raises(WarplineError, match="has 13 values"):
        read_transform(path, "elastix", FIXED)
