"""Case and pair sheets, checked line by line."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from warpline.errors import WarplineError
from warpline.plan.pairs import ATLAS, Pair
from warpline.registry import suggestion

CASE_COLUMNS = ("case", "patient", "split", "image", "labels", "mask", "landmarks")


# Ids and splits are parts of file names, and wildcards of the workflow.
CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


SPLIT = re.compile(r"[A-Za-z0-9]+")


def read_case_sheet(path: str | os.PathLike, limits: Mapping[str, int] | None = None) -> tuple:
    """Read a case sheet: separated by tabs, or as a spreadsheet has it by commas or semicolons.

    The names of columns may have any capitals.

    Parameters
    ----------
    limits
        Keep only the first n cases of these splits, and of no other split.

    Raises
    ------
    WarplineError
        For a missing file or column, a repeated case, a patient in two splits, a name that cannot
        be part of a file's name, or a limit on a split that no case has.
    """
    path = Path(path)
    if not path.exists():
        raise WarplineError(
            "The case sheet does not exist.", where=path, do="Check 'case_sheet' of the dataset."
        )
    lines, columns, found = _table(path)
    _check_columns(columns, path)
    rows = []
    seen: dict[str, str] = {}
    splits: dict[str, str] = {}
    for number, values in zip(lines, found, strict=True):
        where = f"{path}, line {number}"
        if "more" in values:
            raise WarplineError(
                f"The line has more values than there are columns ({len(columns)}).", where=where
            )
        row = {column: (values.get(column) or "").strip() for column in CASE_COLUMNS}
        row["patient"] = row["patient"] or row["case"]
        _check_names(row, where)
        _check_repeated(row, seen, splits, where)
        rows.append(row)
    return tuple(first_of_each(rows, limits, path))


def _table(path: Path) -> tuple[list[int], list[str], csv.DictReader]:
    """The numbers of a sheet's lines below its head, its columns, and the values of its lines."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = [
            (number, line)
            for number, line in enumerate(stream, start=1)
            if line.strip() and not line.startswith("#")
        ]
    separator = max("\t;,", key=lines[0][1].count) if lines else "\t"
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.DictReader(
        (line for _, line in lines), delimiter=separator, quoting=quoting, restkey="more"
    )
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
    return [number for number, _ in lines[1:]], list(reader.fieldnames), reader


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in CASE_COLUMNS:
            raise WarplineError(
                f"The case sheet has an unknown column '{column}'.",
                where=path,
                do=f"{suggestion(column, CASE_COLUMNS)} Separate columns by tabs or commas.",
            )
    for column in ("case", "split"):
        if column not in columns:
            raise WarplineError(
                f"The case sheet has no column '{column}'.",
                where=path,
                do="The columns 'case' and 'split' are needed, separated by tabs or commas.",
            )


def _check_names(row: Mapping[str, str], where: str) -> None:
    """Refuse a line without a case or a split, or whose names no file could have."""
    if not row["case"] or not row["split"]:
        raise WarplineError("The line lacks its case or its split.", where=where)
    if row["case"] == ATLAS:
        raise WarplineError(
            f"No case may be called '{ATLAS}': that is the name of the dataset's atlas.",
            where=where,
            do="Give the case another name.",
        )
    for name, pattern in (("case", CASE_ID), ("split", SPLIT)):
        if not pattern.fullmatch(row[name]):
            raise WarplineError(
                f"The {name} '{row[name]}' has characters that it may not have.",
                where=where,
                do="It becomes part of file names: use letters and digits"
                + (", and after the first '_', '.' or '-'." if name == "case" else "."),
            )


