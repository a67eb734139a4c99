"""Transforms of programs that do not use ITK: files made by hand of a map that is known.

Every file is made voxel by voxel of the map in RAS and of the images' NIfTI affines, in the
program's own coordinates; grids are oblique, anisotropic and unlike each other.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from exchangetools import (
    FIXED,
    LPS,
    MOVING,
    RAS,
    apply,
    left_handed,
    moved,
    ras_affine,
    voxels,
    voxels_of_ras,
    world,
)
from fieldtools import smooth_field
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from warpline.errors import WarplineError
from warpline.fields.exchange import read_transform, write_transform
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

PLUMB = Grid((9, 11, 10), (0.8, 1.3, 2.1), (-20.0, 30.0, 11.0), (1, 0, 0, 0, 0, -1, 0, 1, 0))
PLUMB_MOVING = Grid((8, 9, 7), (1.1, 0.9, 1.7), (5.0, -3.0, 2.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
HANDS = [(f, m) for f in (FIXED, left_handed(FIXED)) for m in (MOVING, left_handed(MOVING))]


def check(field: DisplacementField, grid: Grid, matrix=LPS) -> None:
    """That a field is the known map."""
    assert field.grid.close_to(grid)
    ijk = voxels(grid)
    np.testing.assert_allclose(moved(field, ijk), apply(matrix, world(grid, ijk)), atol=1e-3)


def each(grid: Grid, value) -> np.ndarray:
    """(i, j, k, 3): a function of (i, j, k) at each voxel."""
    size = grid.shape[::-1]
    return np.array([value(np.array(ijk, float)) for ijk in np.ndindex(*size)]).reshape(*size, 3)


def target(ijk: np.ndarray, grid: Grid) -> np.ndarray:
    """The moving point (mm, RAS) of a fixed voxel."""
    return (RAS @ ras_affine(grid) @ [*ijk, 1])[:3]


def index_of(point: np.ndarray, grid: Grid) -> np.ndarray:
    return (voxels_of_ras(grid) @ [*point, 1])[:3]


def save(path: Path, array: np.ndarray, grid: Grid, code=0, name="", p1=0.0) -> Path:
    image = nibabel.Nifti1Image(array.astype(np.float32), ras_affine(grid))
    image.header["intent_code"] = code
    image.header["intent_name"] = name.encode()
    image.header["intent_p1"] = p1
    nibabel.save(image, path)
    return path


# --- FSL ----------------------------------------------------------------------------------------


def fsl_point(ijk: np.ndarray, grid: Grid) -> np.ndarray:
    """FSL's coordinates of a voxel: the first axis is turned where the affine is right-handed."""
    i, j, k = ijk
    if np.linalg.det(ras_affine(grid)[:3, :3]) > 0:
        i = grid.shape[2] - 1 - i
    return np.array([i, j, k]) * grid.spacing


@pytest.mark.parametrize(("fixed", "moving"), HANDS)
def test_flirt(tmp_path, fixed, moving):
    ijk = voxels(fixed)
    ends = np.array([fsl_point(index_of(target(i, fixed), moving), moving) for i in ijk])
    starts = np.array([fsl_point(i, fixed) for i in ijk])
    solved = np.linalg.lstsq(np.c_[ends, np.ones(len(ends))], starts, rcond=None)[0].T
    path = tmp_path / "flirt.mat"
    np.savetxt(path, [*solved.tolist(), [0, 0, 0, 1]], fmt="%.10f")
    check(read_transform(path, "fsl", fixed, moving), fixed)
    write_transform(
        tmp_path / "back.mat", read_transform(path, "fsl", fixed, moving), "fsl", moving
    )
    np.testing.assert_allclose(np.loadtxt(tmp_path / "back.mat")[:3], solved, atol=1e-4)


@pytest.mark.parametrize(("fixed", "moving"), HANDS)
def test_fnirt(tmp_path, fixed, moving):
    absolute = each(fixed, lambda i: fsl_point(index_of(target(i, fixed), moving), moving))
    relative = absolute - each(fixed, lambda i: fsl_point(i, fixed))
    for array in (absolute, relative):
        path = save(tmp_path / "warp.nii.gz", array, fixed, 2006)
        check(read_transform(path, "fsl", None, moving), fixed)
    write_transform(
        tmp_path / "back.nii.gz", read_transform(path, "fsl", fixed, moving), "fsl", moving
    )
    back = nibabel.load(tmp_path / "back.nii.gz")
    assert int(back.header["intent_code"]) == 2006
    np.testing.assert_allclose(np.asarray(back.dataobj), relative, atol=1e-3)


