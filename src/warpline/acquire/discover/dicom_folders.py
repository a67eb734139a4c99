"""DICOM: every folder with the files of one series is a scan."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from warpline.acquire.dicom import MAGIC, MODALITY, SERIES
from warpline.acquire.discover.by_name import folders_in
from warpline.acquire.discover.found import Found, Scan
from warpline.acquire.discover.words import AS_NAMED, time_of, words
from warpline.errors import WarplineError


def dicom_folders(folder: Path) -> Found | None:
    """The series of a folder; of patients who have several, in the order of their folders."""
    import SimpleITK as sitk

    assumed: list[str] = []
    scans: list[Scan] = []
    for place in _places(folder):
        relative = place.relative_to(folder)
        series, modality = _series(sitk, place)
        if len(series) > 1:
            assumed.append(f"{relative} is left out: it holds {len(series)} series; part them.")
            continue
        if modality != "CT":
            assumed.append(f"{relative} is left out: it is {modality}, and only CT is read.")
            continue
        name = "_".join(relative.parts)
        times = [time_of(word) for word in words(relative, "")]
        order = next(filter(None, times), AS_NAMED)
        scans.append(Scan(name, relative.parts[0], str(relative), order=(*order, name)))
    if not scans:
        _refuse_loose(sitk, folder)
        if assumed:
            raise WarplineError(
                "No DICOM series can be used:\n    " + "\n    ".join(assumed),
                where=folder,
                do="Give each series a folder of its own; convert others than CT to NIfTI.",
            )
        return None
    counts = Counter(scan.patient for scan in scans)
    if len(counts) == 1:  # the folder is one patient's, or its folders are series
        assumed.append("All series are taken to be one patient's.")
    return Found(folder, "DICOM series", tuple(scans), {}, tuple(assumed))


def _refuse_loose(sitk: object, folder: Path) -> None:
    """Name the series whose files lie in the folder itself, where none counts as a scan."""
    series, _ = _series(sitk, folder)
    if series:
        raise WarplineError(
            f"The folder itself holds the files of {len(series)} DICOM series; two scans are "
            "needed, each in a folder of its own.",
            where=folder.absolute(),
            do="Part the series into folders below this one, or name the folder above it.",
        )


def _places(folder: Path) -> list[Path]:
    """The folders below that hold DICOM files themselves, sorted."""
    below = ((place, names) for place, names in folders_in(folder) if place != folder)
    return [place for place, names in below if any(is_dicom(place / n) for n in names[:3])]


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM."""
    with path.open("rb") as stream:
        return stream.read(128 + len(MAGIC))[128:] == MAGIC


def _series(sitk: object, place: Path) -> tuple[set[str], str]:
    """The series in a folder, and the modality of its first file."""
    series, modality = set(), ""
    for path in sorted(p for p in place.iterdir() if p.is_file() and is_dicom(p)):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(os.fspath(path))
        reader.ReadImageInformation()
        keys = set(reader.GetMetaDataKeys())
        series.add(reader.GetMetaData(SERIES) if SERIES in keys else "")
        modality = modality or (reader.GetMetaData(MODALITY) if MODALITY in keys else "unknown")
    return series, modality.strip()
