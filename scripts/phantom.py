"""Write a phantom's archives, in its provider's format, into a local mirror."""

from collections.abc import Mapping, Sequence
from typing import Any

from warpline import phantoms
from warpline.files import atomic_folder
from warpline.jobs import job
from warpline.provenance.record import keep


def main(phantom: Mapping[str, Any], cases: Sequence[Mapping[str, str]], target: str) -> None:
    with atomic_folder(target) as folder:
        phantoms.write(phantom["kind"], phantom, cases, folder)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake, "phantom"):  # noqa: F821
        main(
            snakemake.params.phantom,  # noqa: F821
            snakemake.params.cases,  # noqa: F821
            snakemake.output[0],  # noqa: F821
        )
