"""Image files, whole or refused."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images import metaimage
from warpline.images.grid import Image
from warpline.images.itk import from_sitk, grid_of, to_sitk
from warpline.images.nifti import read_plain


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
    import nibabel

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
