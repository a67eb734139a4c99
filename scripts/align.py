"""Align a batch of prepared cases to the dataset's reference case by an affine transformation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.cases.case import read_case, write_case
from warpline.cases.steps.geometry import grid_about_mask, move_case, without_landmarks_outside
from warpline.files import atomic_folder, write_json
from warpline.provenance.record import recorded_job
from warpline.registration.baselines.affine import prealign


def main(
    source: str,
    cases: Sequence[str],
    reference: str,
    setting: Mapping[str, Any],
    parameter_files: Sequence[str],
    target: str,
) -> None:
    fixed = read_case(Path(reference) / setting["reference"])
    grid = grid_about_mask(fixed, setting["shape"]) if setting["shape"] else fixed.grid
    with atomic_folder(target) as folder:
        for case_id in cases:
            case = read_case(Path(source) / case_id)
            matrix = prealign(
                case.image,
                fixed.image,
                tool=setting["tool"],
                transform=setting["transform"],
                parameter_files=parameter_files,
                parameters=setting["parameters"],
                seed=setting["seed"],
                names=(case_id, fixed.id),
            )
            moved = move_case(case, matrix, grid)
            if setting["shape"]:
                moved = without_landmarks_outside(moved)
            write_case(folder / case_id, moved)
            write_json(folder / case_id / "affine.json", matrix.tolist())
            print(case_id, flush=True)


if "snakemake" in globals():
    with recorded_job(snakemake, "prealign"):
        main(
            snakemake.input.batch,
            snakemake.params.cases,
            snakemake.input.reference,
            snakemake.params.prealign,
            snakemake.input.parameters,
            snakemake.output[0],
        )
