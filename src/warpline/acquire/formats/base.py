"""What every source format shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.shared import others, owner
from warpline.errors import WarplineError
from warpline.files import checksum, read_list
from warpline.images.grid import Image
from warpline.registry import suggestion

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class Crop:
    """The part of a scan that becomes its case.

    Attributes
    ----------
    start, stop
        Array indices (z, y, x); `stop` is the first that is left out.
    note
        How it was found, for the case's record.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case as its provider made them.

    Attributes
    ----------
    landmarks_in
        ``"mm"``: a table with the columns id, x, y, z in mm, LPS, or a file of elastix' (see
        `warpline.acquire.landmarks`). ``"voxel"``: lines of x, y, z indices of the image from 0,
        without a header.
    landmark_prefix
        Put before the numbers of landmarks that are counted, where the same number is another
        place in another patient.
    drop_outside
        Landmarks outside the image are left out and counted in the log, unless all are; else they
        are an error.
    label_values
        Value in the provider's label map to value in the dataset's table; values that are not
        named here keep theirs, and 0 is background.
    other_values
        What values that `label_values` does not name become; ``None``: they keep theirs.
    needs_labels
        A label map in which no voxel has a label is an error.
    labels_elsewhere
        The label map's header tells how its axes run, but not where it lies: it is turned as the
        image is, and must then have the image's size and spacing.
    annotated
        Values of the dataset's table that the label map is complete for; ``None``: all of them.
    crop
        Gives the part that becomes the case, from the label map as its provider made it (on the
        image's grid). `labels` is needed for it.
    fill_nan
        Voxels of the image that hold no number become its lowest value, and are told.
    read
        Gives the image and its landmarks (``id, x, y, z`` in mm, LPS), for files that do not say
        themselves how to be read.
    """

    image: Path
    labels: Path | None = None
    mask: Path | None = None
    landmarks: Path | None = None
    landmarks_in: str = "mm"
    landmark_prefix: str = ""
    drop_outside: bool = False
    label_values: Mapping[int, int] | None = None
    other_values: int | None = None
    needs_labels: bool = False
    labels_elsewhere: bool = False
    annotated: tuple[int, ...] | None = None
    crop: Callable[[Image], Crop] | None = None
    fill_nan: bool = False
    read: Callable[[], tuple[Image, pd.DataFrame | None]] | None = None


def find_one(folder: Path, pattern: str, what: str) -> Path:
    """The one path under `folder`, at most two folders down, that matches a glob pattern.

    Raises
    ------
    WarplineError
        If there is none, or several on the same level.
    """
    for prefix in ("", "*/", "*/*/"):
        found = sorted(p for p in folder.glob(prefix + pattern) if not p.name.startswith("._"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(path.relative_to(folder)) for path in found)
            raise WarplineError(f"There are several candidates for {what}: {names}.", where=folder)
    raise WarplineError(
        f"There is no {what} ({pattern}).",
        where=folder,
        do="Check 'format' and 'archives' of the dataset file: these files are laid out otherwise.",
    )


def read_description(path: Path) -> dict[str, Any]:
    """A provider's JSON description of its dataset, checked for a list of training cases."""
    try:
        value = json.loads(read_list(path))
    except (ValueError, RecursionError) as error:
        raise WarplineError(
            f"The dataset's description is not valid JSON ({error}).",
            where=path,
            do="Delete the archive and its folder and start again; if that does not help, the "
            "source itself is broken.",
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("training"), list):
        raise WarplineError(
            "The dataset's description lists no cases: the key 'training' is missing or no list.",
            where=path,
        )
    return value


def check_label_table(description: Mapping[str, Any], path: Path, dataset: DatasetFiles) -> None:
    """Compare the provider's label values with those of the dataset file.

    Raises
    ------
    WarplineError
        If the description has no table, or lacks a value that the dataset file names.
    """
    labels = description.get("labels")
    if not isinstance(labels, Mapping):
        raise WarplineError(
            "The dataset's description has no table of labels: the key 'labels' is missing.",
            where=path,
            do="Check that the archive is the right one; correct the file if its maker forgot it.",
        )
    for value, name in dataset.labels.items():
        if str(value) not in labels:
            table = ", ".join(f"{v} {n}" for v, n in labels.items())
            raise WarplineError(
                f"The label {value} ({name}) of the dataset file is not among the archive's: "
                f"{table}.",
                where=path,
                do="Correct 'labels' in the dataset file.",
            )


def is_fetched(dataset: DatasetFiles, kind: str, case: Mapping[str, str]) -> bool:
    """Whether a file of this kind is downloaded for a case by itself."""
    entry = dataset.per_case.get(kind)
    return entry is not None and (entry.splits is None or case["split"] in entry.splits)


def fetched(dataset: DatasetFiles, kind: str, case: Mapping[str, str]) -> Path:
    """The file of a kind that was downloaded for a case by itself.

    Raises
    ------
    WarplineError
        If the dataset file does not say where from, the file is not there, or it is not the one
        that was verified, as ``per_case_digests`` says.
    """
    if not is_fetched(dataset, kind, case):
        raise WarplineError(
            f"The dataset does not say where the file '{kind}' of the case '{case['case']}' comes "
            "from.",
            where="key 'per_case' of the dataset file",
            do=f"Its files are: {', '.join(dataset.per_case) or 'none'}.",
        )
    name = dataset.per_case[kind].file.replace("{case}", case["case"])
    path = dataset.per_case_folder / kind / name
    if not path.exists():
        raise WarplineError(
            f"The file '{kind}' of the case '{case['case']}' is not there.",
            where=path,
            do="Delete the dataset's folder 'fetched' in the results, so that it is fetched again.",
        )
    if dataset.per_case_digests is not None:
        digests = json.loads(dataset.per_case_digests.read_text(encoding="utf-8"))
        if checksum(path) != digests.get(f"{kind}/{name}"):
            raise WarplineError(
                f"The file '{kind}' of the case '{case['case']}' is not the file that was "
                "verified: it was changed since.",
                where=path,
                do="Delete it, and the dataset's folder 'fetched' in the results, so that it is "
                f"fetched anew; {others(path.parent) or owner(path.parent)}.",
            )
    return path


def existing(path: Path) -> Path | None:
    """The path if something is there."""
    return path if path.exists() else None


def no_case(case: str, known: list[str], where: Path) -> WarplineError:
    """The error for a case of the sheet that the archive does not hold."""
    return WarplineError(
        f"The case '{case}' of the case sheet is not in the archive.",
        where=where,
        do=suggestion(case, known),
    )
