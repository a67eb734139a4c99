"""Volumes and places of the organs that training cases have annotated."""

from warpline.files import atomic_path
from warpline.provenance.record import recorded_job
from warpline.segmentation.label import measured_organs

if "snakemake" in globals():
    with recorded_job(snakemake):
        table = measured_organs(snakemake.params.folders)
        with atomic_path(snakemake.output[0]) as temporary:
            table.to_csv(temporary, index=False)
