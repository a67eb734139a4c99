"""Preparation of canonical cases: a list of named steps, each a function of one case.

A step takes the case (`Case`) and the parameters that stand in the dataset's ``prepare`` list, and
returns a new case. A new step is one more function with the ``@step`` decorator.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy.optimize import linear_sum_assignment

from warpline.cases.backgrounds import find_backgrounds
from warpline.cases.lungs import segment_lungs as find_lungs
from warpline.cases.organs import harmonise as to_common_organs
from warpline.errors import WarplineError
from warpline.files import atomic_path, write_json
from warpline.images.grid import Grid, Image, adopt, read_image, to_sitk, write_image
from warpline.registry import nearest

SEGMENTED = "mask.json"  # beside a mask that did not come with the data
# Beside a label map: which of its values it is complete for. A case as it was acquired says so in
# its record.
ANNOTATED, RECORD = "annotated.json", "record.json"


@dataclass(frozen=True)
class Case:
    """A volume with what belongs to it; label maps and masks lie on the image's grid.

    `landmarks` has the columns ``id, x, y, z`` (mm, LPS); `segmented` says that the mask did not
    come with the data. `annotated` are the label values for which the label map is complete: where
    it does not have them, they are not, while of others nothing is known; None for all of the
    dataset's.
    """

    id: str
    image: Image
    labels: Image | None = None
    mask: Image | None = None
    landmarks: pd.DataFrame | None = None
    segmented: bool = False
    annotated: tuple[int, ...] | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the image."""
        return self.image.grid


def read_case(folder: str | os.PathLike) -> Case:
    """Read a canonical case folder; its name is the case's id."""
    folder = Path(folder)

    def optional(name: str) -> Image | None:
        return read_image(folder / name) if (folder / name).exists() else None

    landmarks = folder / "landmarks.csv"
    labels = optional("labels.nii.gz")
    return Case(
        id=folder.name,
        image=read_image(folder / "image.nii.gz"),
        labels=labels,
        mask=optional("mask.nii.gz"),
        landmarks=pd.read_csv(landmarks, dtype={"id": str}) if landmarks.exists() else None,
        segmented=(folder / SEGMENTED).exists(),
        annotated=None if labels is None else _read_annotated(folder),
    )


def _read_annotated(folder: Path) -> tuple[int, ...] | None:
    for name in (ANNOTATED, RECORD):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text()).get("annotated")
            return None if found is None else tuple(found)
    return None


def write_case(folder: str | os.PathLike, case: Case) -> None:
    """Write a case in the canonical layout, each file atomically."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = case.image
    if image.array.dtype not in (np.int16, np.float32):
        image = image.with_array(image.array.astype(np.float32))
    write_image(folder / "image.nii.gz", image)
    for name, part in (("labels", case.labels), ("mask", case.mask)):
        if part is not None:
            write_image(folder / f"{name}.nii.gz", part.with_array(part.array.astype(np.uint8)))
    if case.segmented:
        write_json(folder / SEGMENTED, {"segmented": True})
    if case.annotated is not None:
        write_json(folder / ANNOTATED, {"annotated": list(case.annotated)})
    if case.landmarks is not None:
        with atomic_path(folder / "landmarks.csv") as temporary:
            case.landmarks.to_csv(temporary, index=False)


Step = Callable[..., Case]
STEPS: dict[str, Step] = {}


def step(function: Step) -> Step:
    """Make a function usable by its name in a dataset's ``prepare`` list."""
    STEPS[function.__name__] = function
    return function


