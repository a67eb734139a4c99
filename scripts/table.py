"""Make a paper's table from its records, in four formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.evaluation.records import read_records
from warpline.provenance.record import recorded_job
from warpline.tables import Table, build, write_all


def main(records: str, spec: Mapping[str, Any], target: str, values: Mapping[str, Any]) -> None:
    path = Path(target)
    write_all(Table(build(read_records(records), spec), spec, values), path.parent, path.stem)


if "snakemake" in globals():
    with recorded_job(snakemake, "table", "values"):
        main(
            snakemake.input[0],
            snakemake.params.table,
            snakemake.output.csv,
            snakemake.params["values"],
        )
