"""Overlap of label maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from warpline.images.regions import Box, bounding_boxes, union


def dice(
    fixed: np.ndarray,
    warped: np.ndarray,
    labels: Iterable[int],
    boxes: tuple[Mapping[int, Box], Mapping[int, Box]] | None = None,
) -> dict[int, float]:
    """Dice coefficient 2|A ∩ B| / (|A| + |B|) of each label.

    Parameters
    ----------
    fixed, warped
        Integer label maps (z, y, x) on one grid.
    labels
        The positive label values to compare.
    boxes
        The `bounding_boxes` of both maps, if they are known.

    Returns
    -------
    dict
        Label value → Dice in [0, 1]; NaN where neither map holds the label. A label that one map
        alone holds has a Dice of 0: whether it should count then is for the caller to say
        (`evaluate_pair` counts the labels that both cases held before the registration, as the
        Learn2Reg challenge does).
    """
    if fixed.shape != warped.shape:
        raise ValueError(f"label maps of shapes {fixed.shape} and {warped.shape}")
    in_fixed, in_warped = boxes or (bounding_boxes(fixed), bounding_boxes(warped))
    result = {}
    for label in labels:
        first, second = in_fixed.get(label), in_warped.get(label)
        if first is None and second is None:
            result[label] = float("nan")
        elif first is None or second is None:
            result[label] = 0.0
        else:
            box = union(first, second)
            a, b = fixed[box] == label, warped[box] == label
            sizes = np.count_nonzero(a) + np.count_nonzero(b)
            result[label] = 2.0 * np.count_nonzero(a & b) / sizes
    return result


def agreement(fixed: np.ndarray, warped: np.ndarray) -> float:
    """Fraction of voxels, background included, whose labels agree; label maps (z, y, x).

    The authors of Bouabid et al. 2019 compute their "Dice" so.
    """
    if fixed.shape != warped.shape:
        raise ValueError(f"label maps of shapes {fixed.shape} and {warped.shape}")
    return float(np.mean(fixed == warped))
