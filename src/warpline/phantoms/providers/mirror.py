"""What the mirrors of all providers share: members of archives, the same bytes every time."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path

import SimpleITK as sitk

from warpline.files import checksum, write_text
from warpline.images.grid import Image
from warpline.images.itk import to_sitk


def nifti(image: Image) -> bytes:
    """An image as compressed NIfTI, without the time of writing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        sitk.WriteImage(to_sitk(image), os.fspath(path))
        return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar; its header depends on nothing but its name and size."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes = b"") -> None:
    """Add a file or folder to a zip; its entry depends on nothing but its name and content."""
    info = zipfile.ZipInfo(name)  # of 1980
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # the permissions are Unix's, wherever it is written
    info.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else 0o100644 << 16
    archive.writestr(info, content)


def enter_checksum(path: Path) -> None:
    """Add or replace a file's line in the ``SHA256SUMS`` beside it."""
    sums = path.with_name("SHA256SUMS")
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    other = [line for line in lines if not re.search(rf"  {re.escape(path.name)}$", line)]
    write_text(sums, "\n".join(sorted([*other, f"{checksum(path)}  {path.name}"])) + "\n")
