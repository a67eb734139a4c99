"""Make a paper's table from its records, in four formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.evaluation.records import read_records
from warpline.jobs import job
from warpline.provenance.record import keep
from warpline.tables import Table, build, write_all


def main(records: str, spec: Mapping[str, Any], target: str, values: Mapping[str, Any]) -> None:
    path = Path(target)
    write_all(Table(build(read_records(records), spec), spec, values), path.parent, path.stem)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake, "table", "values"):  # noqa: F821
        main(
            snakemake.input[0],  # noqa: F821
            snakemake.params.table,  # noqa: F821
            snakemake.output.csv,  # noqa: F821
            snakemake.params["values"],  # noqa: F821
        )
