"""Bring the files that a batch's cases have for themselves into the data folder, verified."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.verify import source_of
from warpline.errors import WarplineError, combine
from warpline.files import write_json
from warpline.provenance.record import recorded_job


def main(
    files: Mapping[str, Mapping[str, Mapping[str, Any]]], folder: str
) -> tuple[list[Path], dict[str, str]]:
    """The files, and the SHA-256 of each by its place in the folder."""
    fetched: list[Path] = []
    problems: list[WarplineError] = []
    for case, kinds in files.items():
        for kind, entry in kinds.items():
            try:
                archive = Archive.from_spec(entry["file"], entry, f"per_case.{kind}")
                fetched.append(fetch(archive, Path(folder) / kind))
            except WarplineError as error:  # what can be had is kept for the next time
                problems.append(error)
        print(case, flush=True)
    if problems:
        number = sum(map(len, files.values()))
        raise combine(problems, f"{len(problems)} of {number} files cannot be fetched")
    digests = {path.relative_to(folder).as_posix(): source_of(path)["sha256"] for path in fetched}
    return fetched, digests


if "snakemake" in globals():
    with recorded_job(snakemake) as kept:
        paths, digests = main(snakemake.params.files, snakemake.params.folder)
        kept["archives"] = [source_of(path) for path in paths]
        # Apart from the data, which others may write to: what is read must be what was verified.
        write_json(snakemake.output[0], digests)
