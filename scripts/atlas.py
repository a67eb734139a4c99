"""Choose the dataset's atlas among its candidates and copy it."""

from collections.abc import Mapping

from warpline.cases.atlas import make_atlas
from warpline.files import atomic_folder
from warpline.provenance.record import recorded_job


def main(folders: Mapping[str, str], target: str) -> None:
    with atomic_folder(target) as folder:
        chosen = make_atlas(folders, folder)
        print(f"atlas: {chosen}, one of {len(folders)} candidates", flush=True)


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(snakemake.params.folders, snakemake.output[0])
