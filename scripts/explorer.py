"""Write the pages to look through a run's results, each paper's only if they have changed."""

from functools import partial
from pathlib import Path

from warpline.provenance.record import recorded_job
from warpline.report.pieces import Piece, make_pieces


def write(name, piece, results, chosen):
    from warpline.explorer.build import write_paper

    about = (piece["about"], piece["sources"])
    write_paper(name, *about, results, chosen, piece["values"])


if "snakemake" in globals():
    with recorded_job(snakemake, "chosen"):
        from warpline.explorer.build import write_page
        from warpline.provenance.banner import banner

        params, page = snakemake.params, snakemake.output.page
        pieces = [
            Piece(
                name,
                {key: piece[key] for key in ("about", "sources", "values")}
                | {"chosen": params.chosen, "code": params.code},
                piece["inputs"],
                [f"{piece['folder']}/paper.js"],
                partial(write, name, piece, params.results, params.chosen),
            )
            for name, piece in params.pieces.items()
        ]
        make_pieces(pieces, params.memory, params.results)
        write_page(page, {"papers": list(params.pieces), "run": banner(params.run)})
        print(f"open {Path(page).absolute()}", flush=True)
