"""Files of Zenodo's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.http import check_url, read_json
from warpline.acquire.patience import Patience
from warpline.registry import suggestion

API = "https://zenodo.org/api/records"


def in_record(archive: Archive, record: str, patience: Patience) -> tuple[Archive, str]:
    """An archive with what Zenodo's record says of the file of its name, and the file's URL.

    Parameters
    ----------
    record
        Its number; ``<number>@<address>``: asked of another interface than Zenodo's own.

    Raises
    ------
    SourceFailed
        If there is no such record or file, or it is not what the archive must be.
    """
    record, _, api = record.partition("@")
    if not record.isascii() or not record.isdigit():
        raise SourceFailed(f"'{record}' is not the number of a record")
    address = f"{api or API}/{record}"
    answer, _ = read_json(address, "the record's files", archive.name, patience)
    files = _record_files(answer, address)
    if archive.name not in files:
        raise SourceFailed(
            f"the record has no file of this name. {suggestion(archive.name, files)}"
        )
    entry = files[archive.name]
    try:
        url, checksum, size = str(entry["links"]["self"]), entry["checksum"].lower(), entry["size"]
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceFailed(f"{address} lacks the file's links.self, checksum or size") from error
    check_url(url, came_from=address)
    # What is known here need not wait until many gigabytes have come.
    algorithm = checksum.partition(":")[0]
    own = [value.lower() for value in archive.checksums]
    if own and checksum not in own and all(value.startswith(f"{algorithm}:") for value in own):
        raise SourceFailed(f"the record's file has {checksum} instead of {' or '.join(own)}")
    if archive.size not in (None, size):
        raise SourceFailed(f"the record's file has {size} bytes instead of {archive.size}")
    if not own and algorithm in ("md5", "sha256"):
        own = [checksum]
    return replace(archive, checksums=tuple(own), size=size), url


def _record_files(value: object, address: str) -> dict[str, Mapping[str, Any]]:
    """The entries of a record's files by name."""
    files = value.get("files") if isinstance(value, dict) else None
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise SourceFailed(f"{address} lists no files (is the record restricted?)")
    return {str(file.get("key")): file for file in files}
