"""Steps that change where voxels lie: resampling, crops, frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.itk import adopt, to_sitk
from warpline.images.resample import resample_to

# Both ends of an axis of the body by either letter.
ORIENTED = {letter: ends for ends in ("LR", "AP", "SI") for letter in ends}


def _each_image(case: Case, function: Callable[[Image, bool], Image]) -> Case:
    """Apply `function(image, is_label)` to the image, the labels and the mask."""
    return replace(
        case,
        image=function(case.image, False),
        labels=None if case.labels is None else function(case.labels, True),
        mask=None if case.mask is None else function(case.mask, True),
    )


def move_case(case: Case, matrix: np.ndarray, grid: Grid) -> Case:
    """A case resampled onto a reference's grid by an affine alignment.

    Parameters
    ----------
    matrix
        4×4, from points of the reference to points of the case (mm, LPS); landmarks go by its
        inverse.
    """
    fill = float(case.image.array.min())
    landmarks = case.landmarks
    if landmarks is not None:
        inverse = np.linalg.inv(matrix)
        points = landmarks[["x", "y", "z"]].to_numpy() @ inverse[:3, :3].T + inverse[:3, 3]
        landmarks = landmarks.assign(x=points[:, 0], y=points[:, 1], z=points[:, 2])
    case = replace(case, landmarks=landmarks)
    return _each_image(
        case,
        lambda part, label: resample_to(
            part, grid, matrix=matrix, nearest=label, fill=0 if label else fill
        ),
    )


def resample(case: Case, spacing: Sequence[float]) -> Case:
    """Resample to `spacing` (x, y, z) in mm, linear for images and nearest for labels.

    The new grid covers the same extent: its outer faces differ from the old ones by less than a
    voxel, and its centre is the old centre.
    """
    extent = np.array(case.grid.shape[::-1]) * case.grid.spacing
    size = np.maximum(1, np.round(extent / spacing)).astype(int)
    return _regrid(case, size, np.asarray(spacing, dtype=float))


def resize(case: Case, shape: Sequence[int], least: int = 8) -> Case:
    """Stretch or shrink to `shape` (z, y, x) voxels, linear for images and nearest for labels.

    The outer faces stay where they are, so the spacing changes, and differently along each axis;
    landmarks stay at their place in mm.

    Raises
    ------
    WarplineError
        If the scan has fewer than `least` voxels along an axis: stretching would invent most of it.
    """
    size = np.asarray(shape)
    if size.shape != (3,) or not (size >= 1).all():
        raise ValueError("'shape' is three numbers of voxels, z, y, x")
    if min(case.grid.shape) < least:
        raise WarplineError(
            f"The scan has {' × '.join(map(str, case.grid.shape))} voxels (z, y, x), too few along "
            f"an axis to be stretched to {' × '.join(map(str, shape))}: {least} are the least.",
            where=f"case {case.id}",
            do="Take the case off the case sheet, or set 'least' of the step 'resize'.",
        )
    extent = np.array(case.grid.shape) * case.grid.spacing[::-1]
    return _regrid(case, size[::-1], (extent / size)[::-1])


def _regrid(case: Case, size: np.ndarray, spacing: np.ndarray) -> Case:
    """Resample onto a grid of `size` and `spacing` (x, y, z) with the case's centre and axes."""
    old = case.grid
    middle = old.index_to_physical((np.array(old.shape) - 1) / 2)
    matrix = np.asarray(old.direction).reshape(3, 3) * spacing
    grid = Grid(
        shape=tuple(int(n) for n in size[::-1]),
        spacing=tuple(float(s) for s in spacing),
        origin=tuple(middle - matrix @ ((size - 1) / 2)),
        direction=old.direction,
    )
    fill = float(case.image.array.min())
    return _each_image(
        case, lambda part, label: resample_to(part, grid, nearest=label, fill=0 if label else fill)
    )


def pad_crop(case: Case, shape: Sequence[int], fill: float | str = 0.0) -> Case:
    """Pad or crop about the centre to `shape` (z, y, x); `fill` is a value or ``minimum``.

    Where the difference is odd, the extra voxel goes to the end.
    """
    size = np.asarray(case.grid.shape)
    # Rounded towards zero, whichever of the two is larger.
    start = ((size - shape) / 2).astype(int)
    return _window(case, start, shape, fill)


def crop_to_mask(case: Case, margin: float = 0.0) -> Case:
    """Crop to the smallest box around the mask with `margin` mm on each side; masks stay whole."""
    first, last = _mask_box(case, "crop_to_mask")
    wide = np.ceil(margin / np.array(case.grid.spacing[::-1]) - 1e-6).astype(int)
    start = np.maximum(0, first - wide)
    stop = np.minimum(case.grid.shape, last + 1 + wide)
    return _window(case, start, stop - start)


def crop_to_shape(case: Case, shape: Sequence[int], fill: float | str = "minimum") -> Case:
    """Crop or pad to `shape` (z, y, x) about the middle of the box around the mask.

    Voxels stay where they are in mm. Landmarks that are cut off are left out, and the log says so.
    """
    grid = grid_about_mask(case, shape)
    start = np.rint(case.grid.physical_to_index(np.array(grid.origin))).astype(int)
    return without_landmarks_outside(_window(case, start, shape, fill))


