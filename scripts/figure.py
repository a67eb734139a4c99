"""Draw a paper's figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.plan.kinds import FIGURES
from warpline.provenance.record import recorded_job
from warpline.registry import lookup


def main(spec: Mapping[str, Any], sources: Mapping[str, Any], target: str) -> None:
    draw = lookup(
        spec["kind"], {name: kind.draw for name, kind in FIGURES.items()}, "kind of figure"
    )
    draw(spec, sources, Path(target).with_suffix(""))


if "snakemake" in globals():
    with recorded_job(snakemake, "figure"):
        main(
            snakemake.params.figure,
            snakemake.params.sources,
            snakemake.output.png,
        )
