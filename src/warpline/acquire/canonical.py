"""From a provider's files to a canonical case, with every check that spares a wrong result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from warpline.acquire.formats.base import CaseFiles, Crop
from warpline.acquire.landmarks import read_landmarks
from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.files import write_json
from warpline.images.files import ONE_NUMBER, read_image
from warpline.images.grid import Grid, Image

RECORD = "record.json"  # beside the case's files: what it was made of, and how
# Where an axis of the file runs to in the patient: left or right, back or front, head or feet.
LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))
WHOLE = 1e-3  # by which a label's value may miss a whole number
LARGEST = 255  # label: label maps are kept as bytes
RELATIVE_TOLERANCE = 1e-3  # of the smallest spacing; headers of float32 differ by far less


def canonicalise(
    files: CaseFiles,
    case_id: str,
    target_folder: str | os.PathLike,
    *,
    labels: Mapping[int, str],
) -> Case:
    """Read, check and write a case in the canonical layout.

    The image is kept as int16 where all its values are such integers, else as float32; the label
    map and the mask as uint8; landmarks as a table ``id,x,y,z`` in mm, LPS. Axes stay as they are
    in the file. `RECORD` says how they run in the patient (``LPS``: x to the left, y to the back, z
    to the head), which label values are annotated, and what was cut off or turned.

    Parameters
    ----------
    labels
        Label value to name, as in the dataset file; 0 is background.

    Raises
    ------
    WarplineError
        If a file cannot be read; if the image is constant or has values that are no numbers; if a
        label map or mask lies on another grid; if a label value is no integer or not in `labels`;
        if the label map is empty where it may not be; if a landmark lies outside the image.
    """
    label_map = mask = landmarks = crop = None
    offset = 0.0
    if files.read is not None:
        image, landmarks = files.read()
    else:
        image = _read(files.image, "image", case_id, filled=files.fill_nan)
    whole = image.grid
    if files.labels is not None:
        label_map = _read(files.labels, "label map", case_id)
        if files.labels_elsewhere:
            label_map, offset = _turned(label_map, whole)
        label_map = _on_grid(label_map, files.labels, whole, files.image, "label map", case_id)
    if files.mask is not None:
        mask = _read(files.mask, "mask", case_id)
        mask = _on_grid(mask, files.mask, whole, files.image, "mask", case_id)
        mask = mask.with_array((mask.array != 0).astype(np.uint8))
    if files.crop is not None:
        crop = files.crop(label_map)
        image, label_map, mask = (_cut(part, crop) for part in (image, label_map, mask))
    image = _check_image(image, files.image, case_id)
    if label_map is not None:
        # A label map may be there for the crop alone.
        only_crop = files.crop is not None and not labels
        label_map = None if only_crop else _check_labels(label_map, files, labels, case_id)
    if files.landmarks is not None and landmarks is None:
        landmarks = read_landmarks(files, image.grid, case_id)
    case = Case(case_id, image, label_map, mask, landmarks)
    write_case(target_folder, case)
    annotated = tuple(labels) if files.annotated is None else files.annotated
    annotated = () if label_map is None else annotated
    record = _record(files, whole, annotated, offset, crop)
    write_json(Path(target_folder) / RECORD, record)
    return case


def orientation(grid: Grid) -> str:
    """Where the x, y and z axes of a grid run to in the patient: ``LPS``, ``RAI`` …."""
    letters = [""] * 3
    for physical, (forward, backward) in enumerate(LETTERS):
        axis, sense = grid.nearest_axis(physical)
        letters[2 - axis] = forward if sense > 0 else backward
    return "".join(letters)


def _record(
    files: CaseFiles, grid: Grid, annotated: tuple[int, ...], offset: float, crop: Crop | None
) -> dict[str, Any]:
    """What a case's record says; indices and sizes are in (x, y, z) there."""
    record = {
        "image": files.image.name,
        "orientation": orientation(grid),
        "size": grid.shape[::-1],
        "spacing": grid.spacing,
        "origin": grid.origin,
        "direction": grid.direction,
        "annotated": sorted(annotated),
    }
    if files.labels_elsewhere:
        record["label_map_moved_mm"] = offset
    if crop is not None:
        record["crop"] = {"start": crop.start[::-1], "stop": crop.stop[::-1], **crop.note}
    return record


