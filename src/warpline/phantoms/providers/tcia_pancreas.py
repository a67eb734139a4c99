"""Phantom abdomens as TCIA has its Pancreas-CT: DICOM series in zips, labels in archives apart."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from gzip import GzipFile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.files import atomic_path, write_text
from warpline.images.grid import Image
from warpline.images.itk import to_sitk
from warpline.phantoms.anatomy import abdomen
from warpline.phantoms.anatomy.abdomen.organs import DUODENUM
from warpline.phantoms.providers.clinical import Protocol, clinical_scan, organ, turned
from warpline.phantoms.providers.mirror import (
    add_entry,
    add_member,
    enter_checksum,
    nifti,
)
from warpline.phantoms.providers.request import Phantom

IMAGES = "images"
LABELS = "TCIA_pancreas_labels-02-05-2017"
LABEL_ARCHIVE = f"{LABELS}-1.zip"
MULTI_ORGAN = "label_tcia_multiorgan"
MULTI_ORGAN_ARCHIVE = "label_tciapancreasct_multiorgan.tar.gz"
CROPS = "cropping.csv"
CROP_COLUMNS = (
    "id,publisher,data set,original_id,"
    "extent_ant,extent_post,extent_left,extent_right,extent_inf,extent_sup"
)
AXES = "LAI"  # of the slices and of the labels
# What the multi-organ labels have of the common organs, by the same numbers.
ANNOTATED = ("spleen", "left_kidney", "gallbladder", "esophagus", "liver", "stomach", "pancreas")
DUODENUM_VALUE = 14
MARGIN = 15.0  # mm about the organs that the crop keeps
PROTOCOL = Protocol(("portal-venous",))


def write_tcia_pancreas(
    phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``images/PANCREAS_<id>.zip`` and the archives of labels.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `clinical.clinical_scan`.
    cases
        Those whose ``labels`` is ``multi-organ`` have such labels, cropped.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(clinical_scan)
    pancreas: dict[str, bytes] = {}
    several: dict[str, bytes] = {}
    crops = [CROP_COLUMNS]
    paths = []
    for number, row in enumerate(cases, start=1):
        case = row["case"]
        scan = make(phantom.seed_of(f"tcia-pancreas/{case}"), PROTOCOL)
        path = folder / IMAGES / f"PANCREAS_{case}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_series(path, f"PANCREAS_{case}", turned(scan.image, AXES))
        paths.append(path)
        stem = f"label{case}.nii.gz"
        mask = scan.labels.with_array(organ(scan, "pancreas").astype(np.uint8))
        pancreas[f"{LABELS}/{stem}"] = _label(mask)
        if row.get("labels") == "multi-organ":
            crop = crop_of(scan)
            inside = scan.labels.with_array(multi_organ(scan, crop))
            several[f"{MULTI_ORGAN}/{stem}"] = _label(inside)
            z, y, x = crop
            extents = (y.start, y.stop, x.start, x.stop, z.start, z.stop)
            crops.append(f"{number},TCIA,Pancreas-CT,{case},{','.join(map(str, extents))}")
    archive_path = folder / LABEL_ARCHIVE
    with atomic_path(archive_path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in pancreas.items():
            add_entry(archive, name, content)
    _write_tar(folder / MULTI_ORGAN_ARCHIVE, several)
    write_text(folder / CROPS, "\n".join(crops) + "\n")
    paths += [archive_path, folder / MULTI_ORGAN_ARCHIVE, folder / CROPS]
    for path in paths:
        enter_checksum(path)
    return paths


def crop_of(scan: abdomen.Scan) -> tuple[slice, slice, slice]:
    """The box, (z, y, x) from feet, front and right, in which the multi-organ labels are whole."""
    where = organ(scan, *ANNOTATED)
    crop = []
    for axis, step in enumerate(scan.labels.grid.spacing[::-1]):
        seen = np.flatnonzero(where.any(axis=tuple(k for k in range(3) if k != axis)))
        margin = round(MARGIN / step)
        low = max(0, int(seen[0]) - margin)
        crop.append(slice(low, min(where.shape[axis], int(seen[-1]) + 1 + margin)))
    return tuple(crop)


def multi_organ(scan: abdomen.Scan, crop: tuple[slice, slice, slice]) -> np.ndarray:
    """The multi-organ label map (z, y, x), uint8; nothing outside the crop."""
    labels = np.where(organ(scan, *ANNOTATED), scan.labels.array, 0).astype(np.uint8)
    labels[(labels == 0) & (scan.others.array == DUODENUM)] = DUODENUM_VALUE
    result = np.zeros_like(labels)
    result[crop] = labels[crop]
    return result


def _label(labels: Image) -> bytes:
    return nifti(turned(labels, AXES))


def _write_series(path: Path, patient: str, image: Image) -> None:
    """A zip of one DICOM file for each slice, and their checksums."""
    volume = to_sitk(image)
    direction = volume.GetDirection()
    orientation = "\\".join(f"{direction[k]:g}" for k in (0, 3, 6, 1, 4, 7))
    root = f"2.25.{zlib.crc32(patient.encode())}"
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    sums = ["file,md5"]
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        for k in range(volume.GetDepth()):
            plane = volume[:, :, k]
            position = volume.TransformIndexToPhysicalPoint((0, 0, k))
            tags = {
                "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
                "0008|0018": f"{root}.1.{k + 1}",
                "0008|0020": "20260101",
                "0008|0030": "000000",
                "0008|0060": "CT",
                "0010|0010": patient,
                "0010|0020": patient,
                "0018|0050": f"{image.grid.spacing[2]:g}",
                "0020|000d": f"{root}.0",
                "0020|000e": f"{root}.1",
                "0020|0013": str(k + 1),
                "0020|0032": "\\".join(f"{c:.6g}" for c in position),
                "0020|0037": orientation,
            }
            for tag, value in tags.items():
                plane.SetMetaData(tag, value)
            name = f"1-{k + 1:03d}.dcm"
            file = Path(folder) / name
            writer.SetFileName(os.fspath(file))
            writer.Execute(plane)
            content = file.read_bytes()
            sums.append(f"{name},{hashlib.md5(content, usedforsecurity=False).hexdigest()}")
            add_entry(archive, name, content)
        add_entry(archive, "md5hashes.csv", ("\n".join(sums) + "\n").encode())


def _write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    """A compressed tar whose bytes depend on nothing but its files."""
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as stream,
        GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in files.items():
            add_member(tar, name, content)
