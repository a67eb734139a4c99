"""Figures, each written as PNG (200 dpi) and SVG.

A kind of figure is one module here with a function ``draw(figure, stem, **sources)``: `figure` is
the entry in the paper file (`warpline.figures.entry.FigureEntry`), `sources` are what its line in
`warpline.plan.kinds.FIGURES` asks for.
"""
