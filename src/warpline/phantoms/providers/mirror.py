"""Phantom subjects packed as the providers pack real ones, the same bytes every time."""

from __future__ import annotations

import gzip
import inspect
import json
import os
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.files import atomic_path, checksum, write_text
from warpline.images.grid import Image
from warpline.images.itk import to_sitk
from warpline.phantoms.anatomy import hippocampus
from warpline.phantoms.providers.tars import add_member
from warpline.registry import suggestion


def write_hippocampus(
    spec: Mapping[str, Any], cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``Task04_Hippocampus.tar`` with a phantom subject for each case.

    ``spec["parameters"]`` are keyword arguments of `warpline.phantoms.anatomy.hippocampus.subject`.
    """
    parameters = dict(spec.get("parameters") or {})
    check_parameters(parameters, hippocampus.subject)
    seed = int(spec.get("seed", 0))

    def make(case: str) -> hippocampus.Subject:
        # From the id, so that a case stays the same when the case sheet grows.
        return hippocampus.subject((seed, zlib.crc32(case.encode())), **parameters)

    archive = folder / "Task04_Hippocampus.tar"
    return [write_msd_archive(archive, [row["case"] for row in cases], make)]


def write_msd_archive(
    path: str | os.PathLike, cases: Sequence[str], make: Callable[[str], hippocampus.Subject]
) -> Path:
    """Write subjects as a tar of the Medical Segmentation Decathlon's Task 4.

    The checksum is entered in ``SHA256SUMS`` beside it.

    Parameters
    ----------
    cases
        Case ids, the ends of the file names.
    make
        The subject of a case id.
    """
    path = Path(path)
    cases = sorted(cases)
    task = path.name.removesuffix(".tar")
    stems = {case: f"hippocampus_{case}.nii.gz" for case in cases}
    description = {
        "name": "Hippocampus",
        "description": "Phantom of the left and right hippocampus",
        "reference": "warpline.phantoms.anatomy.hippocampus",
        "licence": "none: synthetic",
        "relase": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": len(cases),
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{stem}", "label": f"./labelsTr/{stem}"}
            for stem in stems.values()
        ],
        "test": [],
    }
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        add_member(tar, f"{task}/dataset.json", json.dumps(description, indent=1).encode())
        for case in cases:
            subject = make(case)
            add_member(tar, f"{task}/imagesTr/{stems[case]}", nifti(subject.image))
            add_member(tar, f"{task}/labelsTr/{stems[case]}", nifti(subject.labels))
    enter_checksum(path)
    return path


def nifti(image: Image) -> bytes:
    """An image as compressed NIfTI, without the time of writing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        sitk.WriteImage(to_sitk(image), os.fspath(path))
        return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes = b"") -> None:
    """Add a file or folder whose entry depends on nothing but its name and content."""
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


def check_parameters(parameters: Mapping[str, Any], function: Callable) -> None:
    """Refuse parameters of a phantom that are no keyword arguments of what makes it."""
    known = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in parameters:
        if name not in known:
            raise WarplineError(
                f"The phantom has no parameter '{name}'.",
                where="key 'phantom.parameters' of the dataset file",
                do=suggestion(name, known),
            )