def _cut(image: Image | None, crop: Crop) -> Image | None:
    """The part of an image that a crop leaves."""
    if image is None:
        return None
    box = tuple(slice(start, stop) for start, stop in zip(crop.start, crop.stop, strict=True))
    array = np.ascontiguousarray(image.array[box])
    origin = tuple(map(float, image.grid.index_to_physical(np.array(crop.start))))
    grid = Grid(tuple(array.shape), image.grid.spacing, origin, image.grid.direction)
    return Image(array, grid)


def _turned(image: Image, grid: Grid) -> tuple[Image, float]:
    """An image with its axes exchanged and flipped to run as a grid's do, and put onto its origin.

    Returns the image and by how many mm it was moved. Its size and spacing stay its own.
    """
    old, axes, flipped = image.grid, [0, 0, 0], []
    for physical in range(3):
        (source, sense), (target, wanted) = (one.nearest_axis(physical) for one in (old, grid))
        axes[target] = source
        if sense != wanted:
            flipped.append(target)
    array = np.flip(image.array.transpose(axes), flipped)
    first = np.zeros(3)
    for target in flipped:
        first[axes[target]] = old.shape[axes[target]] - 1
    moved = np.linalg.norm(old.index_to_physical(first) - np.asarray(grid.origin))
    spacing = tuple(old.spacing[2 - axes[2 - k]] for k in range(3))
    turned = Grid(tuple(array.shape), spacing, grid.origin, grid.direction)
    return Image(np.ascontiguousarray(array), turned), round(float(moved), 3)


def _check_image(image: Image, path: Path, case_id: str) -> Image:
    array = image.array
    low, high = array.min(), array.max()
    integers = np.iinfo(np.int16)
    if integers.min <= low and high <= integers.max and _all_integers(array):
        array = array.astype(np.int16, copy=False)
    else:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        _check_finite(array, path, "image", case_id)
    if low == high:
        raise WarplineError(
            f"The image of the case '{case_id}' is constant: every voxel is {low:g}.",
            where=path,
            do="Export the image again, or take the case out of the case sheet.",
        )
    return image.with_array(array)


def _all_integers(array: np.ndarray) -> bool:
    # Slice by slice: a scan has 200 million voxels, and comparing takes another copy of them.
    return array.dtype.kind in "iu" or all((part == np.rint(part)).all() for part in array)


def _check_finite(array: np.ndarray, path: Path, what: str, case_id: str) -> None:
    """Refuse values that are no finite number."""
    if array.dtype.kind in "iu" or all(np.isfinite(part).all() for part in array):
        return
    bad = np.argwhere(~np.isfinite(array))
    first = tuple(int(i) for i in bad[0][-3:])
    raise WarplineError(
        f"The {what} of the case '{case_id}' has {len(bad)} voxels that are no finite number "
        f"(of float32), the first at (z, y, x) = {first}.",
        where=path,
        do="If they lie outside the field of view, set 'nan: fill' in the dataset file; else "
        "repair them, or take the case out of the case sheet.",
    )


def _filled(image: Image, path: Path) -> Image:
    """Its lowest value where a voxel holds no finite number, as outside the field of view."""
    if image.array.dtype.kind in "iu":
        return image
    known = np.isfinite(image.array)
    if known.all() or not known.any():
        return image
    low = image.array[known].min()
    print(
        f"{path}: {np.count_nonzero(~known)} of {known.size} voxels hold no number and become "
        f"{low:g}, the lowest value",
        flush=True,
    )
    return image.with_array(np.where(known, image.array, low))


