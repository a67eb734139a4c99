"""Pancreas-CT of The Cancer Imaging Archive: a DICOM series a case, with one of two label archives.

A case's id is its number, ``0001``; its series is the file ``PANCREAS_0001.zip`` of the kind
``images``, or in the dataset's ``folder`` a folder ``PANCREAS_0001``. The case sheet's ``labels``:

``multi-organ``
    Gibson et al.'s, ``label_tcia_multiorgan/label0001.nii.gz``. They are complete within the box of
    ``cropping.csv`` only: image and label map are cut to it.
``pancreas``
    the collection's own, ``TCIA_pancreas_labels-02-05-2017/label0001.nii.gz``. Their value 1
    becomes the multi-organ label maps' value of the pancreas, the only one annotated then.
empty
    none.

Label maps have their scan's voxels, with axes as their headers say; their origins are not relied
on.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.dicom import read_series
from warpline.acquire.formats.base import SUFFIX, CaseFiles, Crop, fetched, find_one
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError
from warpline.files import read_list
from warpline.images.grid import Image
from warpline.registry import suggestion

PANCREAS = 11  # in Gibson et al.'s numbering
LABELS = {
    "multi-organ": "label_tcia_multiorgan/label{}" + SUFFIX,
    "pancreas": "TCIA_pancreas_labels*/label{}" + SUFFIX,
}
# Along x from the patient's right, along y from the front: so two published readers of the table
# take it. Along z they count from the feet.
ENDS = ("the feet", "the head")
EXTENTS = (
    ("extent_left", "extent_right"),
    ("extent_ant", "extent_post"),
    ("extent_inf", "extent_sup"),
)
LEAST_INSIDE = 0.5  # of the labelled voxels: a box with fewer belongs to another scan


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If the series, the label map or its box is not there, or the case sheet asks for labels that
        there are none of.
    """
    number, which = case["case"], case.get("labels", "")
    if dataset.per_case_folder is not None:
        image = fetched(dataset, "images", case)
    else:
        image = find_one(folder, f"PANCREAS_{number}", f"series of the case '{number}'")
    files = {"image": image, "read": partial(_read, image, number)}
    if not which:
        return CaseFiles(**files)
    if which not in LABELS:
        raise WarplineError(
            f"The case '{number}' is to have the labels '{which}'.",
            where=f"{dataset.case_sheet}, column 'labels'",
            do=suggestion(which, LABELS),
        )
    files |= {
        "labels": find_one(
            folder, LABELS[which].format(number), f"label map ({which}) of the case '{number}'"
        ),
        "labels_elsewhere": True,
        "needs_labels": True,
    }
    if which == "pancreas":
        return CaseFiles(**files, label_values={1: PANCREAS}, annotated=(PANCREAS,))
    return CaseFiles(**files, crop=partial(complete_part, _extents(folder, number), number))


def _read(path: Path, number: str) -> tuple[Image, None]:
    """The scan of a zip, or of a folder, of DICOM files."""
    if path.is_dir():
        return read_series(path, number), None
    with tempfile.TemporaryDirectory() as folder:
        return read_series(unpack(path, Path(folder) / "series"), number, told=path), None


def _extents(folder: Path, number: str) -> list[tuple[int, int]]:
    """First voxel and the one after the last along x, y and z, as the table counts them."""
    # An archive that is a single file is unpacked into a folder of its name.
    table = find_one(folder, "cropping.csv", "table of crops")
    table = table / table.name if table.is_dir() else table
    try:
        lines = io.StringIO(read_list(table), newline="")
        rows = list(csv.DictReader(lines, skipinitialspace=True))
        for row in rows:
            if row["publisher"] == "TCIA" and int(row["original_id"]) == int(number):
                return [(int(row[first]), int(row[last])) for first, last in EXTENTS]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise WarplineError(
            f"The table of crops cannot be read ({error}).", where=table, do="Fetch it again."
        ) from error
    raise WarplineError(
        f"The table of crops lacks the case '{number}'.",
        where=table,
        do="Take the case out of the case sheet, or empty its column 'labels'.",
    )


def complete_part(extents: list[tuple[int, int]], number: str, label_map: Image) -> Crop:
    """The box in which a multi-organ label map is complete.

    From which end the table counts slices depends on the converter it was made with: both are
    tried, and the one with more of the labelled voxels inside is taken, the feet if they are equal.

    Parameters
    ----------
    extents
        First voxel and the one after the last along x, y and z, as the table counts them.

    Raises
    ------
    WarplineError
        If the box is empty or outside the scan, or less than half of the labels lie inside.
    """
    boxes = {end: _box(extents, end, number, label_map) for end in ENDS}
    labelled = label_map.array != 0
    total = max(int(np.count_nonzero(labelled)), 1)
    inside = {
        end: round(int(np.count_nonzero(labelled[tuple(box)])) / total, 4)
        for end, box in boxes.items()
    }
    end = max(inside, key=inside.get)
    if inside[end] < LEAST_INSIDE:
        raise WarplineError(
            f"Only {inside[end]:.0%} of the labels of the case '{number}' lie in its crop.",
            where="cropping.csv",
            do="Check that label map and table belong together; fetch both again.",
        )
    note = {"by": "cropping.csv", "slices_counted_from": end, "labels_inside": inside}
    start, stop = zip(*((part.start, part.stop) for part in boxes[end]), strict=True)
    return Crop(start, stop, note)


def _box(extents: list[tuple[int, int]], end: str, number: str, label_map: Image) -> list[slice]:
    """The table's box in array order (z, y, x), slices counted from one end of the body."""
    box = [slice(0)] * 3
    for physical, (first, last) in enumerate(extents):
        axis, sense = label_map.grid.nearest_axis(physical)
        size = label_map.array.shape[axis]
        if not 0 <= first < last <= size:
            raise WarplineError(
                f"The crop of the case '{number}' leaves its scan: {first} to {last} of {size} "
                f"voxels along {'xyz'[physical]}.",
                where=f"cropping.csv, columns {' and '.join(EXTENTS[physical])}",
                do="Check that the series is the one that the labels were made for.",
            )
        backwards = (sense < 0) != (physical == 2 and end == "the head")
        box[axis] = slice(size - last, size - first) if backwards else slice(first, last)
    return box
