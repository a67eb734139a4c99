"""Image files, whole or refused."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images import metaimage, nifti, placed
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk, grid_of, to_sitk
from warpline.images.memory import check_fits
from warpline.images.packing import pack
from warpline.images.several import check_axes, check_number, one_of
from warpline.provenance.companions import companions

log = logging.getLogger(__name__)

# Whose completeness is verified, and what of ITK reads them; nrrd's own reader verifies it.
READERS = {
    ".nii": "NiftiImageIO",
    ".hdr": "NiftiImageIO",
    ".img": "NiftiImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
}
DAMAGED = (RuntimeError, EOFError, OSError, zlib.error, MemoryError, OverflowError, ValueError)
ONE_NUMBER = (
    "Make one number of them, such as the mean of the colours, or take the channel that shows the "
    "anatomy."
)
WORTH = 0.8  # of the size, which packing must reach where it is to be quick
SMALLEST_STEP = 1e-6  # of a unit volume, what three axes must span


def read_image(path: str | os.PathLike) -> Image:
    """Read a three-dimensional image: NIfTI (``.nii``, ``.hdr`` with ``.img``), MetaImage or NRRD.

    Voxels that are no finite numbers stay what they are. The suffix, in whatever capitals, tells
    the format; other formats are refused, since their readers do not notice that an end is missing.

    Raises
    ------
    WarplineError
        If the file is missing, unreadable, incomplete or not three-dimensional, is of another
        format, does not say where its voxels lie, or needs more memory than there is.
    """
    path = Path(path)
    with _refusing(path) as reader:
        image = _read(path, reader)
    log.info("%s: %s", path, _in_words(image))
    return image


def read_volume(path: str | os.PathLike, number: int) -> Image:
    """One volume, counted from 0, of a file with several; of a file with one, that one.

    Raises
    ------
    WarplineError
        As `read_image`, and if there is no such volume.
    """
    path = Path(path)
    with _refusing(path) as reader:
        if reader != "NiftiImageIO":
            return _read(path, reader, number)
        stored = nifti.read_header(path)
    if len(stored.shape) != 4 or stored.dtype.kind not in "iuf":
        return read_image(path)
    check_number(number, stored.shape[3], path)
    with _refusing(path):
        check_fits(math.prod(stored.shape) * stored.dtype.itemsize, [path])
        grid, stack = _own_grid(stored, path), nifti.read_plain(stored)
    array, (slope, intercept) = stack[number], stored.scale
    if (slope, intercept) != (1.0, 0.0):
        kind = np.float64 if stored.dtype.itemsize > 4 else np.float32
        array = array.astype(kind) * kind(slope) + kind(intercept)
    return Image(array.copy(), grid)


def read_grid(path: str | os.PathLike) -> Grid:
    """The grid of an image's file, of which the header alone is read; see `read_image`."""
    path = Path(path)
    with _refusing(path) as reader, _named_for_itk(path) as name:
        header = sitk.ImageFileReader()
        header.SetImageIO(reader)
        header.SetFileName(os.fspath(name))
        stored = nifti.read_header(path) if reader == "NiftiImageIO" else None
        if stored is not None and not _is_itk_s(stored):
            return _own_grid(stored, path)
        header.ReadImageInformation()
        grid = grid_of(header)
        if len(grid.shape) > 3:
            grid = _first_three(grid)
        spacing = None if stored is None else nifti.spacing_of(stored, path)
        return _checked(grid, spacing, path)


@contextmanager
def _refusing(path: Path) -> Iterator[str]:
    """Yield what of ITK reads a file; what is wrong with the file becomes an error in words."""
    if not path.exists():
        raise WarplineError("The image file does not exist.", where=path, do="Check the path.")
    suffix = _suffix(path)
    if suffix not in READERS:
        raise WarplineError(
            f"Images of the kind '{path.suffix}' are not read: whether such a file is complete "
            "cannot be verified.",
            where=path,
            do=f"Convert it to .nii.gz, .mha or .nrrd (read are: {', '.join(READERS)}).",
        )
    try:
        yield READERS[suffix]
    except DAMAGED as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise WarplineError(
            f"The image file cannot be read ({reason}).",
            where=path,
            do="Fetch or export the file again: it is corrupt or of an unknown format.",
        ) from error