def test_what_fsl_needs_is_said(tmp_path):
    path = save(tmp_path / "coefficients.nii.gz", np.zeros((4, 4, 4, 3)), FIXED, 2007)
    with pytest.raises(WarplineError, match="coefficients of splines"):
        read_transform(path, "fsl", FIXED, MOVING)
    with pytest.raises(WarplineError, match="moving image is needed"):
        read_transform(path, "fsl", FIXED)


# --- NiftyReg and SPM ---------------------------------------------------------------------------


def test_niftyreg(tmp_path):
    there = each(FIXED, lambda i: target(i, FIXED))[:, :, :, None]
    here = each(FIXED, lambda i: (ras_affine(FIXED) @ [*i, 1])[:3])[:, :, :, None]
    for kind, array in ((0, there), (1, there - here)):
        path = save(tmp_path / "field.nii.gz", array, FIXED, 1007, "NREG_TRANS", kind)
        check(read_transform(path, "niftyreg"), FIXED)
    np.savetxt(tmp_path / "affine.txt", RAS)
    check(read_transform(tmp_path / "affine.txt", "niftyreg", FIXED), FIXED)
    write_transform(tmp_path / "back.txt", DisplacementField.from_matrix(LPS, FIXED), "niftyreg")
    np.testing.assert_allclose(np.loadtxt(tmp_path / "back.txt"), RAS, atol=1e-4)
    write_transform(tmp_path / "b.nii.gz", DisplacementField.from_matrix(LPS, FIXED), "niftyreg")
    back = nibabel.load(tmp_path / "b.nii.gz")
    assert back.shape == there.shape
    assert back.header["intent_name"].item() == b"NREG_TRANS"
    np.testing.assert_allclose(np.asarray(back.dataobj), there, atol=1e-3)
    path = save(tmp_path / "velocity.nii.gz", there, FIXED, 1007, "NREG_TRANS", 5)
    with pytest.raises(WarplineError, match="holds a spline of a velocity"):
        read_transform(path, "niftyreg", FIXED)


