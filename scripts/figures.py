"""Draw the figures of a paper, and the learning curves of its networks."""

from functools import partial
from pathlib import Path

from warpline.plan.kinds import FIGURES
from warpline.plan.layout import LEARNING_CURVES
from warpline.provenance.record import recorded_job
from warpline.registry import lookup
from warpline.report.pieces import Piece, make_pieces


def draw(spec, sources, stem):
    kinds = {name: kind.draw for name, kind in FIGURES.items()}
    lookup(spec["kind"], kinds, "kind of figure")(spec, sources, stem)


def draw_curves(logs, stem):
    from warpline.figures.learning import learning_curves

    learning_curves(logs, stem, against="epoch")


if "snakemake" in globals():
    with recorded_job(snakemake, "values") as entries:
        pieces = []
        for name, figure in snakemake.params.figures.items():
            stem = Path(figure["files"][0]).with_suffix("")
            make = partial(draw, figure["spec"], figure["sources"], stem)
            if name == LEARNING_CURVES:
                make = partial(draw_curves, figure["sources"], stem)
            settings = {key: figure[key] for key in ("spec", "sources", "code")}
            pieces.append(Piece(name, settings, figure["inputs"], figure["files"], make))
        made = make_pieces(pieces, snakemake.params.memory, snakemake.params.results)
        entries["apart"] = {
            file: {"settings": {"figure": piece.settings["spec"]}, "inputs": list(piece.inputs)}
            if piece.name in made
            else None
            for piece in pieces
            for file in piece.files
        }
