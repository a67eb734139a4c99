"""Write a phantom's archives, in its provider's format, into a local mirror."""

from collections.abc import Mapping, Sequence
from typing import Any

from warpline import phantoms
from warpline.files import atomic_folder
from warpline.provenance.record import recorded_job


def main(phantom: Mapping[str, Any], cases: Sequence[Mapping[str, str]], target: str) -> None:
    with atomic_folder(target) as folder:
        phantoms.write(phantom["kind"], phantom, cases, folder)


if "snakemake" in globals():
    with recorded_job(snakemake, "phantom"):
        main(
            snakemake.params.phantom,
            snakemake.params.cases,
            snakemake.output[0],
        )
