"""Draw the figures of a paper, and the learning curves of its networks."""

from functools import partial
from pathlib import Path

from warpline.figures.entry import FigureEntry
from warpline.provenance.record import recorded_job
from warpline.registry import lookup
from warpline.report.pieces import Piece, make_pieces


def draw(name, figure):
    stem = Path(figure["files"][0]).with_suffix("")
    function = lookup(name, {name: figure["draw"]}, "figure")
    function(FigureEntry.of(figure["spec"]), stem, **figure["sources"])


if "snakemake" in globals():
    with recorded_job(snakemake, "values") as entries:
        pieces = [
            Piece(
                name,
                {key: figure[key] for key in ("spec", "sources", "code")},
                figure["inputs"],
                figure["files"],
                partial(draw, name, figure),
            )
            for name, figure in snakemake.params.figures.items()
        ]
        made = make_pieces(pieces, snakemake.params.memory, snakemake.params.results)
        entries["apart"] = {
            file: {"settings": {"figure": piece.settings["spec"]}, "inputs": list(piece.inputs)}
            if piece.name in made
            else None
            for piece in pieces
            for file in piece.files
        }
