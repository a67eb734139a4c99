"""What a dataset of CT scans looks like: a few numbers and slices of every case.

A case is described by the job that prepares it, since that job has it in memory; figures need the
descriptions alone. Stages: ``before`` is the canonical scan, ``clipped`` the one right after the
preparation step `clip_background` (in HU), ``prepared`` the prepared one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warpline.cases.backgrounds import find_backgrounds, histogram
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.files import atomic_path, write_json
from warpline.images.grid import Grid, Image
from warpline.images.views import PLANES, View

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("case", "stage", "name", "item", "value", "unit")
PIXELS = 256  # of a slice's longer side, at most
LEVELS = {"low": 0.3, "high": 0.7}  # of the height, from the feet up
EXAMPLES, AXES, LAYOUTS = 8, 4, 3  # cases shown; of each number of backgrounds
RECORDS, SLICES = "exploration.json", "slices.npz"


@dataclass(frozen=True)
class Slice:
    """A slice as it is to be shown: `pixels` (row, column) in HU, `size` (height, width) in mm."""

    pixels: np.ndarray
    size: tuple[float, float]


@dataclass(frozen=True)
class Description:
    """A case's records (`COLUMNS` without the case) and its slices by (stage, view).

    Views are ``axial``, ``coronal`` and ``sagittal`` (through the middle) and the axial `LEVELS`.
    """

    records: list[dict[str, Any]]
    slices: dict[tuple[str, str], Slice]


def describe(canonical: Case, prepared: Case, clipped: Case | None = None) -> Description:
    """Describe a case before and after its preparation.

    The Frobenius norm is that of the positive part of the HU, as the code of Bouabid et al. 2019
    takes it, with every voxel weighted by its volume in mm³: √(Σ max(HU, 0)² · volume), which is
    the norm of the scan resampled to 1 mm, as their text has it. The inf norm is the largest HU.
    After preparation, the norm is the plain √(Σ v²) over the voxels.

    Parameters
    ----------
    canonical, prepared
        The case before and after.
    clipped
        The case right after its background was clipped, if it was.
    """
    records = _Records()
    grid, counts = canonical.grid, histogram(canonical.image.array)
    axes = [grid.nearest_axis(physical)[0] for physical in (2, 1, 0)]
    for axis, count, spacing in zip(
        axes, ("slices", "rows", "columns"), ("slice", "row", "column"), strict=True
    ):
        records.add("before", count, grid.shape[axis])
        records.add("before", f"{spacing}_spacing", grid.spacing[2 - axis], "mm")
    records.add("before", "height", grid.shape[axes[0]] * grid.spacing[2 - axes[0]], "mm")
    volume = float(np.prod(grid.spacing))
    lungs = canonical.mask if canonical.mask is not None else canonical.labels
    if lungs is not None:
        records.add("before", "lung_volume", np.count_nonzero(lungs.array) * volume / 1000, "ml")
    positive = _positive_squares(canonical.image.array, counts)
    records.add("before", "frobenius", float(np.sqrt(positive * volume)), "HU")
    records.add("before", "infinity", max(0.0, float(canonical.image.array.max())), "HU")
    records.intensities("before", canonical.image, "HU")
    records.backgrounds("before", canonical.image, counts)
    slices = _slices("before", canonical.image, canonical.grid, [*PLANES, *LEVELS])
    if clipped is not None:
        records.intensities("clipped", clipped.image, "HU")
        records.backgrounds("clipped", clipped.image)
        slices |= _slices("clipped", clipped.image, canonical.grid, PLANES)
    records.intensities("prepared", prepared.image, "")
    norm = np.sqrt(sum(float(np.vdot(plane, plane)) for plane in prepared.image.array))
    records.add("prepared", "norm", float(norm))
    return Description(records.rows, slices)


class _Records:
    """Rows of a description."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, stage: str, name: str, value: float, unit: str = "", item: str = "") -> None:
        self.rows.append(
            {"stage": stage, "name": name, "item": item, "value": float(value), "unit": unit}
        )

    def intensities(self, stage: str, image: Image, unit: str) -> None:
        self.add(stage, "minimum", image.array.min(), unit)
        self.add(stage, "maximum", image.array.max(), unit)

    def backgrounds(self, stage: str, image: Image, counts: np.ndarray | None = None) -> None:
        found = find_backgrounds(image, counts)
        self.add(stage, "backgrounds", len(found))
        for number, background in enumerate(found, start=1):
            item = str(number)
            self.add(stage, "background_value", background.value, "HU", item)
            self.add(stage, "background_fraction", background.fraction, "", item)
            self.add(stage, "background_inside", background.inside, "", item)


def _positive_squares(array: np.ndarray, counts: np.ndarray) -> float:
    """Σ max(v, 0)²; integers have it in their histogram."""
    if array.dtype == np.int16:
        values = np.arange(1 << 15, dtype=np.float64)
        return float(counts[1 << 15 :] @ values**2)
    return sum(float(np.square(np.maximum(plane, 0), dtype=np.float64).sum()) for plane in array)


