"""Files with several volumes, or several numbers a voxel: which one is meant."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.images import nifti

log = logging.getLogger(__name__)


def check_axes(size: tuple[int, ...], path: Path) -> None:
    """Refuse what is not one volume."""
    if len(size) == 3:
        return
    told = " × ".join(map(str, size))
    if len(size) < 3:
        do = "Volumes are registered; stack slices to one, with the distance between them."
    else:
        by = "SimpleITK.ReadImage(file)[..., 0]"
        if nifti.is_nifti(path.name):
            by = "nibabel.load(file).slicer[..., 0] or fslroi FILE ONE 0 1"
        do = f"Take one of its volumes: by --volume 0 of the command, or saved anew by {by}."
    number = math.prod(size[3:])
    several = f": {number} volumes" if number > 1 else ""
    raise WarplineError(
        f"The image has {len(size)} dimensions ({told}{several}); three are needed.",
        where=path,
        do=do,
    )


def check_number(number: int, volumes: int, path: Path) -> None:
    """Refuse a number that no volume has, and say which one is taken."""
    if not 0 <= number < volumes:
        raise WarplineError(
            f"There is no volume {number} among {volumes}.",
            where=path,
            do=f"Give one of 0 to {volumes - 1}.",
        )
    log.warning("%s: of %d volumes the one of number %d is taken", path, volumes, number)


def one_of(image: sitk.Image, number: int | None, path: Path) -> sitk.Image:
    """One volume of what ITK has read: of a fourth axis, or of the numbers of a voxel.

    The latter is how ITK reads the list of volumes of an NRRD file. An image of one volume is
    itself, whatever the number.
    """
    several = image.GetDimension() == 4
    if several and image.GetSize()[3] == 1:
        return image[..., 0]
    if number is None:
        return image
    if several:
        check_number(number, image.GetSize()[3], path)
        return image[..., number]
    if image.GetNumberOfComponentsPerPixel() > 1:
        check_number(number, image.GetNumberOfComponentsPerPixel(), path)
        return sitk.VectorIndexSelectionCast(image, number)
    return image
