"""What a format is told of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Scan:
    """What the files of a raw volume do not say.

    Attributes
    ----------
    size, spacing
        Along x, y, z: voxels, mm.
    initial_tre
        Published mean distance of the landmarks before registration, mm.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    initial_tre: float | None


@dataclass(frozen=True)
class PerCase:
    """A kind of file that is downloaded case by case.

    Its `file` has ``{case}`` in its name; `splits` are those whose cases have it, None for all.
    """

    file: str
    splits: Sequence[str] | None


@dataclass(frozen=True)
class DatasetFiles:
    """What of a dataset file is about its files, and where those lie that come case by case.

    Attributes
    ----------
    own
        Whether the files are the user's own, and no archive's: their headers may name voxels that
        lie elsewhere.
    labels
        Label value to name.
    case_sheet, ask
        For errors: the sheet's path, and where to ask for the data.
    nan
        Whether voxels without a number are an error (``refuse``) or filled (``fill``).
    landmark_folder
        With landmarks that are not in the archives.
    scans
        By patient.
    phantom
        Whether the files are generated.
    per_case, per_case_folder, per_case_digests
        Kinds of files that come case by case, their folder, and a file of their SHA-256 by place in
        it; of a dataset without such files none, None and None.
    patients
        All rows of the case sheet of the patients in question.
    """

    format: str
    own: bool
    labels: Mapping[int, str]
    case_sheet: str
    ask: str | None
    nan: str
    landmark_folder: str | None
    scans: Mapping[str, Scan]
    phantom: bool
    per_case: Mapping[str, PerCase]
    per_case_folder: Path | None
    per_case_digests: Path | None
    patients: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> DatasetFiles:
        """From `warpline.plan.inputs.acquire.source_spec`."""
        folder, digests = told.get("per_case_folder"), told.get("per_case_digests")
        kinds = told.get("per_case", {}).items()
        return cls(
            format=told["format"],
            own=told["own"],
            labels={int(value): name for value, name in told["labels"].items()},
            case_sheet=told["case_sheet"],
            ask=told["ask"],
            nan=told["nan"],
            landmark_folder=told["landmark_folder"],
            scans=scans_of(told["scans"]),
            phantom=bool(told["phantom"]),
            per_case={kind: PerCase(entry["file"], entry["splits"]) for kind, entry in kinds},
            per_case_folder=None if folder is None else Path(folder),
            per_case_digests=None if digests is None else Path(digests),
            patients=told["patients"],
        )


def scans_of(scans: Mapping[str, Mapping[str, Any]]) -> dict[str, Scan]:
    """From ``scans`` of a dataset file, by patient."""
    return {
        patient: Scan(tuple(scan["size"]), tuple(map(float, scan["spacing"])), scan["initial_tre"])
        for patient, scan in scans.items()
    }
