"""Labels for registration where only some organs are annotated: the rest is predicted and checked.

Estienne et al. 2020, section 2.1: annotations are kept, connected components taken, and what looks
wrong is taken out. They looked at every case; here rules do, and say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import ndimage

from warpline.cases.case import Case
from warpline.cases.organs import ORGANS
from warpline.errors import WarplineError
from warpline.images.grid import Image
from warpline.images.regions import bounding_boxes

ANNOTATED, PREDICTED = "annotated", "predicted"
# Standard deviations are taken to be at least these: a few alike patients say little.
LEAST_LOG_VOLUME = 0.1
LEAST_OFFSET = 5.0  # mm
TO_DEVIATION = 1.4826  # of a normal distribution, by the median absolute deviation
AXES = ("x", "y", "z")
# In the folders of labelled cases: what the segmenter said, and beside the cases the reasons.
PREDICTION, TABLE = "predicted.nii.gz", "noisy_labels.csv"
TOUCHING = np.ones((3, 3, 3))  # voxels that share a corner are connected


@dataclass(frozen=True)
class Limits:
    """When an organ is an outlier, and a case: a dataset's ``noisy_labels.limits``.

    Attributes
    ----------
    volume
        Robust deviations of the logarithm of an organ's volume from the median.
    position
        Robust deviations, along any axis, of an organ's middle from where others put it.
    examples
        Training cases without which an organ's volume, or its place beside another organ, is not
        judged.
    dropped
        Organs that a case may lack, outliers and those not found, before it is left out.
    """

    volume: float
    position: float
    examples: int
    dropped: int


def measure(
    labels: Image, organs: Iterable[int], case: str = "", annotated: Sequence[int] | None = None
) -> pd.DataFrame:
    """Volume and middle of each organ that is drawn, and of how many pieces it is.

    Parameters
    ----------
    labels
        In common numbers.
    annotated
        Organs whose labels are annotations; all if not given.

    Returns
    -------
    DataFrame
        One row an organ: case, organ, source (``annotated`` or ``predicted``), volume_ml, x, y, z
        (mm, LPS; NaN where it is not drawn), components, and share, that of the largest.
    """
    boxes = bounding_boxes(labels.array)
    rows = []
    for number in organs:
        middle, total, largest, count = np.full(3, np.nan), 0, np.nan, 0
        if number in boxes:
            index, sizes = _components(labels.array, number, boxes[number])
            middle = labels.grid.index_to_physical(index.mean(axis=0))
            total, largest, count = int(sizes.sum()), int(sizes.max()), len(sizes)
        rows.append(
            {
                "case": case,
                "organ": ORGANS[number - 1],
                "source": ANNOTATED if annotated is None or number in annotated else PREDICTED,
                "volume_ml": total * float(np.prod(labels.grid.spacing)) / 1000.0,
                **dict(zip(AXES, middle, strict=True)),
                "components": count,
                "share": largest / max(total, 1),
            }
        )
    return pd.DataFrame(rows)


def _components(
    array: np.ndarray, number: int, box: tuple[slice, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, 3) of an organ's voxels and the sizes of its connected components."""
    inside = array[box] == number
    labelled, _ = ndimage.label(inside, TOUCHING)
    return np.argwhere(inside) + [part.start for part in box], np.bincount(labelled.ravel())[1:]


def with_annotations(predicted: Image, case: Case, organs: Iterable[int]) -> Image:
    """A predicted label map in which the organs that the case has annotated are as annotated.

    What was predicted of them elsewhere becomes background, and where an annotation and a
    prediction of another organ overlap, the annotation holds.

    Raises
    ------
    WarplineError
        If the two label maps lie on different grids.
    """
    result = predicted.array.copy()
    if case.labels is None:
        return predicted.with_array(result)
    if not predicted.grid.close_to(case.labels.grid):
        raise WarplineError(
            "The predicted label map does not lie on the case's grid.", where=f"case {case.id}"
        )
    known = known_organs(case, organs)
    result[np.isin(result, known)] = 0
    drawn = np.isin(case.labels.array, known)
    result[drawn] = case.labels.array[drawn]
    return predicted.with_array(result)


def known_organs(case: Case, organs: Iterable[int]) -> list[int]:
    """Those of `organs` that a case has annotated."""
    if case.labels is None:
        return []
    return [n for n in organs if case.annotated is None or n in case.annotated]


def largest_components(labels: Image, organs: Iterable[int]) -> Image:
    """Each organ reduced to its largest connected component (26 neighbours)."""
    result = labels.array.copy()
    boxes = bounding_boxes(result)
    for number in organs:
        if number in boxes:
            part = result[boxes[number]]
            labelled, _ = ndimage.label(part == number, TOUCHING)
            largest = np.bincount(labelled.ravel())[1:].argmax() + 1
            part[(labelled > 0) & (labelled != largest)] = 0
    return labels.with_array(result)


class Distribution:
    """Volumes of organs and their places beside each other, as annotated in the training cases.

    Scans begin and end anywhere, so that only other organs say where one should be.

    Parameters
    ----------
    measured
        Rows of `measure`; those that are predicted, or not drawn, do not count.
    """

    def __init__(self, measured: pd.DataFrame):
        drawn = measured[(measured["source"] == ANNOTATED) & (measured["volume_ml"] > 0)]
        self.volumes = {
            organ: _spread(np.log(rows["volume_ml"].to_numpy()), LEAST_LOG_VOLUME)
            for organ, rows in drawn.groupby("organ")
        }
        middles = {
            organ: rows.set_index("case")[list(AXES)] for organ, rows in drawn.groupby("organ")
        }
        self.offsets = {}
        for organ, own in middles.items():
            for other, its in middles.items():
                both = own.index.intersection(its.index)
                if other != organ and len(both):
                    between = (own.loc[both] - its.loc[both]).to_numpy()
                    self.offsets[organ, other] = _spread(between, LEAST_OFFSET)


