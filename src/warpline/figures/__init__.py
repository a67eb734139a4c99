"""Figures, each written as PNG (200 dpi) and SVG."""

from warpline.figures.boxplots import metric_boxplots
from warpline.figures.learning import learning_curves
from warpline.figures.registration import registration_figure

__all__ = ["learning_curves", "metric_boxplots", "registration_figure"]
