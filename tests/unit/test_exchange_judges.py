"""What a program, or its makers' own library, says of files that warpline reads and writes.

None of them is among the project's own: each test runs where its program is found (NiftyReg's by
the ``PATH``) and is skipped elsewhere. docs/exchange.md tells how they were run. Grids are oblique,
anisotropic and unlike each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from exchangetools import FIXED, LPS, MOVING, RAS, left_handed, moved, voxels, world
from fieldtools import smooth_field, smooth_image
from scipy import ndimage

from warpline.fields.exchange import read_transform, write_transform
from warpline.fields.exchange.points import read_points, write_points
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image

HANDS = [(f, m) for f in (FIXED, left_handed(FIXED)) for m in (MOVING, left_handed(MOVING))]
FLIP = np.array([-1.0, -1.0, 1.0])  # LPS to RAS and back


def bent(fixed: Grid, moving: Grid) -> DisplacementField:
    """A smooth field that is no affine map, and ends within the moving image."""
    field = smooth_field(fixed, 2.0)
    shift = moving.index_to_physical((np.array(moving.shape) - 1) / 2)
    shift = shift - fixed.index_to_physical((np.array(fixed.shape) - 1) / 2)
    return DisplacementField((field.vectors + shift).astype(np.float32), fixed)


def alike(ours: np.ndarray, theirs: np.ndarray, field: DisplacementField, moving: Grid) -> None:
    """Two warped images (z, y, x), where the field ends within the moving image."""
    index = moving.physical_to_index(
        field.grid.index_to_physical(field.grid.indices()) + field.vectors
    )
    within = ((index > 0.01) & (index < np.array(moving.shape) - 1.01)).all(-1)
    assert within.sum() > 100
    np.testing.assert_allclose(ours[within], theirs[within], atol=1e-3)


def images(folder: Path, fixed: Grid, moving: Grid) -> tuple[Path, Path]:
    paths = folder / "fixed.nii.gz", folder / "moving.nii.gz"
    for path, grid in zip(paths, (fixed, moving), strict=True):
        write_image(path, smooth_image(grid))
    return paths


# --- NiftyReg -----------------------------------------------------------------------------------


def niftyreg(name: str, *words: object) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"NiftyReg's {name} is not among the programs of the PATH")
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def deformation(path: Path, reference: Path, folder: Path) -> np.ndarray:
    """Where reg_transform says that voxels (i, j, k) of the reference go, mm, LPS."""
    niftyreg("reg_transform", "-ref", reference, "-def", path, folder / "def.nii")
    return np.squeeze(np.asarray(nibabel.load(folder / "def.nii").dataobj)) * FLIP


def same(field: DisplacementField, theirs: np.ndarray) -> None:
    ijk = field.grid.indices().reshape(-1, 3)[:, ::-1]
    ours = moved(field, ijk)
    np.testing.assert_allclose(ours, theirs[tuple(ijk.T)], atol=1e-3)


@pytest.mark.parametrize(("fixed", "moving"), HANDS)
def test_niftyreg_takes_what_is_written(tmp_path, fixed, moving):
    field, (reference, floating) = bent(fixed, moving), images(tmp_path, fixed, moving)
    write_transform(tmp_path / "ours.nii.gz", field, "niftyreg")
    same(field, deformation(tmp_path / "ours.nii.gz", reference, tmp_path))
    niftyreg(
        "reg_resample", "-ref", reference, "-flo", floating, "-trans", tmp_path / "ours.nii.gz",
        "-res", tmp_path / "res.nii.gz", "-inter", 1, "-pad", 0,
    )  # fmt: skip
    theirs = read_image(tmp_path / "res.nii.gz").array
    ours = field.warp_image(read_image(floating))
    alike(ours.array, theirs, field, moving)


@pytest.mark.parametrize(("fixed", "moving"), HANDS)
def test_niftyreg_own_files(tmp_path, fixed, moving):
    """A matrix; its displacements and positions, as reg_transform writes them."""
    reference, _ = images(tmp_path, fixed, moving)
    np.savetxt(tmp_path / "affine.txt", RAS)
    theirs = deformation(tmp_path / "affine.txt", reference, tmp_path)
    same(read_transform(tmp_path / "affine.txt", "niftyreg", fixed), theirs)
    same(read_transform(tmp_path / "def.nii", "niftyreg"), theirs)
    bend = tmp_path / "bent.nii.gz"
    write_transform(bend, bent(fixed, moving), "niftyreg")
    niftyreg("reg_transform", "-ref", reference, "-disp", bend, tmp_path / "disp.nii")
    same(read_transform(tmp_path / "disp.nii", "niftyreg"), deformation(bend, reference, tmp_path))


def test_niftyreg_registration(tmp_path):
    """The control points that reg_f3d finds, and where it says that points go."""
    fixed = FIXED
    grid = Grid((36, 44, 40), tuple(np.divide(fixed.spacing, 2)), fixed.origin, fixed.direction)
    first = smooth_image(grid)
    second = Image(ndimage.shift(first.array, (0.8, -1.3, 1.1), mode="nearest"), grid)
    for name, image in (("fixed", first), ("moving", second)):
        write_image(tmp_path / f"{name}.nii.gz", image)
    reference = tmp_path / "fixed.nii.gz"
    niftyreg(
        "reg_f3d", "-ref", reference, "-flo", tmp_path / "moving.nii.gz", "-cpp",
        tmp_path / "cpp.nii", "-res", tmp_path / "res.nii.gz", "-ln", 1, "-maxit", 20, "-sx", -4,
        "-voff",
    )  # fmt: skip
    field = read_transform(tmp_path / "cpp.nii", "niftyreg", grid)
    assert np.abs(field.vectors).max() > 0.1
    same(field, deformation(tmp_path / "cpp.nii", reference, tmp_path))


# --- FSL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fixed", "moving"), HANDS)
def test_fsl_own_library(tmp_path, fixed, moving):
    fnirt = pytest.importorskip("fsl.transform.fnirt", reason="FSL's library fslpy is not here")
    flirt = pytest.importorskip("fsl.transform.flirt")
    from fsl.data.image import Image as FslImage

    paths = images(tmp_path, fixed, moving)
    reference, source = (FslImage(os.fspath(path)) for path in paths)
    ijk = voxels(fixed)
    starts = world(fixed, ijk) * FLIP
    field = bent(fixed, moving)
    write_transform(tmp_path / "warp.nii.gz", field, "fsl", moving)
    warp = fnirt.readFnirt(os.fspath(tmp_path / "warp.nii.gz"), source, reference)
    ends = warp.transform(starts, "world", "world") * FLIP
    np.testing.assert_allclose(moved(field, ijk), ends, atol=1e-3)
    same_ = read_transform(tmp_path / "warp.nii.gz", "fsl", None, moving)
    np.testing.assert_allclose(moved(same_, ijk), ends, atol=1e-3)
    # The matrix that FSL's library makes of a map of the world, from moving to fixed.
    matrix = flirt.toFlirt(np.linalg.inv(RAS), source, reference, "world", "world")
    flirt.writeFlirt(matrix, os.fspath(tmp_path / "flirt.mat"))
    found = read_transform(tmp_path / "flirt.mat", "fsl", fixed, moving)
    np.testing.assert_allclose(
        moved(found, ijk), moved(DisplacementField.from_matrix(LPS, fixed), ijk), atol=1e-3
    )


# --- AFNI ---------------------------------------------------------------------------------------


def test_afni_matrices_by_nitransforms(tmp_path):
    pytest.importorskip("h5py", reason="nitransforms, which reads AFNI's matrices, is not here")
    linear = pytest.importorskip("nitransforms.linear", reason="nitransforms is not here")
    fixed, moving = images(tmp_path, FIXED, MOVING)
    field = DisplacementField.from_matrix(LPS, FIXED)
    write_transform(tmp_path / "a.aff12.1D", field, "afni", MOVING)
    theirs = linear.load(
        os.fspath(tmp_path / "a.aff12.1D"),
        fmt="afni",
        reference=os.fspath(fixed),
        moving=os.fspath(moving),
    )
    ijk = voxels(FIXED)
    ends = theirs.map(world(FIXED, ijk) * FLIP) * FLIP
    np.testing.assert_allclose(moved(field, ijk), ends, atol=1e-3)
    found = read_transform(tmp_path / "a.aff12.1D", "afni", FIXED, MOVING)
    np.testing.assert_allclose(moved(found, ijk), ends, atol=1e-3)


# --- Learn2Reg and VoxelMorph -------------------------------------------------------------------


def test_learn2reg_as_the_challenge_warps(tmp_path):
    """Its evaluation: ``map_coordinates(moving, identity + displacements)`` in voxels."""
    field, moving = bent(FIXED, MOVING), smooth_image(MOVING)
    write_transform(tmp_path / "disp_0001_0002.nii.gz", field, "learn2reg", MOVING)
    steps = np.moveaxis(nibabel.load(tmp_path / "disp_0001_0002.nii.gz").get_fdata(), -1, 0)
    identity = np.stack(np.meshgrid(*map(np.arange, FIXED.shape[::-1]), indexing="ij"))
    array = moving.array.transpose(2, 1, 0)
    theirs = ndimage.map_coordinates(array, identity + steps, order=1, mode="nearest")
    alike(field.warp_image(moving).array, theirs.transpose(2, 1, 0), field, MOVING)


def test_voxelmorph_as_its_package_warps(tmp_path):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip(
        "voxelmorph.nn.functional", reason="the package voxelmorph is not here"
    )
    field, moving = bent(FIXED, FIXED), smooth_image(FIXED)
    write_transform(tmp_path / "warp.npz", field, "voxelmorph", FIXED)
    warp = np.moveaxis(np.load(tmp_path / "warp.npz")["warp"], -1, 0).astype(np.float32)
    array = np.ascontiguousarray(moving.array.transpose(2, 1, 0)).astype(np.float32)
    theirs = functional.spatial_transform(
        torch.from_numpy(array)[None, None], torch.from_numpy(warp)
    )
    alike(field.warp_image(moving).array, theirs.squeeze().numpy().transpose(2, 1, 0), field, FIXED)


# --- 3D Slicer ----------------------------------------------------------------------------------


@pytest.fixture
def slicer():
    return pytest.importorskip("slicer_core", reason="3D Slicer's library slicer-core is not here")


def kept(slicer, node: str, storage: str, path: Path, how: str, made=None):
    """A node of 3D Slicer that reads a file, or `made`, which writes it."""
    scene = slicer.vtkMRMLScene()
    found = made or getattr(slicer, f"vtkMRML{node}Node")()
    door = getattr(slicer, f"vtkMRML{storage}StorageNode")()
    scene.AddNode(found)
    scene.AddNode(door)
    door.SetFileName(os.fspath(path))
    assert getattr(door, f"{how}Data")(found)
    return found


@pytest.mark.parametrize("name", ["field.h5", "field.nrrd", "field.nii.gz", "affine.tfm"])
def test_slicer_takes_what_is_written(tmp_path, slicer, name):
    """The moving image lies under the node: from its parent is from fixed to moving points."""
    affine = DisplacementField.from_matrix(LPS, FIXED)
    field = affine if name.startswith("affine") else bent(FIXED, MOVING)
    write_transform(tmp_path / name, field, "slicer", MOVING)
    node = kept(slicer, "Transform", "Transform", tmp_path / name, "Read")
    ijk = voxels(FIXED)
    theirs = [node.GetTransformFromParent().TransformPoint(p) for p in world(FIXED, ijk) * FLIP]
    np.testing.assert_allclose(moved(field, ijk), theirs * FLIP, atol=1e-3)


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_slicer_own_files(tmp_path, slicer, suffix):
    """A matrix, and a field under it, as 3D Slicer writes its nodes."""
    vtk = pytest.importorskip("vtk")
    write_transform(tmp_path / "field.h5", smooth_field(FIXED, 2.0), "slicer", MOVING)
    node = kept(slicer, "Transform", "Transform", tmp_path / "field.h5", "Read")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(RAS.ravel().tolist())
    linear, both = vtk.vtkTransform(), vtk.vtkGeneralTransform()
    linear.SetMatrix(matrix)
    both.Concatenate(linear)
    both.Concatenate(node.GetTransformFromParent())
    ijk = voxels(FIXED)
    for name, transform in (("linear", linear), ("both", both)):
        made = slicer.vtkMRMLTransformNode()
        made.SetAndObserveTransformFromParent(transform)
        kept(slicer, "", "Transform", tmp_path / f"{name}{suffix}", "Write", made)
        found = read_transform(tmp_path / f"{name}{suffix}", "slicer", FIXED)
        theirs = [transform.TransformPoint(p) for p in world(FIXED, ijk) * FLIP]
        np.testing.assert_allclose(moved(found, ijk), theirs * FLIP, atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "storage"), [(".mrk.json", "MarkupsJson"), (".fcsv", "MarkupsFiducial")]
)
def test_slicer_points(tmp_path, slicer, suffix, storage):
    points = world(FIXED, voxels(FIXED))[:5]
    names = ["a", "b c", "d", "ä", "7"]
    made = slicer.vtkMRMLMarkupsFiducialNode()
    for name, point in zip(names, points, strict=True):
        made.AddControlPoint(point * FLIP, name)
    kept(slicer, "", storage, tmp_path / f"theirs{suffix}", "Write", made)
    found = read_points(tmp_path / f"theirs{suffix}")
    assert list(found.ids) == names
    np.testing.assert_allclose(found.values, points, atol=1e-3)
    write_points(tmp_path / f"ours{suffix}", names, points)
    back = kept(slicer, "MarkupsFiducial", storage, tmp_path / f"ours{suffix}", "Read")
    theirs = [back.GetNthControlPointPosition(k) for k in range(len(names))]
    np.testing.assert_allclose(theirs * FLIP, points, atol=1e-3)
    assert [back.GetNthControlPointLabel(k) for k in range(len(names))] == names