def _slices(
    stage: str, image: Image, place: Grid, views: Iterable[str]
) -> dict[tuple[str, str], Slice]:
    """Slices at the same part of the scan whatever its grid, with their size on the grid `place`.

    Preparation may have forgotten sizes in mm.
    """
    found = {}
    for name in views:
        plane = name if name in PLANES else "axial"
        axis, sense = image.grid.nearest_axis(PLANES[plane][0])
        last = image.grid.shape[axis] - 1
        position = min(last, int(LEVELS.get(name, 0.5) * (last + 1)))
        position = position if sense > 0 else last - position
        pixels = View(image.grid, plane, position).cut(image.array)
        steps = [-(-n // PIXELS) for n in pixels.shape]
        kept = np.rint(pixels[:: steps[0], :: steps[1]]).clip(-32768, 32767).astype(np.int16)
        original = View(place, plane, 0)
        size = tuple(n * s for n, s in zip(original.shape, original.spacing, strict=True))
        found[stage, name] = Slice(np.ascontiguousarray(kept), size)
    return found


def write_description(folder: str | os.PathLike, description: Description) -> None:
    """Write a case's description beside its prepared image."""
    write_json(Path(folder) / RECORDS, description.records)
    _write_slices(
        Path(folder) / SLICES,
        {f"{stage}/{view}": found for (stage, view), found in description.slices.items()},
    )


def gather(
    folders: Mapping[str, str | os.PathLike],
    records: str | os.PathLike,
    slices: str | os.PathLike,
) -> None:
    """Put the descriptions of all cases into one table, and the slices that are shown in one file.

    Parameters
    ----------
    folders
        Case id → folder of the prepared case.
    records, slices
        The files to write: Parquet with `COLUMNS`, NPZ for `read_slices`.

    Raises
    ------
    WarplineError
        If a case was not described.
    """
    rows = []
    for case, folder in folders.items():
        path = Path(folder) / RECORDS
        if not path.exists():
            raise WarplineError(
                f"The case '{case}' was prepared without being described.",
                where=path,
                do="Set 'explore: true' in the dataset file.",
            )
        rows += [{"case": case, **row} for row in json.loads(path.read_text(encoding="utf-8"))]
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    chosen: dict[str, Slice] = {}
    for case in dict.fromkeys(case for cases in shown(frame).values() for case in cases):
        own = read_slices(Path(folders[case]) / SLICES)
        chosen |= {f"{case}/{name}": found for name, found in own.items()}
    _write_slices(slices, chosen)
    with atomic_path(records) as temporary:
        frame.to_parquet(temporary, index=False)


def _write_slices(path: str | os.PathLike, slices: Mapping[str, Slice]) -> None:
    arrays = {name: found.pixels for name, found in slices.items()}
    sizes = {f"{name}/mm": np.array(found.size) for name, found in slices.items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays, **sizes)


def read_slices(path: str | os.PathLike) -> dict[str, Slice]:
    """Slices by ``<stage>/<view>``, in a dataset's file by ``<case>/<stage>/<view>``."""
    with np.load(path, allow_pickle=False) as stored:
        return {
            name: Slice(stored[name], tuple(map(float, stored[f"{name}/mm"])))
            for name in stored.files
            if not name.endswith("/mm")
        }


def of_cases(records: pd.DataFrame, name: str, stage: str = "before") -> pd.Series:
    """A value of every case that has it, by case; not for those of the single backgrounds."""
    chosen = records[(records["stage"] == stage) & (records["name"] == name)]
    return chosen.set_index("case")["value"]


def shown(records: pd.DataFrame) -> dict[str, list[str]]:
    """The cases that each plot of slices shows.

    Examples are spread evenly over the heights; of each number of backgrounds the first cases of
    the case sheet are shown.
    """
    by_height = list(of_cases(records, "height").sort_values(kind="stable").index)
    norms = of_cases(records, "frobenius")
    numbers = of_cases(records, "backgrounds")
    extremes = [norms.idxmin(), norms.idxmax()]
    layouts = [
        case
        for number in sorted(numbers.unique())
        for case in numbers.index[numbers == number][:LAYOUTS]
    ]
    clipped = of_cases(records, "backgrounds", "clipped")
    return {
        "examples": _spread(by_height, EXAMPLES),
        "axes": _spread(by_height, AXES),
        "extremes": list(dict.fromkeys(extremes)),
        "backgrounds": layouts,
        "clipping": [case for case in clipped.index if numbers[case] == 2][:1],
    }


def _spread(cases: Sequence[str], number: int) -> list[str]:
    """So many of the cases, the first and the last among them, evenly spread."""
    places = np.linspace(0, len(cases) - 1, min(number, len(cases))).round().astype(int)
    return [cases[place] for place in places]
