"""Collect the records of a paper and make its tables from them."""

from functools import partial
from pathlib import Path

from warpline.evaluation.pooling import pool_records
from warpline.evaluation.records import read_records, write_records
from warpline.provenance.record import recorded_job
from warpline.report.pieces import Piece, make_pieces
from warpline.tables.paper import write_table

if "snakemake" in globals():
    with recorded_job(snakemake, "values") as entries:
        sources, params = list(snakemake.input.records), snakemake.params
        records = pool_records(map(read_records, sources), params.names)
        write_records(records, snakemake.output.records)
        pieces = [
            Piece(
                name,
                {"table": spec, "values": params["values"], "code": params.table_code},
                [snakemake.output.records, *snakemake.input.templates],
                params.files[name],
                partial(write_table, records, spec, params["values"], Path(params.files[name][0])),
            )
            for name, spec in params.tables.items()
        ]
        made = make_pieces(pieces, params.memory, params.results)
        entries["apart"] = {
            file: {"settings": piece.settings, "inputs": sources} if piece.name in made else None
            for piece in pieces
            for file in piece.files
        }
