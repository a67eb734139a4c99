"""What people hand over as an image: a file, a folder of DICOM files, an image in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.images.files import read_image, read_volume
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk

if TYPE_CHECKING:
    import nibabel

Readable = (
    "Image | sitk.Image | nibabel.spatialimages.SpatialImage | tuple[np.ndarray, Grid] | "
    "str | os.PathLike"
)
FEW_VALUES, SEEN = 16, 50_000  # of a label map, about; voxels that are looked at
KINDS = "a path, a SimpleITK image, a nibabel image, or a pair of an array (z, y, x) and its Grid"


def as_image(given: Any, name: str = "image") -> Image:
    """An image of any kind that is taken, with one number a voxel or several.

    Parameters
    ----------
    given
        The path of a file or of a folder that holds one DICOM series, a SimpleITK image, a nibabel
        image, a pair of an array (z, y, x) and its `Grid`, or an `Image`.
    name
        What it is, for errors.

    Raises
    ------
    WarplineError
        If it is of another kind, or cannot be read.
    """
    if isinstance(given, Image):
        return given
    if isinstance(given, str | os.PathLike):
        return read_scan(given)
    if isinstance(given, sitk.Image):
        return from_sitk(given)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Grid):
        array = np.asarray(given[0])
        if array.shape[:3] != tuple(given[1].shape):
            raise WarplineError(
                f"The array has the shape {array.shape}, its grid {given[1].shape}.",
                where=name,
                do="Both count voxels along (z, y, x).",
            )
        return Image(array, given[1])
    if hasattr(given, "affine") and hasattr(given, "dataobj"):
        return _of_nibabel(given, name)
    raise WarplineError(
        f"This is no image: {type(given).__name__}.", where=name, do=f"Give {KINDS}."
    )


def as_volume(given: Any, name: str) -> Image:
    """As `as_image`, with one number a voxel.

    Raises
    ------
    WarplineError
        As `as_image`, and if it is no volume, or none of its voxels holds a number.
    """
    image = as_image(given, name)
    if image.array.ndim != 3 or min(image.grid.shape) < 2:
        what = f"the size {' × '.join(map(str, image.grid.shape[::-1]))}"
        do = "Stack slices to a volume."
        if image.array.ndim == 4:
            what = f"{image.array.shape[-1]} values a voxel"
            do = "Take one of them by --volume N, or make one of them (of colours their mean)."
        seen = name if name.endswith("mask") else f"{name} image"
        raise WarplineError(
            f"The {seen} has {what}; a volume with one number a voxel is needed.",
            where=place_of(given, name),
            do=do,
        )
    finite = np.isfinite(image.array) if image.array.dtype.kind == "f" else None
    if finite is not None and not finite.any():
        raise WarplineError("No voxel holds a number.", where=place_of(given, name))
    return image


def looks_like_labels(image: Image) -> bool:
    """Whether an image has few values, all whole and none negative, as label maps have."""
    values = np.unique(image.array.reshape(-1)[:: max(1, image.array.size // SEEN)])
    if len(values) > FEW_VALUES or not np.isfinite(values).all():
        return False
    return bool(len(values) and values.min() >= 0 and (values == np.rint(values)).all())


def read_mask(given: Any, grid: Grid, name: str) -> Image:
    """Where to look in the `name` image, 1 and else 0, on that image's grid.

    Raises
    ------
    WarplineError
        As `as_volume`, and if it lies elsewhere or is empty.
    """
    from warpline.fields.exchange.common import same_place

    within = as_volume(given, f"{name} mask")
    if not same_place(within.grid, grid):
        raise WarplineError(
            f"The mask of the {name} image does not lie where its image lies.",
            where=place_of(given, f"{name} mask"),
            do="Resample it onto the image's grid (nearest neighbour).",
        )
    inside = np.nan_to_num(within.array) != 0
    if not inside.any():
        raise WarplineError(
            f"The mask of the {name} image is empty.",
            where=place_of(given, f"{name} mask"),
            do="Give one that holds what is to be brought together, or leave it out.",
        )
    return Image(inside.astype(np.uint8), grid)


def place_of(given: Any, name: str) -> str:
    """Where an image comes from, for errors: its path, or `name` of one in memory."""
    return os.fspath(given) if isinstance(given, str | os.PathLike) else name


def read_scan(path: str | os.PathLike, volume: int | None = None) -> Image:
    """An image's file, or a folder with the DICOM files of one series.

    Parameters
    ----------
    volume
        Which one, counted from 0, of a file that holds several.

    Raises
    ------
    WarplineError
        As `warpline.images.files.read_volume` and `warpline.acquire.dicom.read_series`.
    """
    path = Path(path)
    if not path.is_dir():
        return read_image(path) if volume is None else read_volume(path, volume)
    from warpline.acquire.dicom import read_series

    return read_series(path, path.name, modalities=None)


def _of_nibabel(given: nibabel.spatialimages.SpatialImage, name: str) -> Image:
    """A nibabel image; its affine maps (i, j, k) to mm, RAS."""
    from warpline.fields.exchange.nifti import grid_of_affine
    from warpline.images.placed import right_angled

    array = np.asarray(given.dataobj)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise WarplineError(
            f"The image has the shape {given.shape}; three axes are needed.",
            where=name,
            do="Take one volume of it: image.slicer[..., 0].",
        )
    grid = right_angled(grid_of_affine(given.affine, array.shape), name)
    return Image(np.ascontiguousarray(array.transpose(2, 1, 0)), grid)
