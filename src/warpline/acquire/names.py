"""Names that come out of archives and answers: none leads out of its folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from warpline.errors import WarplineError


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
            do="Do not use this archive: fetch it from its provider again.",
        )
    return path