def prepare(case: Case, steps: Sequence[Mapping[str, Any]]) -> Case:
    """Apply the steps in order; each is a mapping with one key, the step's name.

    Raises
    ------
    WarplineError
        For an unknown step, for parameters that it does not take, or where a step fails.
    """
    for entry in steps:
        ((name, parameters),) = entry.items()
        where = "key 'prepare' of the dataset"
        if name not in STEPS:
            raise WarplineError(
                f"There is no preparation step '{name}'.", where=where, do=nearest(name, STEPS)
            )
        parameters = parameters or {}
        known = dict(list(inspect.signature(STEPS[name]).parameters.items())[1:])
        for key in parameters:
            if key not in known:
                raise WarplineError(
                    f"The preparation step '{name}' has no parameter '{key}'.",
                    where=where,
                    do=nearest(key, known),
                )
        for key, parameter in known.items():
            if key not in parameters and parameter.default is parameter.empty:
                raise WarplineError(
                    f"The preparation step '{name}' needs the parameter '{key}'.", where=where
                )
        try:
            case = STEPS[name](case, **parameters)
        except (TypeError, ValueError) as error:
            raise WarplineError(
                f"The preparation step '{name}' fails with {parameters}: {error}.",
                where=f"case {case.id}",
            ) from error
    return case


def _each_image(case: Case, function: Callable[[Image, bool], Image]) -> Case:
    """Apply `function(image, is_label)` to the image, the labels and the mask."""
    return replace(
        case,
        image=function(case.image, False),
        labels=None if case.labels is None else function(case.labels, True),
        mask=None if case.mask is None else function(case.mask, True),
    )


