"""What is measured of a registration, one idea a module; all arrays are numpy, (z, y, x)."""

from warpline.evaluation.metrics.intensity import correlation, mean_squared_error
from warpline.evaluation.metrics.jacobian import (
    folding_fraction,
    sdlogj,
    sdlogj_learn2reg,
    stdj_estienne2020,
)
from warpline.evaluation.metrics.landmarks import landmark_displacements, registration_errors
from warpline.evaluation.metrics.overlap import agreement, dice
from warpline.evaluation.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "SurfaceDistances",
    "agreement",
    "correlation",
    "dice",
    "folding_fraction",
    "landmark_displacements",
    "mean_squared_error",
    "registration_errors",
    "sdlogj",
    "sdlogj_learn2reg",
    "stdj_estienne2020",
    "surface_distances",
]