@dataclass(frozen=True)
class _Spread:
    """Median and robust standard deviation of `count` numbers, or of the columns of points."""

    median: np.ndarray
    deviation: np.ndarray
    count: int

    def score(self, values: np.ndarray) -> np.ndarray:
        return (values - self.median) / self.deviation


def _spread(values: np.ndarray, least: float) -> _Spread:
    median = np.median(values, axis=0)
    deviation = TO_DEVIATION * np.median(np.abs(values - median), axis=0)
    return _Spread(median, np.maximum(deviation, least), len(values))


def judge(measured: pd.DataFrame, distribution: Distribution, limits: Limits) -> pd.DataFrame:
    """Which organs of one case are outliers, and why.

    An organ's place is judged by its offset from each other organ of the case: its score is, of
    these scores, the median along each axis, so that one misplaced organ does not condemn the
    others. Annotated organs are kept whatever they are.

    Parameters
    ----------
    measured
        Rows of `measure` of the case.

    Returns
    -------
    DataFrame
        These rows with the columns volume_score, position_score (signed, along the worst axis) and
        position_axis, NaN or empty where there was nothing to judge by; kept; reason, empty for an
        organ that is kept.
    """
    present = measured[measured["volume_ml"] > 0].set_index("organ")
    rows = []
    for row in measured.to_dict("records"):
        volume, position, axis = np.nan, np.nan, ""
        reasons = []
        if row["organ"] not in present.index:
            reasons.append("not found")
        else:
            volume = _volume_score(row, distribution, limits)
            position, axis = _position_score(row, present, distribution, limits)
            if abs(volume) > limits.volume:
                size = "large" if volume > 0 else "small"
                reasons.append(f"too {size}: {row['volume_ml']:.1f} ml")
            if abs(position) > limits.position:
                reasons.append(f"misplaced along {axis}")
        if row["source"] == ANNOTATED:
            reasons = []
        scores = {"volume_score": volume, "position_score": position, "position_axis": axis}
        rows.append(row | scores | {"kept": not reasons, "reason": "; ".join(reasons)})
    return pd.DataFrame(rows)


def _volume_score(row: dict, distribution: Distribution, limits: Limits) -> float:
    spread = distribution.volumes.get(row["organ"])
    if spread is None or spread.count < limits.examples:
        return np.nan
    return float(spread.score(np.log(row["volume_ml"])))


def _position_score(
    row: dict, present: pd.DataFrame, distribution: Distribution, limits: Limits
) -> tuple[float, str]:
    """Score along the worst axis, and the axis."""
    own = np.array([row[axis] for axis in AXES])
    scores = []
    for other, middle in present[list(AXES)].iterrows():
        spread = distribution.offsets.get((row["organ"], other))
        if spread is not None and spread.count >= limits.examples:
            scores.append(spread.score(own - middle.to_numpy(float)))
    if not scores:
        return np.nan, ""
    each = np.median(scores, axis=0)
    worst = int(np.abs(each).argmax())
    return float(each[worst]), AXES[worst]


def noisy_labels(
    case: Case,
    predicted: Image,
    organs: Sequence[int],
    distribution: Distribution,
    limits: Limits,
) -> tuple[Case, pd.DataFrame]:
    """A case with labels of all organs that are annotated or that the rules let pass.

    Parameters
    ----------
    predicted
        Label map of a segmenter, in common numbers, on the case's grid.
    organs
        Common numbers.

    Returns
    -------
    case
        With these labels; `annotated` are the organs that are left in it.
    table
        One row an organ, as `judge` gives it; components and share are those before all but the
        largest were taken out.
    """
    whole = with_annotations(predicted, case, organs)
    known = known_organs(case, organs)
    before = measure(whole, organs, case.id, known)
    labels = largest_components(whole, organs)
    after = measure(labels, organs, case.id, known)
    after[["components", "share"]] = before[["components", "share"]]
    table = judge(after, distribution, limits)
    kept = [number for number, good in zip(organs, table["kept"], strict=True) if good]
    array = np.where(np.isin(labels.array, kept), labels.array, 0).astype(np.uint8)
    return replace(case, labels=labels.with_array(array), annotated=tuple(sorted(kept))), table


def verdicts(table: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Which cases are fit for pretraining.

    Parameters
    ----------
    table
        Rows of `noisy_labels`, of any number of cases.

    Returns
    -------
    DataFrame
        One row a case: case, kept, dropped (number of organs), reason (what is wrong with each).
    """
    rows = []
    for case, own in table.groupby("case", sort=False):
        dropped = own[~own["kept"]]
        reasons = (f"{row.organ} {row.reason}" for row in dropped.itertuples())
        rows.append(
            {
                "case": case,
                "kept": len(dropped) <= limits.dropped,
                "dropped": len(dropped),
                "reason": ", ".join(reasons),
            }
        )
    return pd.DataFrame(rows, columns=["case", "kept", "dropped", "reason"])
