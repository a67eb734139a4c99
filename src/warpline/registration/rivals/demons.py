"""Demons by SimpleITK, diffeomorphic (Vercauteren et al. 2009, NeuroImage 45:S61) or symmetric.

Symmetric are the forces of both images' gradients (Wang et al. 2005, Phys Med Biol 50:2887); the
diffeomorphic filter composes with the exponential of each update.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.itk import from_sitk, to_sitk
from warpline.plan.recipe import Parameters
from warpline.registration import rivals

FILTERS = {
    "diffeomorphic": sitk.DiffeomorphicDemonsRegistrationFilter,
    "symmetric": sitk.FastSymmetricForcesDemonsRegistrationFilter,
}
KEYS = ("variant", "shrink", "iterations", "smoothing", "match_histograms")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Registration of two images of like intensities, from coarse to fine.

    Parameters
    ----------
    parameters
        ``variant`` (of `FILTERS`); ``shrink``, a factor a level, and its ``iterations``;
        ``smoothing``, the standard deviation in voxels of the Gaussian that smooths the field in
        every iteration; ``match_histograms``, whether the moving image first gets the fixed one's.
    place, seed
        Not used.

    Raises
    ------
    WarplineError
        For parameters that do not fit.
    """
    own = rivals.settings(parameters, KEYS, "demons")
    if own["variant"] not in FILTERS or len(own["shrink"]) != len(own["iterations"]):
        raise WarplineError(
            "Demons need one of the variants "
            + " and ".join(FILTERS)
            + ", and as many 'iterations' as 'shrink' factors.",
            where="parameters",
        )
    target, source = (
        to_sitk(case.image.with_array(case.image.array.astype(np.float32)))
        for case in (fixed, moving)
    )
    if own["match_histograms"]:
        source = sitk.HistogramMatching(source, target, 1024, 7, thresholdAtMeanIntensity=True)
    # The demons' force needs the moving image wherever the fixed one is.
    source = sitk.Resample(source, target, sitk.Transform(), sitk.sitkLinear, _border(source))
    demons = FILTERS[own["variant"]]()
    demons.SetNumberOfThreads(threads)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(float(own["smoothing"]))
    field = None
    for shrink, iterations in zip(own["shrink"], own["iterations"], strict=True):
        demons.SetNumberOfIterations(int(iterations))
        one, other = _shrunk(target, shrink), _shrunk(source, shrink)
        field = (
            demons.Execute(one, other)
            if field is None
            else demons.Execute(one, other, _on(field, one))
        )
    found = from_sitk(_on(field, target))
    return DisplacementField(found.array, fixed.grid), {}


def _border(image: sitk.Image) -> float:
    return float(sitk.GetArrayViewFromImage(image).min())


def _shrunk(image: sitk.Image, factor: int) -> sitk.Image:
    """An image smoothed and taken at every `factor`-th voxel, never below eight along an axis."""
    factors = [max(1, min(int(factor), size // 8)) for size in image.GetSize()]
    if factors == [1, 1, 1]:
        return image
    widths = [
        max(0.5 * step * spacing, 1e-6)
        for step, spacing in zip(factors, image.GetSpacing(), strict=True)
    ]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, widths), factors)


def _on(field: sitk.Image, like: sitk.Image) -> sitk.Image:
    """A field read on another image's grid; beyond its own it goes on with its border's value."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(like)
    resampler.SetUseNearestNeighborExtrapolator(True)
    resampler.SetInterpolator(sitk.sitkLinear)
    return resampler.Execute(field)
