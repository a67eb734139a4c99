"""Bring an archive into the data folder and verify it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.download import Archive, fetch
from warpline.jobs import job


def main(name: str, spec: Mapping[str, Any], folder: str) -> Path:
    return fetch(Archive.from_spec(name, spec), folder)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads):  # noqa: F821
        main(
            snakemake.wildcards.archive,  # noqa: F821
            snakemake.params.archive,  # noqa: F821
            snakemake.params.folder,  # noqa: F821
        )
