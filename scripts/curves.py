"""Draw the learning curves of all networks of a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from warpline.figures.learning import learning_curves
from warpline.provenance.record import recorded_job


def main(logs: Mapping[str, Sequence[str]], target: str) -> None:
    learning_curves(logs, Path(target).with_suffix(""), against="epoch")


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(snakemake.params.logs, snakemake.output.png)