def _check_repeated(
    row: Mapping[str, str], seen: dict[str, str], splits: dict[str, str], where: str
) -> None:
    """Refuse a case that stands twice, and a patient in two splits; both are noted for later lines.

    Parameters
    ----------
    seen, splits
        Case in small letters → case, and patient → split, of the lines before.
    """
    same = seen.get(row["case"].lower())
    if same == row["case"]:
        raise WarplineError(
            f"The case '{row['case']}' stands twice.",
            where=where,
            do="Take one of the lines out, or give the scan an id of its own.",
        )
    if same is not None:
        raise WarplineError(
            f"The cases '{same}' and '{row['case']}' differ in capitals alone.",
            where=where,
            do="Give one another id: on many disks their folders would be the same.",
        )
    seen[row["case"].lower()] = row["case"]
    split = splits.setdefault(row["patient"], row["split"])
    if split != row["split"]:
        raise WarplineError(
            f"The patient '{row['patient']}' is in two splits, {split} and {row['split']}.",
            where=where,
            do="Put all of a patient's cases into one split: training must not see test data.",
        )


def refuse_shared_scans(
    rows: Iterable[Mapping[str, str]], folder: str | os.PathLike, sheet: str | os.PathLike
) -> None:
    """Refuse a scan that is a case of two splits; `rows` have paths relative to `folder`.

    Raises
    ------
    WarplineError
        If two cases of different splits have the same file as their image, links followed.
    """
    first: dict[str, Mapping[str, str]] = {}
    for row in rows:
        if not row["image"]:
            continue
        # Patients are in one split each, but these two may stand as two.
        other = first.setdefault(os.path.realpath(os.path.join(folder, row["image"])), row)
        if other["split"] != row["split"]:
            raise WarplineError(
                f"The cases '{other['case']}' and '{row['case']}' are the same scan, in the "
                f"splits {other['split']} and {row['split']}: {row['image']}.",
                where=sheet,
                do="Take one of them out: training must not see test data.",
            )


def first_of_each(
    rows: list[dict], limits: Mapping[str, int] | None, path: str | os.PathLike
) -> list[dict]:
    """The first n cases of each split that has a limit; all where no limits are given.

    Raises
    ------
    WarplineError
        If a limit is that of a split which no case has.
    """
    if not limits:
        return rows
    known = dict.fromkeys(row["split"] for row in rows)
    for split in limits:
        if split not in known:
            raise WarplineError(
                f"The key 'cases' names the split '{split}', which no case has.",
                where=path,
                do=suggestion(split, known),
            )
    left = dict(limits)
    chosen = []
    for row in rows:
        if left.get(row["split"], 0) > 0:
            left[row["split"]] -= 1
            chosen.append(row)
    return chosen


def read_pair_sheet(path: Path, cases: set[str], file: str) -> list[Pair]:
    """Pairs from a comma-separated sheet with the columns ``fixed`` and ``moving``.

    Parameters
    ----------
    cases
        The cases that may be paired.
    file
        The dataset's file, for errors.

    Raises
    ------
    WarplineError
        For a missing file or column, a case that is not among `cases`, a case with itself, or a
        pair that stands twice.
    """
    if not path.exists():
        raise WarplineError(
            "The pair sheet does not exist.",
            where=path,
            do=f"Check 'pairs' in {file}.",
        )
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True)
        if not {"fixed", "moving"} <= set(reader.fieldnames or []):
            raise WarplineError(
                "The pair sheet needs the columns fixed and moving.",
                where=path,
                do="Separate them by a comma.",
            )
        pairs: dict[Pair, int] = {}
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            fixed, moving = ((row[column] or "").strip() for column in ("fixed", "moving"))
            for case in (fixed, moving):
                if case not in cases:
                    raise WarplineError(
                        f"The pair names the case '{case}', which is not in this split.",
                        where=where,
                        do=suggestion(case, cases),
                    )
            if fixed == moving:
                raise WarplineError(
                    f"The pair registers the case '{fixed}' with itself.",
                    where=where,
                    do="Take the line out: it would only flatter the mean.",
                )
            if (fixed, moving) in pairs:
                raise WarplineError(
                    f"The pair of '{fixed}' and '{moving}' stands twice, first in line "
                    f"{pairs[fixed, moving]}.",
                    where=where,
                    do="Take one of the lines out: a pair counts once.",
                )
            pairs[fixed, moving] = reader.line_num
    return list(pairs)
