"""The common abdominal organs, and how a dataset's label values become theirs.

A dataset's table says for each of its values which organ it is part of. An organ that the table
names is annotated there: where it is not drawn, it is not. All other organs are unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Image
from warpline.registry import suggestion

# In Learn2Reg's order, whose numbers are the common ones.
ORGANS = (
    "spleen",
    "right_kidney",
    "left_kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior_vena_cava",
    "portal_vein",
    "pancreas",
    "right_adrenal",
    "left_adrenal",
)
NUMBER = {name: number for number, name in enumerate(ORGANS, start=1)}
KIDNEYS = "kidneys"  # in a table: both, to be parted
RIGHT, LEFT = NUMBER["right_kidney"], NUMBER["left_kidney"]

TISSUE = -300.0  # HU: above is the patient
LEAST_SHARE = 0.1  # of the largest component: what a part of a kidney that counts has at least
APART = 60.0  # mm: along x, the middles of two kidneys are farther apart, those of two parts nearer
LEAST_SIDE = 0.2  # of one component: with as much on each side of the midline, it is both kidneys


@dataclass(frozen=True)
class Harmonised:
    """A label map in common numbers.

    Attributes
    ----------
    labels
        uint8; None if the dataset annotates no organ.
    annotated
        Numbers of the organs for which the map is complete, in order.
    note
        What was decided about kidneys that the dataset does not part; empty where they were two
        components.
    """

    labels: Image | None
    annotated: tuple[int, ...]
    note: str = ""


def harmonise(
    labels: Image,
    image: Image,
    values: Mapping[int, str | None],
    annotated: Iterable[int] | None = None,
) -> Harmonised:
    """Translate a label map into the common organs.

    Parameters
    ----------
    labels
        With the dataset's own values.
    image
        On the same grid, in HU. Only single or touching kidneys are looked for in it.
    values
        Value → name of an organ, `KIDNEYS`, or None for what is no part of an annotated organ.
        Several values may be parts of one organ, such as a tumour and what is healthy.
    annotated
        The values for which this map is complete; all if not given. An organ is annotated if all
        its parts are. What is drawn of others is left out.

    Raises
    ------
    WarplineError
        If the table names an unknown organ, the map has a value that is not in the table, or the
        table has organs but none of them is annotated in this map.
    """
    parts: dict[str, list[int]] = {}
    for value, name in values.items():
        if name is None:
            continue
        if name not in NUMBER and name != KIDNEYS:
            raise WarplineError(
                f"The table of labels gives the value {value} to '{name}', which is no common "
                "organ.",
                do=suggestion(name, [*NUMBER, KIDNEYS]),
            )
        parts.setdefault(name, []).append(int(value))
    _check_values(labels.array, {0, *map(int, values)})
    if not parts:
        return Harmonised(None, ())
    complete = set(map(int, values)) if annotated is None else set(annotated)
    known = {name: own for name, own in parts.items() if complete.issuperset(own)}
    if not known:
        raise WarplineError(
            f"No organ is annotated in the case: of the values {sorted(complete) or 'none'} that "
            f"its label map is complete for, none is all of {', '.join(parts)}.",
            do="Correct the table of labels, or take the case off the case sheet.",
        )
    result = np.zeros(labels.array.shape, np.uint8)
    numbers, note = [], ""
    for name, own in known.items():
        inside = np.isin(labels.array, own)
        if name == KIDNEYS:
            parted, note = part_kidneys(inside, image)
            result[inside] = parted[inside]
            numbers += [RIGHT, LEFT]
        else:
            result[inside] = NUMBER[name]
            numbers.append(NUMBER[name])
    return Harmonised(labels.with_array(result), tuple(sorted(set(numbers))), note)


def _check_values(array: np.ndarray, known: set[int]) -> None:
    found, counts = np.unique(array, return_counts=True)
    unknown = [
        f"{value:g} ({count} voxels)"
        for value, count in zip(found, counts, strict=True)
        if value not in known
    ]
    if unknown:
        raise WarplineError(
            f"The label map has values that the table of labels does not name: "
            f"{', '.join(unknown)}.",
            do="Add them to the table: the organ that they are part of, or null to leave them out.",
        )


def part_kidneys(kidneys: np.ndarray, image: Image) -> tuple[np.ndarray, str]:
    """Tell the right kidney from the left one: its x (LPS) is smaller.

    Components are taken together by the widest gap between their middles along x, if it is wider
    than `APART`; small ones go with the side that they lie on. Otherwise all is one kidney, on the
    side of the body's midline where most of it is, or both kidneys that touch, if a good part is on
    each side: these are cut at the sagittal plane between them with the fewest voxels.
    Estienne et al. 2020 always cut at the mean of all voxels' indices, in their code.

    Parameters
    ----------
    kidneys
        bool (z, y, x).
    image
        On the same grid, HU: the midline is the mean x of all tissue.

    Returns
    -------
    parted
        uint8 (z, y, x), `RIGHT` and `LEFT`.
    note
        What was decided, empty for two components far apart.
    """
    parted = np.zeros(kidneys.shape, np.uint8)
    labelled, number = ndimage.label(kidneys, np.ones((3, 3, 3)))
    if not number:
        return parted, "no kidney is drawn"
    x = image.grid.index_to_physical(np.argwhere(kidneys))[:, 0]
    own = labelled[kidneys] - 1
    sizes = np.bincount(own)
    middles = np.bincount(own, weights=x) / sizes
    ordered = np.sort(middles[sizes >= LEAST_SHARE * sizes.max()])
    gaps = np.diff(ordered)
    if len(gaps) and gaps.max() > APART:
        widest = int(gaps.argmax())
        cut = (ordered[widest] + ordered[widest + 1]) / 2
        left = middles[own] > cut
        note = "" if number == 2 else f"{number} parts of kidneys, told apart at x = {cut:.0f} mm"
    else:
        midline = _midline(image)
        share = float((x > midline).mean())
        if LEAST_SIDE <= share <= 1 - LEAST_SIDE:
            cut = _thinnest(x, max(image.grid.spacing))
            left = x > cut
            note = f"kidneys that touch are cut at x = {cut:.0f} mm"
        else:
            left = np.full(len(x), share > 0.5)
            note = f"one kidney, the {'left' if share > 0.5 else 'right'} one"
    parted[kidneys] = np.where(left, LEFT, RIGHT)
    return parted, note


def _midline(image: Image) -> float:
    """Mean x in mm of all tissue; of the whole image if it has none."""
    tissue = image.array > TISSUE
    index = ndimage.center_of_mass(tissue if tissue.any() else np.ones(tissue.shape))
    return float(image.grid.index_to_physical(np.array(index))[0])


def _thinnest(x: np.ndarray, width: float) -> float:
    """Where the fewest positions are, in steps of `width`, with `LEAST_SIDE` on each side.

    Of several such places the one nearest to the mean.
    """
    low, high = np.quantile(x, [LEAST_SIDE, 1 - LEAST_SIDE])
    count = max(1, round((high - low) / width))
    numbers, edges = np.histogram(x, bins=count, range=(low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    return float(min(zip(numbers, abs(middles - x.mean()), middles, strict=True))[2])