def write_image(path: str | os.PathLike, image: Image, *, quick: bool = False) -> None:
    """Write an image atomically; the suffix chooses the format.

    `quick`: what packing would make smaller by little is stored as it is, in ``.nii.gz``.

    Raises
    ------
    WarplineError
        If the suffix is of no format that holds a volume and where it lies.
    OSError
        If it cannot be written.
    """
    if _suffix(Path(path)) not in READERS:
        raise WarplineError(
            f"Images of the kind '{Path(path).suffix}' are not written.",
            where=path,
            do="Let the name end in .nii.gz, .nii, .mha or .nrrd.",
        )
    with atomic_path(path) as temporary:
        try:
            if temporary.name.lower().endswith(".nii.gz"):
                _write_packed(temporary, image, WORTH if quick else 1.0)
            else:
                sitk.WriteImage(to_sitk(image), os.fspath(temporary), useCompression=True)
                _check_complete(temporary)
        except (RuntimeError, EOFError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise OSError(f"writing {path} failed: {reason} (is the disk full?)") from error


def _write_packed(path: Path, image: Image, worth: float) -> None:
    """Write NIfTI packed by gzip: as ITK writes it, but on all threads, and where that is quick."""
    plain = path.with_name(path.name[: -len(".gz")])
    try:
        sitk.WriteImage(to_sitk(image), os.fspath(plain), useCompression=False)
        stored = nifti.read_header(plain)
        there, needed = plain.stat().st_size, nifti.whole_size(stored)
        if there != needed:
            raise EOFError(f"the file holds {there} bytes of {needed}")
        pack(plain, path, worth)
    finally:
        plain.unlink(missing_ok=True)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return Path(name.removesuffix(".gz") if nifti.is_nifti(name) else name).suffix


def _read(path: Path, reader: str, number: int | None = None) -> Image:
    """The image of a file, of several volumes that of a number.

    What is wrong with it raises one of `DAMAGED`.
    """
    with _named_for_itk(path) as name:
        header = sitk.ImageFileReader()
        header.SetImageIO(reader)
        header.SetFileName(os.fspath(name))
        # First: what ITK says of an incomplete file is obscure, if it says anything.
        stored = nifti.read_header(path) if reader == "NiftiImageIO" else None
        if reader == "MetaImageIO":
            metaimage.check_complete(path)
        if stored is not None and not _is_itk_s(stored):
            return _read_without_itk(stored, path)
        header.ReadImageInformation()
        size = header.GetSize()
        check_fits(_bytes(header), [path, *companions(path)])
        spacing = None if stored is None else nifti.spacing_of(stored, path)
        if stored is not None and stored.is_plain and size == stored.shape:
            grid = _checked(grid_of(header), spacing, path)
            if not nifti.is_analyze(stored.header):
                placed.say_what_was_taken(stored.header, stored.shape, grid, path)
            return Image(nifti.read_plain(stored), grid)
        places, values = (None, None) if stored is None else nifti.read_not_finite(stored)
        image = header.Execute()
    image = one_of(image, number, path)
    check_axes(image.GetSize(), path)
    read = from_sitk(image)
    if read.array.dtype.kind == "c":
        raise WarplineError("The image holds complex numbers; real ones are needed.", where=path)
    if places is not None and len(places):
        voxels = math.prod(read.grid.shape)
        # ITK has put 0 there.
        by_voxel = read.array.reshape(voxels, -1)
        by_voxel[places % voxels, places // voxels] = values * stored.scale[0]
    grid = _checked(read.grid, spacing, path)
    if stored is not None and not nifti.is_analyze(stored.header):
        placed.say_what_was_taken(stored.header, stored.shape, grid, path)
    return Image(read.array, grid)


def _in_words(image: Image) -> str:
    """Size, spacing, place and type of an image, as read."""
    grid = image.grid
    size = " × ".join(map(str, grid.shape[::-1]))
    spacing = " × ".join(f"{mm:.4g}" for mm in grid.spacing)
    origin = ", ".join(f"{mm:.4g}" for mm in grid.origin)
    turn = ", ".join(f"{value:.4g}" for value in grid.direction)
    return (
        f"{size} voxels of {spacing} mm, {image.array.dtype}; the first is placed by the header at "
        f"({origin}) mm, LPS, the axes' directions are ({turn})"
    )


def _is_itk_s(stored: nifti.Stored) -> bool:
    """Whether ITK can read a NIfTI file: no NIfTI-2, no sheared sform, no gzip named .nii."""
    sheared = not nifti.is_analyze(stored.header) and placed.is_sheared(stored.header)
    packed = stored.path.suffix.lower() == ".nii" and nifti.is_packed(stored.path)
    return not (stored.is_second or sheared or packed)


def _own_grid(stored: nifti.Stored, path: Path) -> Grid:
    """The grid of a NIfTI file that ITK does not read."""
    spacing = None if placed.is_sheared(stored.header) else nifti.spacing_of(stored, path)
    grid = placed.grid_of_header(stored.header, (*stored.shape, 1, 1)[:3])
    grid = _checked(placed.right_angled(grid, path), spacing, path)
    placed.say_what_was_taken(stored.header, stored.shape, grid, path)
    return grid


def _read_without_itk(stored: nifti.Stored, path: Path) -> Image:
    check_axes(stored.shape, path)
    check_fits(math.prod(stored.shape) * stored.dtype.itemsize, [path])
    if stored.dtype.kind not in "iuf":
        raise WarplineError(
            "The image has more than one number a voxel.", where=path, do=ONE_NUMBER
        )
    grid, array = _own_grid(stored, path), nifti.read_plain(stored)
    slope, intercept = stored.scale
    if (slope, intercept) != (1.0, 0.0):
        kind = np.float64 if stored.dtype.itemsize > 4 else np.float32
        array = array.astype(kind) * kind(slope) + kind(intercept)
    return Image(array, grid)


def _first_three(grid: Grid) -> Grid:
    """The grid of the first three axes."""
    axes = len(grid.shape)
    direction = np.reshape(grid.direction, (axes, axes))[:3, :3]
    return Grid(
        grid.shape[-3:], grid.spacing[:3], grid.origin[:3], tuple(map(float, direction.ravel()))
    )


def _checked(grid: Grid, spacing: tuple[float, float, float] | None, path: Path) -> Grid:
    """A grid that says where its voxels lie, with another spacing if one is given."""
    grid = grid if spacing is None else replace(grid, spacing=spacing)
    numbers = (*grid.spacing, *grid.origin, *grid.direction)
    span = abs(np.linalg.det(np.reshape(grid.direction, (3, 3)))) if len(numbers) == 15 else 1.0
    if np.isfinite(numbers).all() and min(grid.spacing) > 0 and span > SMALLEST_STEP:
        return grid
    raise WarplineError(
        f"The image does not say where its voxels lie: spacing {grid.spacing} mm, origin "
        f"{grid.origin} mm, direction {grid.direction}.",
        where=path,
        do="Correct the header, or export the file again.",
    )


def _bytes(header: sitk.ImageFileReader) -> int:
    """How many bytes an image has in memory."""
    component = sitk.Image((1, 1), header.GetPixelID()).GetSizeOfPixelComponent()
    return math.prod(header.GetSize()) * header.GetNumberOfComponents() * component


@contextmanager
def _named_for_itk(path: Path) -> Iterator[Path]:
    """A path to the same file whose suffix is in small letters: others ITK does not know."""
    suffixes = "".join(path.suffixes[-2:])
    if suffixes == suffixes.lower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        for part in (path, *companions(path)):
            both = part == path or nifti.is_nifti(path.name)  # other data files keep their names
            named = part.with_name(_lower_suffix(part)) if both else part
            link = Path(os.path.normpath(Path(folder) / os.path.relpath(named, path.parent)))
            if not link.is_relative_to(folder):
                raise OSError(f"its data file '{part}' lies outside its folder")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(part.absolute())
        yield Path(folder) / _lower_suffix(path)


def _lower_suffix(path: Path) -> str:
    suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() == ".gz" else path.suffix
    return path.name.removesuffix(suffixes) + suffixes.lower()


def _check_complete(path: Path) -> None:
    """Refuse a NIfTI or MetaImage file that ends too early.

    ITK writes one without a word where the disk is full.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the file is incomplete, or its compressed content is damaged.
    """
    if path.suffix.lower() in metaimage.SUFFIXES:
        metaimage.check_complete(path)
    elif nifti.is_nifti(path.name):
        nifti.read_not_finite(nifti.read_header(path))
