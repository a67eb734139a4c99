"""CT series of The Cancer Imaging Archive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.excerpt import excerpt
from warpline.acquire.http import read_json
from warpline.acquire.patience import Patience
from warpline.acquire.transfer import download
from warpline.registry import suggestion

# Its interface: two hosts, and the version before.
SERVICES = (
    "https://services.cancerimagingarchive.net/nbia-api/services/v4",
    "https://nbia.cancerimagingarchive.net/nbia-api/services/v4",
    "https://services.cancerimagingarchive.net/nbia-api/services/v1",
)


def download_series(
    archive: Archive,
    collection: str,
    target: Path,
    progress: bool,
    patience: Patience,
) -> None:
    """The zip of the CT series of the patient whose id is the archive's name without its ending.

    Parameters
    ----------
    collection
        Its name; ``<name>@<address>``: asked of another interface than the archive's own.

    Raises
    ------
    SourceFailed
        If no interface gives the series, with what went wrong at each.
    """
    collection, _, other = collection.partition("@")
    patient = archive.name.rpartition(".")[0]
    problems = []
    for service in (other,) if other else SERVICES:
        try:
            address = f"{service}/getSeries?Collection={quote(collection)}&format=json"
            uid = _series_uid(list_series(address, patience), patient)
            # With a list of the files' MD5 in the zip; the interface tells no other checksum.
            url = f"{service}/getImageWithMD5Hash?SeriesInstanceUID={uid}"
            return download(archive, url, target, progress, patience)
        except SourceFailed as error:
            problems.append(f"{urlsplit(service).hostname}: {error}")
    raise SourceFailed("; ".join(problems))


@cache
def list_series(address: str, patience: Patience) -> tuple[Mapping[str, Any], ...]:
    """The series of a collection; asked for once, however many patients are fetched."""
    value, answer = read_json(address, "the series", "getSeries", patience)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise SourceFailed(f"{address} answers with no list of series{excerpt(answer)}")
    return tuple(value)


def _series_uid(series: Iterable[Mapping[str, Any]], patient: str) -> str:
    """UID of a patient's only CT series."""
    series = list(series)
    found = [
        str(entry.get("SeriesInstanceUID", ""))
        for entry in series
        if entry.get("PatientID") == patient and entry.get("Modality", "CT") == "CT"
    ]
    if not found:
        patients = sorted({str(entry.get("PatientID")) for entry in series})
        raise SourceFailed(
            f"the collection has no CT series of the patient '{patient}'. "
            f"{suggestion(patient, patients)}"
        )
    if len(found) > 1:
        raise SourceFailed(f"the patient '{patient}' has {len(found)} series: {', '.join(found)}")
    if not re.fullmatch(r"[0-9.]+", found[0]):
        raise SourceFailed(f"the series of the patient '{patient}' has no UID but '{found[0]}'")
    return found[0]
