"""Collect the records of a paper and make its tables from them."""

from functools import partial
from pathlib import Path

from warpline.provenance.record import recorded_job
from warpline.report.pieces import Piece, make_pieces


def pool(sources, names, target):
    from warpline.evaluation.pooling import pool_records
    from warpline.evaluation.records import read_records, write_records

    records = pool_records(map(read_records, sources), names)
    write_records(records, target)
    return records


def write(records, spec, values, target):
    from warpline.tables.paper import write_table

    write_table(records, spec, values, target)


def check(records, claims, tables, target):
    from warpline.tables.paper import write_claims

    write_claims(records, claims, tables, target)


if "snakemake" in globals():
    with recorded_job(snakemake, "values") as entries:
        sources, params, output = list(snakemake.input.records), snakemake.params, snakemake.output
        records = pool(sources, params.names, output.records)
        pieces = [
            Piece(
                name,
                {"table": spec, "values": params["values"], "code": params.table_code},
                [output.records, *snakemake.input.templates],
                params.files[name],
                partial(write, records, spec, params["values"], Path(params.files[name][0])),
            )
            for name, spec in params.tables.items()
        ]
        pieces.append(
            Piece(
                " claims",  # no name of a table has a space
                {"claims": params.claims, "tables": params.tables, "code": params.claim_code},
                [output.records],
                [output.claims],
                partial(check, records, params.claims, params.tables, output.claims),
            )
        )
        made = make_pieces(pieces, params.memory, params.results)
        entries["apart"] = {
            file: {"settings": piece.settings, "inputs": sources} if piece.name in made else None
            for piece in pieces
            for file in piece.files
        }
