"""Bring an archive into the data folder and verify it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.download import Archive, fetch, source_of
from warpline.jobs import job
from warpline.provenance.record import keep


def main(name: str, spec: Mapping[str, Any], folder: str) -> Path:
    return fetch(Archive.from_spec(name, spec), folder)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake) as kept:  # noqa: F821
        path = main(
            snakemake.wildcards.archive,  # noqa: F821
            snakemake.params.archive,  # noqa: F821
            snakemake.params.folder,  # noqa: F821
        )
        kept["archives"] = [source_of(path)]
