"""Images on oriented grids: the one place where array and physical conventions meet."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from scipy.optimize import linear_sum_assignment

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images import metaimage
from warpline.images.nifti import read_plain


@dataclass(frozen=True)
class Grid:
    """A regular, oriented sampling grid.

    Attributes
    ----------
    shape
        Number of voxels along (z, y, x): the shape of an array on this grid.
    spacing, origin
        (x, y, z) in mm; the origin is the physical position (LPS) of index 0.
    direction
        3×3 matrix, row-major, whose columns are the physical directions of the x, y and z axes.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def matrix(self) -> np.ndarray:
        """3×3 matrix from (x, y, z) index steps to (x, y, z) mm."""
        return np.asarray(self.direction).reshape(3, 3) * np.asarray(self.spacing)

    def index_to_physical(self, index: np.ndarray) -> np.ndarray:
        """Physical points (…, 3) in mm, (x, y, z), of continuous indices (…, 3) in (z, y, x)."""
        index = np.asarray(index, dtype=np.float64)
        return index[..., ::-1] @ self.matrix.T + np.asarray(self.origin)

    def physical_to_index(self, points: np.ndarray) -> np.ndarray:
        """Continuous indices (…, 3) in (z, y, x) of physical points (…, 3) in mm, (x, y, z)."""
        offset = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        return (offset @ np.linalg.inv(self.matrix).T)[..., ::-1]

    def indices(self) -> np.ndarray:
        """All indices of the grid, (z, y, x, 3) in (z, y, x)."""
        return np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), axis=-1)

    def nearest_axis(self, physical: int) -> tuple[int, int]:
        """The array axis nearest to a physical axis (0, 1, 2: x, y, z), and its sense (±1).

        No two physical axes have the same one, however oblique the grid.
        """
        direction = np.asarray(self.direction).reshape(3, 3)
        _, axes = linear_sum_assignment(-np.abs(direction))
        sense = 1 if direction[physical, axes[physical]] >= 0 else -1
        return 2 - int(axes[physical]), sense

    def close_to(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids put every voxel at the same place, to `tolerance` mm."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        distance = self.index_to_physical(corners) - other.index_to_physical(corners)
        return bool(np.abs(distance).max() <= tolerance)


@dataclass(frozen=True)
class Image:
    """An array (z, y, x) and the grid it lies on."""

    array: np.ndarray
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.array.shape[:3]) != tuple(self.grid.shape):
            raise ValueError(f"array {self.array.shape} does not lie on grid {self.grid.shape}")

    def with_array(self, array: np.ndarray) -> Image:
        """Another array on the same grid."""
        return replace(self, array=array)


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


def read_image(path: str | os.PathLike) -> Image:
    """Read a three-dimensional image; any format that SimpleITK reads.

    Raises
    ------
    WarplineError
        If the file is missing, unreadable, incomplete or not three-dimensional.
    """
    path = Path(path)
    if not path.exists():
        raise WarplineError("The image file does not exist.", where=path, do="Check the path.")
    try:
        plain = read_plain(path)
        if plain is not None:
            header = sitk.ImageFileReader()
            header.SetFileName(os.fspath(path))
            header.ReadImageInformation()
            if header.GetSize() == plain.shape[::-1]:
                return Image(plain, grid_of(header))
        # First: what ITK says of an incomplete file is obscure, if it says anything.
        _check_complete(path)
        image = sitk.ReadImage(os.fspath(path))
    except (RuntimeError, EOFError, OSError, zlib.error) as error:
        reason = str(error).strip().splitlines()[-1]
        raise WarplineError(
            f"The image file cannot be read ({reason}).",
            where=path,
            do="Fetch or export the file again: it is corrupt or of an unknown format.",
        ) from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise WarplineError(
            f"The image has {image.GetDimension()} dimensions; three are needed.", where=path
        )
    return from_sitk(image)


def write_image(path: str | os.PathLike, image: Image) -> None:
    """Write an image atomically; the suffix chooses the format."""
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(to_sitk(image), os.fspath(temporary), useCompression=True)
            _check_complete(temporary)
        except (RuntimeError, EOFError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise OSError(f"writing {path} failed: {reason} (is the disk full?)") from error


def _check_complete(path: Path) -> None:
    """Refuse a NIfTI or MetaImage file that ends too early.

    ITK reads a truncated NIfTI file without a word, with zeros for what is missing, and writes one
    without a word where the disk is full.

    Raises
    ------
    OSError, EOFError, zlib.error, gzip.BadGzipFile
        If the file is incomplete, or its compressed content is damaged.
    """
    if path.suffix.lower() in metaimage.SUFFIXES:
        metaimage.check_complete(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        return
    try:
        stored = nibabel.load(path).dataobj
    except nibabel.filebasedimages.ImageFileError as error:
        raise EOFError(f"it has no whole header: {error}") from error
    needed = int(stored.offset) + math.prod(stored.shape) * stored.dtype.itemsize
    there = 0
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        # To the end even where enough is there: a compressed file's checksum comes last.
        while piece := stream.read(1 << 20):
            there += len(piece)
    if there < needed:
        raise EOFError(f"the file holds {there} bytes of {needed}")
