"""Draw a paper's figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.figures import KINDS
from warpline.jobs import job
from warpline.provenance.record import keep
from warpline.registry import lookup


def main(spec: Mapping[str, Any], sources: Mapping[str, Any], target: str) -> None:
    draw = lookup(spec["kind"], KINDS, "kind of figure")
    draw(spec, sources, Path(target).with_suffix(""))


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake, "figure"):  # noqa: F821
        main(
            snakemake.params.figure,  # noqa: F821
            snakemake.params.sources,  # noqa: F821
            snakemake.output.png,  # noqa: F821
        )
