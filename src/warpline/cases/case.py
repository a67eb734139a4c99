"""The case: one volume with what belongs to it, and its canonical folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from warpline.cases.tables import read_table
from warpline.files import atomic_path, write_json
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image

if TYPE_CHECKING:
    import pandas as pd

SEGMENTED = "mask.json"  # beside a mask that did not come with the data


# Beside a label map: which of its values it is complete for. A case as it was acquired says so in
# its record.
ANNOTATED, RECORD = "annotated.json", "record.json"


@dataclass(frozen=True)
class Case:
    """A volume with what belongs to it; label maps and masks lie on the image's grid.

    `landmarks` has the columns ``id, x, y, z`` (mm, LPS); `segmented` says that the mask did not
    come with the data. `annotated` are the label values for which the label map is complete: where
    it does not have them, they are not, while of others nothing is known; None for all of the
    dataset's.
    """

    id: str
    image: Image
    labels: Image | None = None
    mask: Image | None = None
    landmarks: pd.DataFrame | None = None
    segmented: bool = False
    annotated: tuple[int, ...] | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the image."""
        return self.image.grid


def read_case(folder: str | os.PathLike) -> Case:
    """Read a canonical case folder; its name is the case's id."""
    folder = Path(folder)

    def optional(name: str) -> Image | None:
        return read_image(folder / name) if (folder / name).exists() else None

    landmarks = folder / "landmarks.csv"
    labels = optional("labels.nii.gz")
    return Case(
        id=folder.name,
        image=read_image(folder / "image.nii.gz"),
        labels=labels,
        mask=optional("mask.nii.gz"),
        landmarks=read_table(landmarks, "id") if landmarks.exists() else None,
        segmented=(folder / SEGMENTED).exists(),
        annotated=None if labels is None else _read_annotated(folder),
    )


def _read_annotated(folder: Path) -> tuple[int, ...] | None:
    for name in (ANNOTATED, RECORD):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text()).get("annotated")
            return None if found is None else tuple(found)
    return None


def write_case(folder: str | os.PathLike, case: Case) -> None:
    """Write a case in the canonical layout, each file atomically."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = case.image
    if image.array.dtype not in (np.int16, np.float32):
        image = image.with_array(image.array.astype(np.float32))
    write_image(folder / "image.nii.gz", image)
    for name, part in (("labels", case.labels), ("mask", case.mask)):
        if part is not None:
            write_image(folder / f"{name}.nii.gz", part.with_array(part.array.astype(np.uint8)))
    if case.segmented:
        write_json(folder / SEGMENTED, {"segmented": True})
    if case.annotated is not None:
        write_json(folder / ANNOTATED, {"annotated": list(case.annotated)})
    if case.landmarks is not None:
        with atomic_path(folder / "landmarks.csv") as temporary:
            case.landmarks.to_csv(temporary, index=False)
