"""Members of tar archives that are the same bytes every time."""

from __future__ import annotations

import io
import tarfile


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file whose header depends on nothing but its name and size."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
