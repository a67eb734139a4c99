"""Steps that change intensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from warpline.cases.backgrounds import find_backgrounds
from warpline.cases.case import Case
from warpline.errors import WarplineError


def clip(case: Case, low: float | None = None, high: float | None = None) -> Case:
    """Clip intensities to [low, high]."""
    array = np.clip(case.image.array.astype(np.float32), low, high)
    return replace(case, image=case.image.with_array(array))


def clip_background(case: Case) -> Case:
    """Raise all that lies below the air inside a CT's field of view to the value of that air.

    So a scan has one background (Bouabid et al. 2019, section 4.2). A scan without air inside its
    field of view, such as a crop inside the body, is left as it is, and the log says so.
    """
    found = find_backgrounds(case.image)
    inside = [background.value for background in found if background.inside]
    if not inside:
        outside = ", ".join(f"{background.value:g}" for background in found) or "no other"
        print(f"{case.id}: no air inside the field of view ({outside} background)", flush=True)
        return case
    array = case.image.array
    return replace(
        case, image=case.image.with_array(np.maximum(array, array.dtype.type(inside[0])))
    )


def window(case: Case, low: float, high: float) -> Case:
    """Map intensities from `low` to `high`, such as HU, onto 0 to 1; what lies beyond is cut."""
    if not low < high:
        raise ValueError("'low' must be less than 'high'")
    array = case.image.array.astype(np.float32)
    array -= np.float32(low)
    array /= np.float32(high - low)
    return replace(case, image=case.image.with_array(np.clip(array, 0, 1, out=array)))


def zscore(case: Case, over: str = "all") -> Case:
    """Subtract the mean and divide by the deviation of the voxels `over` (all or positive)."""
    if over not in ("all", "positive"):
        raise ValueError(f"'over' is 'all' or 'positive', not '{over}'")
    array = _varying(case, case.image.array)
    chosen = array if over == "all" else _varying(case, array[array > 0])
    mean, deviation = chosen.mean(dtype=np.float64), chosen.std(dtype=np.float64)
    scaled = array - np.float32(mean)
    scaled /= np.float32(deviation)
    return replace(case, image=case.image.with_array(scaled))


def rescale(case: Case, low: float = 0.0, high: float = 1.0) -> Case:
    """Map the image's minimum and maximum to `low` and `high`."""
    array = _varying(case, case.image.array)
    least, most = float(array.min()), float(array.max())
    scaled = (array - least) / (most - least) * (high - low) + low
    return replace(case, image=case.image.with_array(scaled.astype(np.float32)))


def _varying(case: Case, array: np.ndarray) -> np.ndarray:
    """Intensities as float32, refused if they cannot be brought to another range."""
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        reason = "it has values that are no finite number"
    elif array.size == 0 or array.min() == array.max():
        reason = "its intensities do not vary"
    else:
        return array
    raise WarplineError(
        f"The image cannot be normalised: {reason}.",
        where=f"case {case.id}",
        do="Look at the image; take the case off the case sheet if it is of no use.",
    )
