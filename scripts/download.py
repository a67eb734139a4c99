"""Bring an archive into the data folder and verify it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.verify import source_of
from warpline.files import write_json
from warpline.provenance.record import recorded_job


def main(name: str, spec: Mapping[str, Any], folder: str) -> Path:
    return fetch(Archive.from_spec(name, spec), folder)


if "snakemake" in globals():
    with recorded_job(snakemake) as kept:
        path = main(
            snakemake.wildcards.archive,
            snakemake.params.archive,
            snakemake.params.folder,
        )
        known = source_of(path)
        write_json(snakemake.output[0], known)  # what is unpacked must still be this file
        kept["archives"] = [known]
