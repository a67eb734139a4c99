"""Collect the records of a paper and make its tables from them."""

from functools import cache, partial
from pathlib import Path

from warpline.provenance.record import recorded_job
from warpline.report.pieces import Piece, make_pieces


def pool(sources, names, target):
    from warpline.evaluation.pooling import pool_records
    from warpline.evaluation.records import read_records, write_records

    write_records(pool_records(map(read_records, sources), names), target)


@cache
def read(path):
    from warpline.evaluation.records import read_records

    return read_records(path)


def write(path, spec, values, target, kept, origin):
    from warpline.tables.paper import write_table

    write_table(read(path), spec, values, target, kept, origin)


def check(path, claims, tables, target):
    from warpline.tables.paper import write_claims

    write_claims(read(path), claims, tables, target)


if "snakemake" in globals():
    with recorded_job(snakemake, "values") as entries:
        sources, params, output = list(snakemake.input.records), snakemake.params, snakemake.output
        pooled, values = output.records, params["values"]
        origin = {"names": params.names, "code": params.pool_code}
        make = partial(pool, sources, params.names, pooled)
        pieces = [Piece(" records", origin, sources, [pooled], make)]
        for name, spec in params.tables.items():
            settings = {"table": spec, "values": values, "code": params.table_code}
            files = params.files[name]
            kept = Path(params.memory).with_name("numbers") / f"{name}.parquet"
            origin = [params.numbers[name], params.table_code]
            make = partial(write, pooled, spec, values, Path(files[0]), kept, origin)
            inputs = [pooled, *snakemake.input.templates]
            pieces.append(Piece(name, settings, inputs, files, make))
        claims = {"claims": params.claims, "tables": params.numbers, "code": params.claim_code}
        make = partial(check, pooled, params.claims, params.tables, output.claims)
        pieces.append(Piece(" claims", claims, [pooled], [output.claims], make))
        made = make_pieces(pieces, params.memory, params.results)
        entries["apart"] = {
            file: {"settings": piece.settings, "inputs": sources} if piece.name in made else None
            for piece in pieces
            for file in piece.files
        }
