"""Smoothness and folding, from the Jacobian determinant of a transformation."""

from __future__ import annotations

import numpy as np

SMALLEST, LARGEST = 1e-9, 1e9
PIECE = 1 << 15  # voxels at a time


def interior(determinant: np.ndarray) -> np.ndarray:
    """The determinant without its outer layer of voxels.

    `DisplacementField.jacobian_determinant` leaves out one layer of the field's grid, where there
    are no central differences; with this second one the interior is Learn2Reg's.
    """
    return determinant[1:-1, 1:-1, 1:-1]


def sdlogj(determinant: np.ndarray) -> float:
    """Standard deviation of log J on the interior.

    Where J ≤ 0 the logarithm does not exist. Such voxels are clipped to 1e-9, Learn2Reg's own
    lower bound, not dropped: dropping them would make a folded field look smoother than the same
    field without its folds. So one fold weighs heavily here; `folding_fraction` says how many
    there are.

    Parameters
    ----------
    determinant
        (z − 2, y − 2, x − 2), from `DisplacementField.jacobian_determinant`; 1 is no change of
        volume.

    Returns
    -------
    float
        NaN on a field with no interior (fewer than five voxels along an axis).
    """
    return deviation_of_log(interior(determinant), 0.0)


def sdlogj_learn2reg(determinant: np.ndarray) -> float:
    """`std(log(clip(J + 3, 1e-9, 1e9)))` on the interior: what Learn2Reg's program prints.

    The added 3 divides small deviations by about 4 and hides folds (J > −3 passes for positive),
    so this value compares with the challenge's own and with nothing else.

    Parameters
    ----------
    determinant
        (z − 2, y − 2, x − 2), of the map between voxel indices: the physical one times the ratio
        of the fixed voxel's volume to the moving one's.
    """
    return deviation_of_log(interior(determinant), 3.0)


def stdj_estienne2020(determinant: np.ndarray) -> float:
    """`std(log(clip(J + 15, 0, 1e9)))` on the interior: the evaluation of Estienne et al. 2020.

    It is in their public code, said to be changed from the challenge's. Where J ≤ −15 theirs has no
    value; such voxels are clipped to 1e-9 here. Parameters as of `sdlogj_learn2reg`.
    """
    return deviation_of_log(interior(determinant), 15.0)


def deviation_of_log(values: np.ndarray, raised: float = 0.0) -> float:
    """Standard deviation of log(J + raised) over values of J, in pieces that stay in the cache.

    The logarithms are of the values' own precision, their sums of double precision. NaN for none.
    """
    if values.size == 0:
        return float("nan")
    thickness = max(1, PIECE // values[0].size)
    middle, total, squares = None, 0.0, 0.0
    for start in range(0, len(values), thickness):
        part = values[start : start + thickness] + values.dtype.type(raised)
        np.log(np.clip(part, SMALLEST, LARGEST, out=part), out=part)
        deviation = part.ravel().astype(np.float64)
        # From any of the logarithms: sums of squares about a far number would lose digits.
        middle = deviation[0] if middle is None else middle
        deviation -= middle
        total += deviation.sum()
        squares += deviation @ deviation
    mean = total / values.size
    return float(np.sqrt(max(squares / values.size - mean**2, 0.0)))


def folding_fraction(determinant: np.ndarray) -> float:
    """Fraction of interior voxels with J ≤ 0, where the transformation is not invertible."""
    values = interior(determinant)
    if values.size == 0:
        return float("nan")
    return float(np.count_nonzero(values <= 0) / values.size)
