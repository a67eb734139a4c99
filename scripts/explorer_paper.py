"""Write a paper's part of the pages to look through its results, if it has changed."""

from functools import partial

from warpline.provenance.record import recorded_job
from warpline.report.pieces import Piece, make_pieces


def write(name, piece, results, chosen):
    from warpline.explorer.build import write_paper

    write_paper(name, piece["about"], piece["sources"], results, chosen, piece["values"])


if "snakemake" in globals():
    with recorded_job(snakemake, "chosen"):
        params = snakemake.params
        make = partial(write, params.paper, params.piece, params.results, params.chosen)
        settings = {**params.piece, "chosen": params.chosen, "code": params.code}
        files = [f"{snakemake.output[0]}/paper.js"]
        piece = Piece(params.paper, settings, list(snakemake.input), files, make)
        make_pieces([piece], params.memory, params.results)
