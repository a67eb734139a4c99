"""An image on another grid."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from warpline.images.grid import Grid, Image
from warpline.images.itk import adopt, to_sitk


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
