"""Draw the learning curves of all networks of a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from warpline.figures.learning import learning_curves
from warpline.jobs import job
from warpline.provenance.record import keep


def main(logs: Mapping[str, Sequence[str]], target: str) -> None:
    learning_curves(logs, Path(target).with_suffix(""), against="epoch")


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake):  # noqa: F821
        main(snakemake.params.logs, snakemake.output.png)  # noqa: F821
