"""Draw the learning curves of all networks of a paper."""

from collections.abc import Sequence
from pathlib import Path

from warpline.figures.learning import learning_curves
from warpline.jobs import job


def main(histories: Sequence[str], titles: Sequence[str], target: str) -> None:
    logs = dict(zip(titles, histories, strict=True))
    learning_curves(logs, Path(target).with_suffix(""), against="epoch")


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads):  # noqa: F821
        main(
            list(snakemake.input),  # noqa: F821
            snakemake.params.titles,  # noqa: F821
            snakemake.output.png,  # noqa: F821
        )
