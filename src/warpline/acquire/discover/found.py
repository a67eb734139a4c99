"""What was found in a folder, and what was assumed on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from warpline.acquire.discover.words import as_id, unique
from warpline.errors import WarplineError
from warpline.images.files import read_grid, read_image

MOST_MAPS = 40  # label maps that are read for their values
MANY_PAIRS = 60  # of more, a sample is registered
LARGE = 12e6  # voxels of a scan beyond which iterative methods take very long


@dataclass(frozen=True)
class Scan:
    """A scan and what belongs to it; paths are relative to the folder, "" where there is none.

    Attributes
    ----------
    name
        What tells it from the others, in the words of its files.
    patient
        Whose it is: scans of one patient have the same.
    order
        Where it stands among its patient's scans; the first is fixed.
    """

    name: str
    patient: str
    image: str
    labels: str = ""
    mask: str = ""
    landmarks: str = ""
    order: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Found:
    """The scans of a folder.

    Attributes
    ----------
    layout
        In whose layout they lie, in words.
    labels
        Label value to name, as far as the layout says.
    assumed
        What was taken for granted, sentence by sentence.
    sheet
        (fixed, moving) names of scans that the layout itself pairs.
    """

    folder: Path
    layout: str
    scans: tuple[Scan, ...]
    labels: dict[int, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    sheet: tuple[tuple[str, str], ...] = ()

    def checked(self) -> Found:
        """The same, sorted, with every header read, and with the values of its label maps."""
        scans = sorted(self.scans, key=lambda scan: (scan.patient, scan.order, scan.name))
        kept = self._with_labels_where_any_has(scans)
        for scan in kept:
            if not (self.folder / scan.image).is_dir():  # of DICOM files
                read_grid(self.folder / scan.image)
        values, assumed = self._values(kept)
        names = {value: self.labels.get(value, f"label {value}") for value in values}
        unnamed = [str(value) for value in values if value not in self.labels]
        if unnamed:
            assumed += (f"The label values {', '.join(unnamed)} have no names; give them some.",)
        having = {scan.name for scan in kept}
        sheet = tuple(pair for pair in self.sheet if having.issuperset(pair))
        missing = len(scans) - len(kept)
        if missing:
            assumed += (f"{missing} scans without a label map are left out.",)
        return replace(
            self, scans=tuple(kept), labels=names, sheet=sheet, assumed=(*self.assumed, *assumed)
        )

    @property
    def cases(self) -> dict[str, str]:
        """Scan to its id as a case."""
        return unique({scan.name: as_id(scan.name) for scan in self.scans})

    @property
    def patients(self) -> dict[str, str]:
        """Patient to the id."""
        return unique({scan.patient: as_id(scan.patient) for scan in self.scans})

    def pairing(self) -> tuple[dict[str, Any], str]:
        """The rule that pairs the cases of the split, and why it was chosen."""
        counts = Counter(scan.patient for scan in self.scans)
        if set(counts.values()) == {2}:
            first = [self.cases[s.name] for s in self.scans[:2]]
            why = f"two scans of each of {len(counts)} patients are a pair, the first fixed"
            return {"from": "patient"}, f"{why} ({first[0]} fixed, {first[1]} moving)"
        pairs = len(self.scans) * (len(self.scans) - 1) // 2
        if pairs > MANY_PAIRS:
            why = f"a sample of {MANY_PAIRS} of the {2 * pairs} pairs of all scans is registered"
            return {"from": "all", "limit": MANY_PAIRS}, why
        return {"from": "all"}, f"every scan with every other one, {pairs} pairs"

    def preparation(self) -> tuple[list[dict[str, Any]], str | None]:
        """Steps that make the scans fit for all methods, and why they were chosen, if any were."""
        grids = [
            read_grid(self.folder / scan.image)
            for scan in self.scans
            if (self.folder / scan.image).is_file()
        ]
        voxels = [shape[0] * shape[1] * shape[2] for shape in (grid.shape for grid in grids)]
        if not voxels or sorted(voxels)[len(voxels) // 2] <= LARGE:
            return [], None
        spacing = sorted(min(grid.spacing) for grid in grids)[len(grids) // 2]
        wanted = round(max(2 * spacing, 1.0), 1)
        why = f"scans of more than {LARGE / 1e6:.0f} million voxels are resampled to {wanted:g} mm"
        return [{"resample": {"spacing": [wanted] * 3}}], why

    def _with_labels_where_any_has(self, scans: list[Scan]) -> list[Scan]:
        having = [scan for scan in scans if scan.labels]
        return having if len(having) > 1 else scans

    def _values(self, scans: list[Scan]) -> tuple[list[int], tuple[str, ...]]:
        """The values of the label maps, and a word where not all were read."""
        maps = list(dict.fromkeys(scan.labels for scan in scans if scan.labels))
        step = -(-len(maps) // MOST_MAPS) or 1
        found: set[int] = set()
        for name in maps[::step]:
            array = read_image(self.folder / name).array
            values = {float(value) for value in _distinct(array)}
            if any(abs(value - round(value)) > 1e-3 for value in values):
                raise WarplineError(
                    "What looks like a label map by its name has values that are no integers.",
                    where=self.folder / name,
                    do="Rename it, or move it out of the folder.",
                )
            found |= {round(value) for value in values}
        read = len(maps[::step])
        told = (f"Label values were looked for in {read} of {len(maps)} maps.",)
        return sorted(found - {0}), told if read < len(maps) else ()


def _distinct(array: Any) -> list[float]:
    import numpy as np

    return np.unique(array).tolist()
