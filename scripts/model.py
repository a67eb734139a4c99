"""Put a training's weights into the project's models, in half precision, with their card."""

import json
import shutil
from pathlib import Path

from warpline.evaluation.records import read_records
from warpline.files import atomic_path, checksum, write_json
from warpline.networks.half import save_in_half
from warpline.provenance.record import recorded_job
from warpline.tables.card import model_card

if "snakemake" in globals():
    with recorded_job(snakemake, "about"):
        output, records = snakemake.output, list(snakemake.input.records)
        save_in_half(snakemake.input.weights, output.weights)
        with atomic_path(output.history) as temporary:
            shutil.copyfile(snakemake.input.history, temporary)
        card = model_card(
            json.loads(Path(snakemake.input.sidecar).read_text(encoding="utf-8")),
            snakemake.params.about,
            read_records(records[0]) if records else None,
            checksum(output.weights),
        )
        write_json(output.card, card)
