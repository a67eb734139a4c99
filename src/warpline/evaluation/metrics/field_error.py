"""How far an estimated field is from a known one."""

from __future__ import annotations

import numpy as np


def field_error(
    estimated: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None
) -> dict[str, float]:
    """Mean absolute error of a field, in all and along each axis (Sokooti et al. 2017, MAE).

    The whole is the sum of the axes' absolute errors: in the paper's table 2.1 the three parts
    add up to the total.

    Parameters
    ----------
    estimated, truth
        (z, y, x, 3), components (x, y, z) in mm.
    mask
        (z, y, x); voxels where it is 0 do not count. All count if it is None.

    Returns
    -------
    dict
        `mae`, `mae_x`, `mae_y`, `mae_z` and the standard deviations over voxels `mae_sd`,
        `mae_x_sd`, …, in mm; NaN if the mask is empty.
    """
    difference = np.asarray(estimated, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    errors = np.abs(difference if mask is None else difference[np.asarray(mask) > 0])
    errors = errors.reshape(-1, 3)
    result = {}
    for name, values in [("mae", errors.sum(axis=1))] + [
        (f"mae_{axis}", errors[:, k]) for k, axis in enumerate("xyz")
    ]:
        result[name] = float(values.mean()) if values.size else float("nan")
        result[f"{name}_sd"] = float(values.std()) if values.size else float("nan")
    return result