def grid_about_mask(case: Case, shape: Sequence[int]) -> Grid:
    """The case's grid, cut or continued to `shape` (z, y, x) about the middle of its mask's box.

    Raises
    ------
    WarplineError
        If the case has no mask.
    """
    first, last = _mask_box(case, "crop_to_shape")
    start = np.floor((first + last + 1 - np.asarray(shape)) / 2)
    origin = tuple(map(float, case.grid.index_to_physical(start)))
    return replace(case.grid, shape=tuple(int(n) for n in shape), origin=origin)


def without_landmarks_outside(case: Case) -> Case:
    """The case without the landmarks that lie beyond its grid; the log names them."""
    if case.landmarks is None:
        return case
    index = case.grid.physical_to_index(case.landmarks[["x", "y", "z"]].to_numpy())
    inside = ((index >= -0.5) & (index <= np.asarray(case.grid.shape) - 0.5)).all(axis=1)
    if inside.all():
        return case
    names = ", ".join(case.landmarks["id"][~inside])
    print(f"{case.id}: landmarks outside the crop are left out: {names}", flush=True)
    return replace(case, landmarks=case.landmarks[inside].reset_index(drop=True))


def _mask_box(case: Case, step_name: str) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (z, y, x) of the mask along each axis."""
    if case.mask is None or not case.mask.array.any():
        raise WarplineError(
            "The case has no mask to crop to.",
            where=f"case {case.id}",
            do=f"Put 'segment_lungs' or 'mask_of_labels' before '{step_name}' in 'prepare'.",
        )
    inside = [
        np.flatnonzero(case.mask.array.any(axis=tuple(k for k in range(3) if k != axis)))
        for axis in range(3)
    ]
    return np.array([k[0] for k in inside]), np.array([k[-1] for k in inside])


def _window(
    case: Case, start: Sequence[int], shape: Sequence[int], fill: float | str = 0.0
) -> Case:
    """`shape` voxels (z, y, x) from the index `start` on; what lies beyond the image is `fill`."""
    value = float(case.image.array.min()) if fill == "minimum" else float(fill)
    start, shape = np.asarray(start), tuple(int(n) for n in shape)

    def cut(image: Image, label: bool) -> Image:
        array = np.full(shape, 0 if label else value, image.array.dtype)
        old = image.grid.shape
        parts = [(max(0, s), min(n, s + m)) for s, n, m in zip(start, old, shape, strict=True)]
        source = tuple(slice(low, max(low, high)) for low, high in parts)
        target = tuple(
            slice(low - s, max(low, high) - s) for (low, high), s in zip(parts, start, strict=True)
        )
        array[target] = image.array[source]
        origin = tuple(map(float, image.grid.index_to_physical(start.astype(float))))
        return Image(array, replace(image.grid, shape=shape, origin=origin))

    return _each_image(case, cut)


def _reframe(case: Case, grid: Grid) -> Case:
    """The same voxels on another grid of their shape; landmarks keep their indices."""
    landmarks = case.landmarks
    if landmarks is not None:
        index = case.grid.physical_to_index(landmarks[["x", "y", "z"]].to_numpy())
        points = grid.index_to_physical(index)
        landmarks = landmarks.assign(x=points[:, 0], y=points[:, 1], z=points[:, 2])
    case = replace(case, landmarks=landmarks)
    return _each_image(case, lambda part, label: Image(part.array, grid))


def centre_frame(case: Case) -> Case:
    """Forget where the scanner saw the volume: the grid's centre becomes the origin.

    Each axis keeps the anatomical direction that it is nearest to, without obliqueness. For
    datasets whose volumes are to be compared voxel by voxel, as Learn2Reg's hippocampus task does;
    landmarks move along.
    """
    old = case.grid
    cosines = np.asarray(old.direction).reshape(3, 3)
    direction = np.zeros((3, 3))
    chosen = range(3), old.nearest_axes()
    direction[chosen] = np.sign(cosines[chosen])
    middle = direction @ ((np.array(old.shape[::-1]) - 1) / 2 * old.spacing)
    grid = Grid(
        shape=old.shape,
        spacing=old.spacing,
        origin=tuple(map(float, -middle)),
        direction=tuple(map(float, direction.ravel())),
    )
    return _reframe(case, grid)


def orient(case: Case, axes: str = "LPS") -> Case:
    """Flip and exchange axes so that x runs to the left, y to the back and z to the head.

    Only the order of the voxels changes: every one stays where it was in mm. For methods that
    compare volumes voxel by voxel; some scans are stored upside down. Oblique grids stay oblique.

    `axes`: where x, y and z run to instead: left or right, posterior or anterior, superior or
    inferior, in any order, each by its first letter.
    """
    if sorted(ORIENTED.get(letter, letter) for letter in axes) != ["AP", "LR", "SI"]:
        raise WarplineError(
            f"'{axes}' does not say where x, y and z run to.",
            where="axes of the step 'orient'",
            do="Give one letter of L and R, one of P and A, one of S and I, such as LPS.",
        )
    return _each_image(case, lambda part, label: adopt(sitk.DICOMOrient(to_sitk(part), axes)))


def unit_frame(case: Case) -> Case:
    """Forget sizes in mm too: voxels of 1 mm, the grid's centre at the origin, no obliqueness.

    For methods that live in a cube of voxels to which every scan has been stretched. Distances are
    then in voxels of the cube; landmarks keep their place in the anatomy.
    """
    old = case.grid
    grid = Grid(old.shape, origin=tuple(-(n - 1) / 2 for n in old.shape[::-1]))
    return _reframe(case, grid)
