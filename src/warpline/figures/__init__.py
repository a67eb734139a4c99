"""Figures, each written as PNG (200 dpi) and SVG.

A kind of figure is one module here with a function ``draw(spec, sources, stem)``: `spec` is the
figure's entry in the paper file, `sources` what its line in `warpline.plan.kinds.FIGURES` asks for.
"""
