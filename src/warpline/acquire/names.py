"""Names that come out of archives and answers: none leads out of its folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from warpline.errors import WarplineError
from warpline.provenance.companions import companions


def leads_out(name: str) -> bool:
    """Whether a name, on this system or another, could be of a file outside the folder it is in."""
    drive = ":" in name.split("/")[0]
    absolute = name.startswith("/") or drive
    return absolute or "\\" in name or ".." in PurePosixPath(name).parts


def inside(root: Path, name: str, where: Path) -> Path:
    """`root/name`, for a name that a file of an archive gives.

    Parameters
    ----------
    where
        The file that gives it.

    Raises
    ------
    WarplineError
        If it leads out of `root`, by itself or through a link.
    """
    path = root / name
    if "\0" in name or leads_out(name) or not path.resolve().is_relative_to(root.resolve()):
        raise WarplineError(
            f"The path '{name}' leads out of its folder.",
            where=where,
            do="Do not use this data: fetch it from its provider again, or correct the file.",
        )
    return path


def check_companions(image: Path) -> None:
    """Refuse an image of an archive whose header names voxels outside the image's folder.

    Raises
    ------
    WarplineError
        If one of its data files leads out of there.
    """
    for part in companions(image):
        named = part.relative_to(image.parent) if part.is_relative_to(image.parent) else part
        inside(image.parent, str(named), image)
