"""Figures, each written as PNG (200 dpi) and SVG.

A kind of figure is one module here with a function ``draw(spec, sources, stem)``: `spec` is the
figure's entry in the paper file, `sources` what `workflow/functions/report.smk` gives this kind.
Imported while the Snakefile is parsed: nothing heavy here.
"""

KINDS = {
    "architecture": "warpline.figures.architecture:draw",
    "axis_scatter": "warpline.figures.axis_scatter:draw",
    "boxplot": "warpline.figures.boxplots:draw",
    "differences": "warpline.figures.differences:draw",
    "distributions": "warpline.figures.distributions:draw",
    "embedding": "warpline.figures.embedding:draw",
    "exploration": "warpline.figures.exploration:draw",
    "landmarks": "warpline.figures.landmarks:draw",
    "noisy_labels": "warpline.figures.noisy_labels:draw",
    "registration": "warpline.figures.registration:draw",
    "residuals": "warpline.figures.residuals:draw",
    "synthetic": "warpline.figures.synthetic:draw",
}
