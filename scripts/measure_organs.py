"""Volumes and places of the organs that training cases have annotated."""

from collections.abc import Mapping

import pandas as pd

from warpline.cases.folders import read_cases
from warpline.cases.organs import NUMBER
from warpline.files import atomic_path
from warpline.provenance.record import recorded_job
from warpline.segmentation.noisy_labels import known_organs, measure


def main(folders: Mapping[str, str], target: str) -> None:
    organs = list(NUMBER.values())
    tables = []
    for case_id in folders:
        (case,) = read_cases(folders, [case_id])
        if case.labels is not None:
            known = known_organs(case, organs)
            tables.append(measure(case.labels, known, case_id))
        print(case_id, flush=True)
    with atomic_path(target) as temporary:
        pd.concat(tables, ignore_index=True).to_csv(temporary, index=False)


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(snakemake.params.folders, snakemake.output[0])