def resample_to(
    image: Image,
    grid: Grid,
    *,
    matrix: np.ndarray | None = None,
    nearest: bool = False,
    fill: float = 0.0,
) -> Image:
    """Resample onto another grid; outside takes `fill`.

    The linear result is float32: ITK would cut the fractions off integers, not round them.

    Parameters
    ----------
    matrix
        4×4, from physical points of the new grid to those of the image (mm, LPS); the identity
        where not given.
    """
    reference = sitk.Image([int(n) for n in grid.shape[::-1]], sitk.sitkUInt8)
    reference.SetSpacing(grid.spacing)
    reference.SetOrigin(grid.origin)
    reference.SetDirection(grid.direction)
    transform = sitk.AffineTransform(3)
    if matrix is not None:
        transform.SetMatrix(matrix[:3, :3].ravel().tolist())
        transform.SetTranslation(matrix[:3, 3].tolist())
    interpolator, pixel = sitk.sitkLinear, sitk.sitkFloat32
    if nearest:
        interpolator, pixel = sitk.sitkNearestNeighbor, sitk.sitkUnknown  # the image's own
    return adopt(
        sitk.Resample(to_sitk(image), reference, transform, interpolator, float(fill), pixel)
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


@step
def resample(case: Case, spacing: Sequence[float]) -> Case:
    """Resample to `spacing` (x, y, z) in mm, linear for images and nearest for labels.

    The new grid covers the same extent: its outer faces differ from the old ones by less than a
    voxel, and its centre is the old centre.
    """
    extent = np.array(case.grid.shape[::-1]) * case.grid.spacing
    size = np.maximum(1, np.round(extent / spacing)).astype(int)
    return _regrid(case, size, np.asarray(spacing, dtype=float))


@step
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


@step
def pad_crop(case: Case, shape: Sequence[int], fill: float | str = 0.0) -> Case:
    """Pad or crop about the centre to `shape` (z, y, x); `fill` is a value or ``minimum``.

    Where the difference is odd, the extra voxel goes to the end.
    """
    size = np.asarray(case.grid.shape)
    # Rounded towards zero, whichever of the two is larger.
    start = ((size - shape) / 2).astype(int)
    return _window(case, start, shape, fill)


@step
def crop_to_mask(case: Case, margin: float = 0.0) -> Case:
    """Crop to the smallest box around the mask with `margin` mm on each side; masks stay whole."""
    first, last = _mask_box(case, "crop_to_mask")
    wide = np.ceil(margin / np.array(case.grid.spacing[::-1]) - 1e-6).astype(int)
    start = np.maximum(0, first - wide)
    stop = np.minimum(case.grid.shape, last + 1 + wide)
    return _window(case, start, stop - start)


@step
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


@step
def centre_frame(case: Case) -> Case:
    """Forget where the scanner saw the volume: the grid's centre becomes the origin.

    Each axis keeps the anatomical direction that it is nearest to, without obliqueness. For
    datasets whose volumes are to be compared voxel by voxel, as Learn2Reg's hippocampus task does;
    landmarks move along.
    """
    old = case.grid
    cosines = np.asarray(old.direction).reshape(3, 3)
    direction = np.zeros((3, 3))
    chosen = linear_sum_assignment(-np.abs(cosines))
    direction[chosen] = np.sign(cosines[chosen])
    middle = direction @ ((np.array(old.shape[::-1]) - 1) / 2 * old.spacing)
    grid = Grid(
        shape=old.shape,
        spacing=old.spacing,
        origin=tuple(map(float, -middle)),
        direction=tuple(map(float, direction.ravel())),
    )
    return _reframe(case, grid)


@step
def orient(case: Case) -> Case:
    """Flip and exchange axes so that x runs to the left, y to the back and z to the head.

    Only the order of the voxels changes: every one stays where it was in mm. For methods that
    compare volumes voxel by voxel; some scans are stored upside down. Oblique grids stay oblique.
    """
    cosines = np.asarray(case.grid.direction).reshape(3, 3)
    points, axes = linear_sum_assignment(-np.abs(cosines))
    order = [int(axes[list(points).index(k)]) for k in range(3)]  # of (x, y, z), as they will be
    flips = [bool(cosines[k, order[k]] < 0) for k in range(3)]

    def turn(image: Image, label: bool) -> Image:
        old = image.grid
        array = image.array.transpose([2 - order[2 - k] for k in range(3)])
        array = np.flip(array, [2 - k for k in range(3) if flips[k]])
        # The voxel that comes first now: the last one along every flipped axis.
        first = np.zeros(3)
        for k in range(3):
            if flips[k]:
                first[2 - order[k]] = old.shape[2 - order[k]] - 1
        signs = np.where(flips, -1.0, 1.0)
        grid = Grid(
            shape=tuple(array.shape),
            spacing=tuple(old.spacing[k] for k in order),
            origin=tuple(map(float, old.index_to_physical(first))),
            direction=tuple(map(float, (cosines[:, order] * signs).ravel())),
        )
        return Image(np.ascontiguousarray(array), grid)

    return _each_image(case, turn)


@step
def unit_frame(case: Case) -> Case:
    """Forget sizes in mm too: voxels of 1 mm, the grid's centre at the origin, no obliqueness.

    For methods that live in a cube of voxels to which every scan has been stretched. Distances are
    then in voxels of the cube; landmarks keep their place in the anatomy.
    """
    old = case.grid
    grid = Grid(old.shape, origin=tuple(-(n - 1) / 2 for n in old.shape[::-1]))
    return _reframe(case, grid)


@step
def clip(case: Case, low: float | None = None, high: float | None = None) -> Case:
    """Clip intensities to [low, high]."""
    array = np.clip(case.image.array.astype(np.float32), low, high)
    return replace(case, image=case.image.with_array(array))


@step
def clip_background(case: Case) -> Case:
    """Raise all that lies below the air inside a CT's field of view to the value of that air.

    So a scan has one background (Bouabid et al. 2019, section 4.2). A scan without air inside its
    field of view, such as a crop inside the body, is left as it is, and the log says so.
    """
    found = find_backgrounds(case.image)
    inside = [background.value for background in found if background.inside]
    if not inside:
        outside = ", ".join(f"{background.value:g}" for background in found) or "no other"
        print(f"{case.id}: no air inside the field of view ({outside} background)", flush=True)
        return case
    array = case.image.array
    return replace(
        case, image=case.image.with_array(np.maximum(array, array.dtype.type(inside[0])))
    )


@step
def segment_lungs(case: Case) -> Case:
    """Fill in the mask of a chest CT that has none: its lungs. Log and records say so.

    Intensities must still be in HU: before any step that normalises them.
    """
    if case.mask is not None:
        return case
    try:
        mask = find_lungs(case.image)
    except WarplineError as error:
        raise WarplineError(error.what, where=f"case {case.id}", do=error.do) from error
    volume = float(mask.array.sum() * np.prod(case.grid.spacing)) / 1e6
    print(f"{case.id}: no lung mask; the lungs are segmented ({volume:.2f} l)", flush=True)
    return replace(case, mask=mask, segmented=True)


@step
def mask_of_labels(case: Case) -> Case:
    """The labelled voxels as the mask of a case that has none; such as LUNA16's lungs."""
    if case.mask is not None or case.labels is None:
        return case
    return replace(case, mask=Image((case.labels.array != 0).astype(np.uint8), case.grid))


@step
def labels_of_mask(case: Case) -> Case:
    """The mask as label 1 of a case that has no label map: so the Dice of lungs is measured."""
    if case.labels is not None or case.mask is None:
        return case
    return replace(case, labels=Image((case.mask.array != 0).astype(np.uint8), case.grid))


@step
def harmonise(case: Case, values: Mapping[int, str | None]) -> Case:
    """Translate the label map into the common organs by the dataset's table.

    `values` gives each of the dataset's values its organ, ``kidneys`` for both, or null: see
    `warpline.cases.organs.harmonise`. What the case has annotated goes along in common numbers; of
    a dataset without any organ the label map is left out. Kidneys that touch are parted in HU:
    before any step that normalises intensities.
    """
    if case.labels is None:
        return case
    try:
        found = to_common_organs(case.labels, case.image, values, case.annotated)
    except WarplineError as error:
        raise WarplineError(error.what, where=f"case {case.id}", do=error.do) from error
    if found.labels is None:
        return replace(case, labels=None, annotated=None)
    if found.note:
        print(f"{case.id}: {found.note}", flush=True)
    return replace(case, labels=found.labels, annotated=found.annotated)


@step
def window(case: Case, low: float, high: float) -> Case:
    """Map intensities from `low` to `high`, such as HU, onto 0 to 1; what lies beyond is cut."""
    if not low < high:
        raise ValueError("'low' must be less than 'high'")
    array = case.image.array.astype(np.float32)
    array -= np.float32(low)
    array /= np.float32(high - low)
    return replace(case, image=case.image.with_array(np.clip(array, 0, 1, out=array)))


@step
def zscore(case: Case, over: str = "all") -> Case:
    """Subtract the mean and divide by the deviation of the voxels `over` (all or positive)."""
    if over not in ("all", "positive"):
        raise ValueError(f"'over' is 'all' or 'positive', not '{over}'")
    array = _varying(case, case.image.array)
    chosen = array if over == "all" else _varying(case, array[array > 0])
    mean, deviation = chosen.mean(dtype=np.float64), chosen.std(dtype=np.float64)
    scaled = array - np.float32(mean)
    scaled /= np.float32(deviation)
    return replace(case, image=case.image.with_array(scaled))


@step
def rescale(case: Case, low: float = 0.0, high: float = 1.0) -> Case:
    """Map the image's minimum and maximum to `low` and `high`."""
    array = _varying(case, case.image.array)
    least, most = float(array.min()), float(array.max())
    scaled = (array - least) / (most - least) * (high - low) + low
    return replace(case, image=case.image.with_array(scaled.astype(np.float32)))


def _varying(case: Case, array: np.ndarray) -> np.ndarray:
    """Intensities as float32, refused if they cannot be brought to another range."""
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        reason = "it has values that are no finite number"
    elif array.size == 0 or array.min() == array.max():
        reason = "its intensities do not vary"
    else:
        return array
    raise WarplineError(
        f"The image cannot be normalised: {reason}.",
        where=f"case {case.id}",
        do="Look at the image; take the case off the case sheet if it is of no use.",
    )