def _read(path: Path, what: str, case_id: str, *, filled: bool = False) -> Image:
    """An image, a label map or a mask: whole, with one finite value a voxel."""
    try:
        image = read_image(path)
    except WarplineError as error:
        raise WarplineError(
            f"The {what} of the case '{case_id}': {error.what}",
            where=error.where,
            do=f"{error.do or 'Fetch the file again.'} If that does not help, take the case out "
            "of the case sheet, with the patient's other scans if pairs are made of them.",
        ) from error
    if image.array.ndim != 3:
        raise WarplineError(
            f"The {what} of the case '{case_id}' has {image.array.shape[-1]} values a voxel; "
            "one is needed.",
            where=path,
            do=ONE_NUMBER,
        )
    if filled:
        image = _filled(image, path)
    _check_finite(image.array, path, what, case_id)
    return image


def _on_grid(
    found: Image, path: Path, grid: Grid, image_path: Path, what: str, case_id: str
) -> Image:
    """A label map or mask, refused unless it lies on the image's grid."""
    if not found.grid.close_to(grid, RELATIVE_TOLERANCE * min(grid.spacing)):
        raise WarplineError(
            f"The {what} of the case '{case_id}' does not lie on its image's grid:\n"
            f"    {image_path}: {_describe(grid)}\n    {path}: {_describe(found.grid)}",
            where=path,
            do=f"Resample the {what} to the image's grid (nearest neighbour), or correct the "
            "header that is wrong.",
        )
    return Image(found.array, grid)


def _describe(grid: Grid) -> str:
    def numbers(values: tuple[float, ...]) -> str:
        return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"

    return (
        f"size {numbers(grid.shape[::-1])}, spacing {numbers(grid.spacing)}, "
        f"origin {numbers(grid.origin)}, direction {numbers(grid.direction)}"
    )


def _check_labels(
    label_map: Image, files: CaseFiles, labels: Mapping[int, str], case_id: str
) -> Image:
    counts = _value_counts(label_map.array)
    off = [value for value in counts if 0 < abs(value - np.rint(value)) <= WHOLE]
    if off:  # a writer's rounding, as 1.00001
        print(
            f"{files.labels}: label values such as {off[0]:.6g} are taken for whole ones",
            flush=True,
        )
        label_map = label_map.with_array(np.rint(label_map.array))
        counts = _value_counts(label_map.array)
    wrong = [value for value in counts if value != np.rint(value)]
    if wrong:
        raise WarplineError(
            f"The label map of the case '{case_id}' holds {wrong[0]:g}, which is no integer.",
            where=files.labels,
            do="Export it without interpolation: a label map must be resampled by nearest "
            "neighbour.",
        )
    known = {0, *(int(value) for value in labels)}
    renamed = files.label_values or {}
    result = np.zeros(label_map.array.shape, np.uint8)
    for value, count in counts.items():
        kept = int(value) if files.other_values is None else files.other_values
        target = renamed.get(int(value), kept)
        table = ", ".join(f"{key} {name}" for key, name in labels.items()) or "none"
        if not 0 <= target <= LARGEST:
            raise WarplineError(
                f"The label map of the case '{case_id}' holds the value {int(value)} in {count} "
                f"voxels; values go from 0 to {LARGEST}, the dataset's labels are: {table}.",
                where=files.labels,
                do="Give this label another number in the label map, and in 'labels' of the "
                "dataset file.",
            )
        if target not in known:
            raise WarplineError(
                f"The label map of the case '{case_id}' holds the value {int(value)} in {count} "
                f"voxels; the dataset's labels are: {table}.",
                where=files.labels,
                do="Add the value to 'labels' in the dataset file, or correct the label map.",
            )
        if target:
            result[label_map.array == value] = target
    if files.needs_labels and not result.any():
        table = ", ".join(labels.values())
        found = ", ".join(f"{value:g}" for value in counts)
        raise WarplineError(
            f"The label map of the case '{case_id}' is empty: no voxel is {table}; the values in "
            f"it are: {found}.",
            where=files.labels,
            do="Take the case out of the case sheet, or fetch its archive again.",
        )
    return label_map.with_array(result)


def _value_counts(array: np.ndarray) -> dict[float, int]:
    """How many voxels have each value, values ascending."""
    counts: dict[float, int] = {}
    for part in array:  # slice by slice: np.unique sorts a copy
        for value, count in zip(*np.unique(part, return_counts=True), strict=True):
            counts[value.item()] = counts.get(value.item(), 0) + int(count)
    return dict(sorted(counts.items()))
