"""Images to and from SimpleITK."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from warpline.images.grid import Grid, Image


def grid_of(image: sitk.Image | sitk.ImageFileReader) -> Grid:
    """The grid of a SimpleITK image, or of the file whose header a reader has read."""
    return Grid(
        shape=tuple(image.GetSize()[::-1]),
        spacing=tuple(image.GetSpacing()),
        origin=tuple(image.GetOrigin()),
        direction=tuple(image.GetDirection()),
    )


def from_sitk(image: sitk.Image) -> Image:
    """A SimpleITK image as an `Image` (vector components become the last axis)."""
    return Image(sitk.GetArrayFromImage(image), grid_of(image))


class _Pixels:
    """The memory of a SimpleITK image as numpy takes it; lives as long as the array does."""

    def __init__(self, image: sitk.Image):
        self.image = image
        described = sitk.GetArrayViewFromImage(image).__array_interface__
        self.__array_interface__ = {**described, "data": (described["data"][0], False)}


def adopt(image: sitk.Image) -> Image:
    """A SimpleITK image as an `Image` on its own memory, without a copy.

    Nothing else may hold the image: to change the array is to change it.
    """
    return Image(np.asarray(_Pixels(image)), grid_of(image))


def to_sitk(image: Image) -> sitk.Image:
    """An `Image` as a SimpleITK image; a trailing axis of components makes it a vector image."""
    array = image.array.astype(np.uint8) if image.array.dtype == bool else image.array
    result = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=array.ndim == 4)
    result.SetSpacing(image.grid.spacing)
    result.SetOrigin(image.grid.origin)
    result.SetDirection(image.grid.direction)
    return result
