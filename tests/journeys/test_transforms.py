"""Twelve kinds of transforms, by the command alone: points and an image go where they should.

The answer is that of the program itself (ANTs, SimpleITK, transformix) where it is among the
libraries, else the map of which its file was made by hand. Grids are oblique, anisotropic and
unlike each other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from exchangetools import FIXED, LPS, MOVING, RAS, apply, ras_affine, voxels_of_ras
from fieldtools import smooth_field

from warpline.cli.main import main
from warpline.fields.exchange.points import read_points, write_points
from warpline.fields.io import write_field
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

STRAIGHT = Grid((9, 11, 10), (0.8, 1.3, 2.1), (-20.0, 30.0, 11.0))
NORMAL = np.array([0.5, -1.0, 2.0])  # of the image, a linear function of the place


def around(fixed: Grid, direction: tuple[float, ...]) -> Grid:
    """A moving image's grid that holds all to which the maps take the fixed one."""
    middle = fixed.index_to_physical((np.array(fixed.shape) - 1) / 2)
    centre, spacing = apply(LPS, [middle])[0], np.array([1.0, 1.1, 1.2])
    origin = centre - np.reshape(direction, (3, 3)) @ (spacing * 29.5)
    return Grid((60, 60, 60), tuple(spacing), tuple(origin), direction)


def plane(places: np.ndarray) -> np.ndarray:
    return places @ NORMAL


@dataclass(frozen=True)
class Told:
    """What a program says: where points go, and what the moving image is on the fixed grid."""

    files: list[Path]
    points: Callable[[np.ndarray], np.ndarray]
    image: Callable[[Image, Grid], np.ndarray] | None = None


def known(points: np.ndarray) -> np.ndarray:
    return apply(LPS, points)


def each(grid: Grid, value: Callable) -> np.ndarray:
    size = grid.shape[::-1]
    return np.array([value(np.array(i, float)) for i in np.ndindex(*size)]).reshape(*size, 3)


def there(ijk: np.ndarray, grid: Grid) -> np.ndarray:
    """The moving point, mm, RAS, of a voxel."""
    return (RAS @ ras_affine(grid) @ [*ijk, 1])[:3]


def nifti(path: Path, array: np.ndarray, grid: Grid) -> Path:
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), ras_affine(grid)), path)
    return path


# The programs that are here ---------------------------------------------------------------------


def affine() -> sitk.AffineTransform:
    return sitk.AffineTransform(LPS[:3, :3].ravel().tolist(), LPS[:3, 3].tolist())


def of_sitk(path: Path, transform: sitk.Transform) -> Told:
    sitk.WriteTransform(transform, os.fspath(path))
    read = sitk.ReadTransform(os.fspath(path))

    def image(moving: Image, fixed: Grid) -> np.ndarray:
        like = to_sitk(Image(np.zeros(fixed.shape, np.float32), fixed))
        return sitk.GetArrayFromImage(sitk.Resample(to_sitk(moving), like, read, sitk.sitkLinear))

    points = [path]
    return Told(points, lambda x: np.array([read.TransformPoint(p) for p in x.tolist()]), image)


def euler(folder: Path, fixed: Grid, moving: Grid) -> Told:
    turn = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.15, LPS[:3, 3].tolist())
    return of_sitk(folder / "rigid.tfm", turn)


def spline(folder: Path, fixed: Grid, moving: Grid) -> Told:
    like = to_sitk(Image(np.zeros(fixed.shape, np.float32), fixed))
    transform = sitk.BSplineTransformInitializer(like, (3, 3, 3))
    number = len(transform.GetParameters())
    transform.SetParameters(np.random.default_rng(2).uniform(-2, 2, number).tolist())
    both = sitk.CompositeTransform([affine(), transform])
    return of_sitk(folder / "spline.h5", both)


def ants_of(files: list[Path], given: list[Path]) -> Told:
    import ants
    import pandas as pd

    from warpline.registration.baselines.ants_tools import ants_image

    names = list(map(os.fspath, files))

    def points(x: np.ndarray) -> np.ndarray:
        table = pd.DataFrame(x, columns=["x", "y", "z"])
        return ants.apply_transforms_to_points(3, table, names)[["x", "y", "z"]].to_numpy()

    def image(moving: Image, fixed: Grid) -> np.ndarray:
        like = ants_image(Image(np.zeros(fixed.shape, np.float32), fixed))
        return ants.apply_transforms(like, ants_image(moving), names, "linear").numpy().T

    return Told(given, points, image)