def test_niftyreg_control_points(tmp_path):
    """Cubic B-splines, summed by hand over 4 × 4 × 4 control points."""
    spacing = np.multiply(FIXED.spacing, 3.0)
    origin = world(FIXED, np.array([[-3, -3, -3]]))[0]
    control = Grid((8, 8, 8), tuple(spacing), tuple(origin), FIXED.direction)
    noise = np.random.default_rng(0).uniform(-2, 2, (8, 8, 8, 3))
    points = each(control, lambda i: target(i, control)) + noise
    path = save(tmp_path / "cpp.nii", points[:, :, :, None], control, 1007, "NREG_TRANS", 2)
    field = read_transform(path, "niftyreg", FIXED)

    def weights(t: float) -> np.ndarray:
        return (
            np.array(
                [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
            )
            / 6
        )

    for ijk in voxels(FIXED):
        place = (ijk + 3) / 3
        low = np.floor(place).astype(int)
        w = [weights(t) for t in place - low]
        block = points[tuple(slice(a - 1, a + 3) for a in low)]
        expected = np.einsum("i,j,k,ijkc->c", *w, block)
        np.testing.assert_allclose(moved(field, ijk[None])[0], expected * [-1, -1, 1], atol=1e-3)


def test_spm(tmp_path, caplog):
    there = each(FIXED, lambda i: target(i, FIXED))[:, :, :, None]
    path = save(tmp_path / "y_a.nii", there, FIXED)
    check(read_transform(path, "spm"), FIXED)
    write_transform(tmp_path / "y_b.nii", read_transform(path, "spm", FIXED), "spm")
    np.testing.assert_allclose(
        np.asarray(nibabel.load(tmp_path / "y_b.nii").dataobj), there, atol=1e-3
    )
    assert not caplog.records
    there[2, 3, 4] = np.nan
    field = read_transform(save(path, there, FIXED), "spm", FIXED)
    assert "1 of 990 voxels hold no finite numbers" in caplog.text
    ours, known = field.vectors[4, 3, 2], DisplacementField.from_matrix(LPS, FIXED).vectors
    around = known[3:6, 2:5, 1:4].reshape(-1, 3)
    assert np.abs(around - ours).max(axis=1).min() < 1e-3


# --- AFNI ---------------------------------------------------------------------------------------


def test_afni_warps_and_matrices(tmp_path):
    rows = LPS[:3].ravel()
    moves = each(PLUMB, lambda i: target(i, PLUMB) - (ras_affine(PLUMB) @ [*i, 1])[:3]) * [
        -1,
        -1,
        1,
    ]
    path = save(tmp_path / "a_WARP.nii.gz", moves[:, :, :, None], PLUMB)
    check(read_transform(path, "afni", None, PLUMB_MOVING), PLUMB)
    (tmp_path / "a.aff12.1D").write_text("# 3dAllineate matrices\n" + " ".join(map(str, rows)))
    check(read_transform(tmp_path / "a.aff12.1D", "afni", PLUMB, PLUMB_MOVING), PLUMB)
    write_transform(
        tmp_path / "b.1D", DisplacementField.from_matrix(LPS, PLUMB), "afni", PLUMB_MOVING
    )
    np.testing.assert_allclose(np.loadtxt(tmp_path / "b.1D"), rows, atol=1e-4)


def test_afni_leaves_out_obliquity(tmp_path):
    """The matrix is between frames in which both images lie straight, at their own origins."""
    rotation = Rotation.from_rotvec((0.1, -0.15, 0.2)).as_matrix()
    fixed, moving = (
        Grid(
            g.shape,
            g.spacing,
            g.origin,
            tuple((rotation @ np.reshape(g.direction, (3, 3))).ravel()),
        )
        for g in (PLUMB, PLUMB_MOVING)
    )
    ijk = voxels(fixed)
    straight = np.array([world(PLUMB, i[None])[0] for i in ijk])
    ends = np.array([index_of(target(i, fixed), moving) for i in ijk])
    straight_ends = np.array([world(PLUMB_MOVING, i[None])[0] for i in ends])
    rows = np.linalg.lstsq(np.c_[straight, np.ones(len(ijk))], straight_ends, rcond=None)[0].T
    (tmp_path / "a.1D").write_text(" ".join(f"{v:.10f}" for v in rows.ravel()))
    field = read_transform(tmp_path / "a.1D", "afni", fixed, moving)
    check(field, fixed)
    with pytest.raises(WarplineError, match="oblique"):
        write_transform(tmp_path / "b.nii.gz", field, "afni")
    save(tmp_path / "c.nii.gz", np.zeros((*fixed.shape[::-1], 1, 3)), fixed)
    with pytest.raises(WarplineError, match="3dWarp -deoblique"):
        read_transform(tmp_path / "c.nii.gz", "afni")


# --- voxels: Learn2Reg and VoxelMorph -----------------------------------------------------------

STEPS = each(FIXED, lambda i: index_of(target(i, FIXED), MOVING) - i)


def test_learn2reg(tmp_path):
    path = save(tmp_path / "disp_0001_0002.nii.gz", STEPS, Grid(FIXED.shape))
    check(read_transform(path, "learn2reg", FIXED, MOVING), FIXED)
    known = DisplacementField.from_matrix(LPS, FIXED)
    write_transform(tmp_path / "b.nii.gz", known, "learn2reg", MOVING)
    np.testing.assert_allclose(
        np.asarray(nibabel.load(tmp_path / "b.nii.gz").dataobj), STEPS, atol=1e-3
    )
    with pytest.raises(WarplineError, match="moving image is needed"):
        read_transform(path, "learn2reg", FIXED)


def test_voxelmorph(tmp_path):
    for name, array in (("warp", STEPS), ("vol", np.moveaxis(STEPS, -1, 0)[None])):
        np.savez(tmp_path / "warp.npz", **{name: array.astype(np.float32)})
        check(read_transform(tmp_path / "warp.npz", "voxelmorph", FIXED, MOVING), FIXED)
    path = save(tmp_path / "warp.nii.gz", STEPS, FIXED)
    check(read_transform(path, "voxelmorph", FIXED, MOVING), FIXED)
    known = DisplacementField.from_matrix(LPS, FIXED)
    write_transform(tmp_path / "b.npz", known, "voxelmorph", MOVING)
    np.testing.assert_allclose(np.load(tmp_path / "b.npz")["warp"], STEPS, atol=1e-3)
    # Half the resolution, corners on corners: lines stay lines.
    size = tuple((n + 1) // 2 for n in FIXED.shape[::-1])
    factor = [(n - 1) / (m - 1) for n, m in zip(FIXED.shape[::-1], size, strict=True)]
    coarse = np.array(
        [
            index_of(target(np.multiply(i, factor), FIXED), MOVING) - np.multiply(i, factor)
            for i in np.ndindex(*size)
        ]
    )
    np.savez(tmp_path / "half.npz", warp=coarse.reshape(*size, 3) / 2)
    check(read_transform(tmp_path / "half.npz", "voxelmorph", FIXED, MOVING), FIXED)
    np.savez(tmp_path / "wrong.npz", warp=np.zeros((4, 4, 4, 3)))
    with pytest.raises(WarplineError, match=r"size \(4, 4, 4\); the fixed image has"):
        read_transform(tmp_path / "wrong.npz", "voxelmorph", FIXED, MOVING)
    np.savez(tmp_path / "two.npz", a=STEPS, b=STEPS)
    with pytest.raises(WarplineError, match="Which array"):
        read_transform(tmp_path / "two.npz", "voxelmorph", FIXED, MOVING)


# --- 3D Slicer ----------------------------------------------------------------------------------


def test_slicer(tmp_path):
    numbers = " ".join(f"{v:.12g}" for v in (*LPS[:3, :3].ravel(), *LPS[:3, 3]))
    (tmp_path / "a.tfm").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n"
    )
    check(read_transform(tmp_path / "a.tfm", "slicer", FIXED), FIXED)
    field = smooth_field(FIXED)
    for name in ("field.nrrd", "field.h5"):
        write_transform(tmp_path / name, field, "slicer")
        back = read_transform(tmp_path / name, "slicer")
        np.testing.assert_allclose(back.vectors, field.vectors, atol=1e-4)
    assert b"left-posterior-superior" in (tmp_path / "field.nrrd").read_bytes()[:500]
    (tmp_path / "b.tfm").write_text("Transform: InverseDisplacementFieldTransform_double_3_3\n")
    with pytest.raises(WarplineError, match="only 3D Slicer reads"):
        read_transform(tmp_path / "b.tfm", "slicer", FIXED)


# --- all ----------------------------------------------------------------------------------------

FILES = {
    "itk": "a.nii.gz",
    "ants": "a.nii.gz",
    "elastix": "a.txt",
    "fsl": "a.nii.gz",
    "niftyreg": "a.nii.gz",
    "spm": "y_a.nii",
    "afni": "a.nii",
    "slicer": "a.nrrd",
    "learn2reg": "a.nii.gz",
    "voxelmorph": "a.npz",
}


@st.composite
def grids(draw, straight=False) -> Grid:
    """Grids of either hand, oblique or along permuted axes."""
    numbers = st.floats(-1, 1, width=32)
    turn = Rotation.from_rotvec([draw(numbers) for _ in range(3)]).as_matrix()
    axes = np.eye(3)[list(draw(st.permutations(range(3))))] * draw(st.sampled_from([1, -1]))
    direction = axes if straight else turn @ axes
    spacing = tuple(draw(st.floats(0.5, 3.0, width=32)) for _ in range(3))
    shape = tuple(draw(st.integers(5, 8)) for _ in range(3))
    return Grid(
        shape, spacing, tuple(50 * draw(numbers) for _ in range(3)), tuple(direction.ravel())
    )


@pytest.mark.parametrize("format", FILES)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path_factory, format, data):
    straight = format == "afni"
    fixed, moving = data.draw(grids(straight)), data.draw(grids(straight))
    field = smooth_field(fixed, 1.5, seed=data.draw(st.integers(0, 99)))
    path = tmp_path_factory.mktemp("round") / FILES[format]
    write_transform(path, field, format, moving)
    back = read_transform(path, format, fixed, moving)
    assert back.grid == fixed
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(back.vectors[inner], field.vectors[inner], atol=1e-3)
