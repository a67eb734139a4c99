"""Bring a batch of cases from their provider's format into the canonical one, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats import locate_all
from warpline.errors import WarplineError, combine
from warpline.files import atomic_folder
from warpline.provenance.record import recorded_job


def main(
    source: str, dataset: Mapping[str, Any], cases: Sequence[Mapping[str, str]], target: str
) -> None:
    labels = {int(value): name for value, name in dataset["labels"].items()}
    problems: list[WarplineError] = []
    files = locate_all(dataset["format"], source, dataset, cases, problems)
    with atomic_folder(target) as folder:
        for case_id, case_files in files.items():
            try:
                canonicalise(case_files, case_id, folder / case_id, labels=labels)
                print(case_id, flush=True)
            except WarplineError as error:  # the others may have something to tell too
                problems.append(error)
        if problems:
            raise combine(problems, f"{len(problems)} of {len(cases)} cases are refused")


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.params.cases,
            snakemake.output[0],
        )