def ants_affine(folder: Path, fixed: Grid, moving: Grid) -> Told:
    path = folder / "0GenericAffine.mat"
    sitk.WriteTransform(affine(), os.fspath(path))
    return ants_of([path], [path])


def ants_both(folder: Path, fixed: Grid, moving: Grid) -> Told:
    warp, matrix = folder / "out_1Warp.nii.gz", folder / "out_0GenericAffine.mat"
    write_field(warp, smooth_field(fixed))
    sitk.WriteTransform(affine(), os.fspath(matrix))
    return ants_of([warp, matrix], [folder / "out_"])


def slicer(folder: Path, fixed: Grid, moving: Grid) -> Told:
    from warpline.fields.io import to_sitk_transform

    field = to_sitk_transform(smooth_field(fixed, seed=4))
    return of_sitk(folder / "warp.h5", sitk.CompositeTransform([affine(), field]))


def text(values: np.ndarray) -> str:
    return " ".join(f"{value:.15g}" for value in np.ravel(values))


def elastix(folder: Path, fixed: Grid, moving: Grid) -> Told:
    centre = np.array([1.0, 2.0, 3.0])
    shift = LPS[:3, 3] + LPS[:3, :3] @ centre - centre
    path = folder / "TransformParameters.0.txt"
    path.write_text(
        '(Transform "AffineTransform")\n(NumberOfParameters 12)\n'
        f"(TransformParameters {text(LPS[:3, :3])} {text(shift)})\n"
        f"(CenterOfRotationPoint {text(centre)})\n"
        '(InitialTransformParameterFileName "NoInitialTransform")\n'
        '(HowToCombineTransforms "Compose")\n(FixedImageDimension 3)\n(MovingImageDimension 3)\n'
        '(FixedInternalImagePixelType "float")\n(MovingInternalImagePixelType "float")\n'
        f"(Size {text(fixed.shape[::-1])})\n(Index 0 0 0)\n(Spacing {text(fixed.spacing)})\n"
        f"(Origin {text(fixed.origin)})\n"
        f"(Direction {text(np.reshape(fixed.direction, (3, 3)).T)})\n"
        '(UseDirectionCosines "true")\n(ResampleInterpolator "FinalLinearInterpolator")\n'
        '(Resampler "DefaultResampler")\n(DefaultPixelValue 0)\n(ResultImagePixelType "float")\n'
    )

    def parameters():
        from warpline.fields.elastix import parameter_object

        result = parameter_object()
        result.AddParameterFile(os.fspath(path))
        return result

    def image(moving: Image, grid: Grid) -> np.ndarray:
        import itk
        from itk.itkTransformixFilterPython import itkTransformixFilterIF3

        from warpline.fields.elastix import to_itk

        program = itkTransformixFilterIF3.New(
            to_itk(moving),
            transform_parameter_object=parameters(),
            output_directory=os.fspath(folder),
        )
        program.UpdateLargestPossibleRegion()
        return itk.array_from_image(program.GetOutput())

    def points(x: np.ndarray) -> np.ndarray:
        from warpline.fields.elastix import run_transformix

        field, _ = run_transformix(fixed, parameters(), folder)
        index = np.rint(fixed.physical_to_index(x)).astype(int)
        return x + field[tuple(index.T)]

    return Told([path], points, image)


# The others, by hand ----------------------------------------------------------------------------


def flirt(folder: Path, fixed: Grid, moving: Grid) -> Told:
    """From moving to fixed, in voxels times spacing, x turned where the affine is right-handed."""

    def fsl(grid: Grid) -> np.ndarray:
        scaled = np.diag([*grid.spacing, 1.0])
        if np.linalg.det(ras_affine(grid)[:3, :3]) > 0:
            turn = np.diag([-1.0, 1, 1, 1])
            turn[0, 3] = (grid.shape[2] - 1) * grid.spacing[0]
            scaled = turn @ scaled
        return scaled @ voxels_of_ras(grid)

    matrix = fsl(fixed) @ np.linalg.inv(RAS) @ np.linalg.inv(fsl(moving))
    np.savetxt(folder / "flirt.mat", matrix, fmt="%.12f")
    return Told([folder / "flirt.mat"], known)


