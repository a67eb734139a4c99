"""Bring a batch of cases from their provider's format into the canonical one, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats import locate_all
from warpline.errors import WarplineError, together
from warpline.files import atomic_folder
from warpline.jobs import job
from warpline.provenance.record import keep


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
            raise together(problems, f"{len(problems)} of {len(cases)} cases are refused")


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake):  # noqa: F821
        main(
            snakemake.params.source,  # noqa: F821
            snakemake.params.dataset,  # noqa: F821
            snakemake.params.cases,  # noqa: F821
            snakemake.output[0],  # noqa: F821
        )
