"""Unpack a verified archive."""

import json
from pathlib import Path

from warpline.acquire.unpack import unpack
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake):
        verified = json.loads(Path(snakemake.input[0]).read_text(encoding="utf-8"))
        unpack(snakemake.params.archive, snakemake.output[0], sha256=verified["sha256"])