def niftyreg(folder: Path, fixed: Grid, moving: Grid) -> Told:
    np.savetxt(folder / "affine.txt", RAS, fmt="%.12f")
    return Told([folder / "affine.txt"], known)


def spm(folder: Path, fixed: Grid, moving: Grid) -> Told:
    array = each(fixed, lambda i: there(i, fixed))[:, :, :, None]
    return Told([nifti(folder / "y_a.nii", array, fixed)], known)


def afni(folder: Path, fixed: Grid, moving: Grid) -> Told:
    (folder / "a.aff12.1D").write_text(text(LPS[:3]))
    return Told([folder / "a.aff12.1D"], known)


def steps(fixed: Grid, moving: Grid) -> np.ndarray:
    """Voxels of the moving image from the fixed voxel of the same index."""
    return each(fixed, lambda i: (voxels_of_ras(moving) @ [*there(i, fixed), 1])[:3] - i)


def learn2reg(folder: Path, fixed: Grid, moving: Grid) -> Told:
    path = folder / "disp_0001_0002.nii.gz"
    return Told([nifti(path, steps(fixed, moving), Grid(fixed.shape))], known)


def voxelmorph(folder: Path, fixed: Grid, moving: Grid) -> Told:
    np.savez(folder / "warp.npz", warp=steps(fixed, moving).astype(np.float32))
    return Told([folder / "warp.npz"], known)


KINDS = {
    "ants, affine": (ants_affine, "ants"),
    "ants, warp and affine": (ants_both, "ants"),
    "itk, rigid": (euler, "itk"),
    "itk, B-spline and affine": (spline, "itk"),
    "slicer, field and affine": (slicer, "slicer"),
    "elastix": (elastix, "elastix"),
    "fsl, flirt": (flirt, "fsl"),
    "niftyreg": (niftyreg, "niftyreg"),
    "spm": (spm, "spm"),
    "afni": (afni, "afni"),
    "learn2reg": (learn2reg, "learn2reg"),
    "voxelmorph": (voxelmorph, "voxelmorph"),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=pytest.mark.tool("elastix")) if k == "elastix" else k for k in KINDS],
)
def test_points_and_images_go_where_the_program_says(kind, tmp_path):
    make, program = KINDS[kind]
    fixed = STRAIGHT if program == "afni" else FIXED
    moving = around(fixed, STRAIGHT.direction if program == "afni" else MOVING.direction)
    image = Image(plane(moving.index_to_physical(moving.indices())).astype(np.float32), moving)
    write_image(tmp_path / "fixed.nii.gz", Image(np.zeros(fixed.shape, np.float32), fixed))
    write_image(tmp_path / "moving.nii.gz", image)
    told = make(tmp_path, fixed, moving)
    inner = fixed.indices()[2:-2, 2:-2, 2:-2].reshape(-1, 3)[::7]
    starts = fixed.index_to_physical(inner)
    ends = told.points(starts)
    names = [f"p{k}" for k in range(len(starts))]
    write_points(tmp_path / "fixed.csv", names, starts)
    write_points(tmp_path / "moving.csv", names, ends)
    common = [*told.files, "--from", program, "--fixed", tmp_path / "fixed.nii.gz"]
    common += ["--moving", tmp_path / "moving.nii.gz"]

    def brought(*arguments: object, to: str) -> Path:
        words = ["apply", *common, *arguments, "-o", tmp_path / to]
        done = CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return tmp_path / to

    to_moving = brought("--inverse", "--points", tmp_path / "fixed.csv", to="a.csv")
    np.testing.assert_allclose(read_points(to_moving).values, ends, atol=2e-3)
    to_fixed = brought("--points", tmp_path / "moving.csv", to="b.csv")
    np.testing.assert_allclose(read_points(to_fixed).values, starts, atol=5e-3)
    warped = read_image(brought("--image", tmp_path / "moving.nii.gz", to="warped.nii.gz"))
    assert warped.grid.close_to(fixed)
    where = tuple(inner.T)
    theirs = plane(ends) if told.image is None else told.image(image, fixed)[where]
    np.testing.assert_allclose(warped.array[where], theirs, atol=1e-2)
