"""Landmark files as providers write them → ids and points in mm."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from warpline.acquire.formats.base import CaseFiles
from warpline.errors import WarplineError
from warpline.fields.exchange.points import UNREADABLE, elastix_kind, parse_points
from warpline.files import read_list
from warpline.images.grid import Grid

if TYPE_CHECKING:
    import pandas as pd


def read_landmarks(files: CaseFiles, grid: Grid, case_id: str) -> pd.DataFrame:
    """Landmarks ``id, x, y, z`` in mm, LPS, of a case's image.

    Five forms: a table with the columns id, x, y, z (mm), or id, i, j, k (indices along the axes
    x, y, z of the file, from 0); lines of x, y, z indices; ``.fcsv`` and ``.mrk.json`` of 3D
    Slicer; and the file of elastix, told by its first line: ``point`` (mm) or ``index`` (voxels
    from 0), then the number of points, then a line of x, y, z for each. Where there are no ids,
    they are counted from 1. All but the lines of indices are those of
    `warpline.fields.exchange.points`.

    Raises
    ------
    WarplineError
        If the file cannot be read, an id is missing or stands twice, or landmarks lie outside the
        image.
    """
    import pandas as pd

    path = files.landmarks
    kind = elastix_kind(path)
    if kind is None and files.landmarks_in == "voxel":
        table, in_voxels = _read_lines(files, case_id), True
    else:
        table, in_voxels = _read_named(files, case_id, files.landmark_prefix if kind else "")
    if table["id"].duplicated().any():
        name = table["id"][table["id"].duplicated()].iloc[0]
        raise WarplineError(f"The landmark id '{name}' stands twice.", where=path)
    values = table[["x", "y", "z"]].to_numpy(dtype=np.float64)
    points = grid.index_to_physical(values[:, ::-1]) if in_voxels else values
    inside = _inside(grid, points)
    if not inside.all():
        other = values if in_voxels else grid.index_to_physical(values[:, ::-1])
        swapped = kind is not None and bool(_inside(grid, other).all())
        _report_outside(table["id"][~inside], inside, files, kind, swapped, in_voxels, case_id)
    table = pd.DataFrame(
        {"id": table["id"], "x": points[:, 0], "y": points[:, 1], "z": points[:, 2]}
    )
    return table[inside].reset_index(drop=True)


def count_elastix(path: Path) -> int | None:
    """How many landmarks an elastix file announces; None for another file."""
    if elastix_kind(path) is None:
        return None
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        stream.readline(80)
        second = stream.readline(80).strip()
    return int(second) if second.isdecimal() and len(second) < 19 else None


def _inside(grid: Grid, points: np.ndarray) -> np.ndarray:
    index = grid.physical_to_index(points)
    return ((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)).all(axis=1)


def _report_outside(
    ids: pd.Series,
    inside: np.ndarray,
    files: CaseFiles,
    kind: str | None,
    swapped: bool,
    in_voxels: bool,
    case_id: str,
) -> None:
    """Refuse landmarks outside the image, or tell that they are left out."""
    names = ", ".join(ids.head(5)) + (" …" if len(ids) > 5 else "")
    what = f"{len(ids)} of {len(inside)} landmarks of the case '{case_id}' lie outside its image"
    if files.drop_outside and inside.any() and not swapped:
        print(f"{what} and are left out: {names}", flush=True)
        return
    if swapped or kind == "index":
        meant = {
            "point": "voxel indices: then the first line must be 'index'",
            "index": "points in mm: then the first line must be 'point'",
        }[kind]
        do = f"The file says '{kind}'; the numbers {'are' if swapped else 'may be'} {meant}."
    elif in_voxels:
        do = "Check that these landmarks belong to this image, and count from 0."
    else:
        do = (
            "Landmarks are needed in mm in the LPS frame of the image (RAS: change the signs of x "
            "and y)"
            + "; if they are voxel indices, "
            + ("the first line must be 'index'." if kind else "their columns are i, j, k.")
        )
    raise WarplineError(f"{what}: {names}.", where=files.landmarks, do=do)


def _read_named(files: CaseFiles, case_id: str, prefix: str) -> tuple[pd.DataFrame, bool]:
    """Columns id, x, y, z, and whether the points are voxel indices, as the file says."""
    import pandas as pd

    try:
        points = parse_points(files.landmarks)
    except UNREADABLE as error:
        raise WarplineError(
            f"The landmarks of the case '{case_id}' cannot be read: {error}.",
            where=files.landmarks,
            do="Needed are the columns id, x, y, z (mm, LPS) or id, i, j, k (voxel indices from "
            "0), separated by commas, and a line for each landmark; or a whole .fcsv, .mrk.json or "
            "list of elastix.",
        ) from error
    table = pd.DataFrame(points.values, columns=["x", "y", "z"])
    table.insert(0, "id", [f"{prefix}{name}" for name in points.ids])
    return table, points.in_voxels


def _read_lines(files: CaseFiles, case_id: str) -> pd.DataFrame:
    """Lines of x, y, z indices without a header."""
    import pandas as pd

    try:
        lines = io.StringIO(read_list(files.landmarks), newline="")
        rows = [[float(value) for value in row] for row in csv.reader(lines) if row]
        table = pd.DataFrame(rows, columns=["x", "y", "z"])
    except (ValueError, csv.Error) as error:
        raise WarplineError(
            f"The landmarks of the case '{case_id}' cannot be read; lines of x, y, z are needed, "
            "separated by commas.",
            where=files.landmarks,
        ) from error
    numbers = range(1, len(table) + 1)
    table.insert(0, "id", [f"{files.landmark_prefix}{number}" for number in numbers])
    return table
