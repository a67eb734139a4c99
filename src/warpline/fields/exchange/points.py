"""Files of points: tables, 3D Slicer's markups, elastix' lists.

A table has a first line with the columns ``id,x,y,z`` (mm, LPS) or ``id,i,j,k`` (voxels along the
axes x, y, z of the image, from 0), separated by commas, semicolons or tabs; ``x,y,z,t``, as ANTs
has them, are mm, LPS. Where points have no names they are counted from 1.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.files import atomic_path, read_list, write_json, write_text
from warpline.images.grid import Grid

ELASTIX = ("point", "index")
# Cells of a table that say that there is no number.
MISSING = ("", "na", "n/a", "nan", "null", "none")
# What `parse_points` raises of a file that is not as it should be.
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, csv.Error)
# Slicer has written numbers in the place of names.
FRAMES = {"0": "RAS", "1": "LPS", "2": "IJK"}
LPS_SINCE = (4, 11)
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
WRITTEN = (".csv", ".fcsv", ".mrk.json", ".txt", ".pts")


@dataclass(frozen=True)
class Points:
    """Named points.

    Attributes
    ----------
    ids
        The names, all different.
    values
        (n, 3): (x, y, z) in mm, LPS, or (i, j, k) if `in_voxels`.
    in_voxels
        Whether the values count voxels.
    """

    ids: tuple[str, ...]
    values: np.ndarray
    in_voxels: bool = False

    def physical(self, grid: Grid) -> np.ndarray:
        """(n, 3) in mm, LPS; `grid` is that of the image to which the points belong."""
        return grid.index_to_physical(self.values[:, ::-1]) if self.in_voxels else self.values


def read_points(path: Path) -> Points:
    """The points of a file; its name and its first lines tell of which program it is.

    Raises
    ------
    WarplineError
        If the file cannot be read, says not in which frame its points are, holds no points or
        numbers that are not finite, or two points have one name.
    """
    if not path.is_file():
        raise WarplineError("The file of the points does not exist.", where=path)
    with path.open("rb") as stream:
        if b"\0" in stream.read(4096):
            raise WarplineError(
                "This is no table of points: it is no text.",
                where=path,
                do="Give points by --points, images by --image, label maps by --labels.",
            )
    try:
        points = parse_points(path)
    except UNREADABLE as error:
        raise WarplineError(
            f"The points cannot be read: {error}.",
            where=path,
            do="Needed is a table with the columns id, x, y, z (mm, LPS) or id, i, j, k (voxels "
            "from 0), a .fcsv or .mrk.json of 3D Slicer, or a list of elastix.",
        ) from error
    if not len(points.ids) or not np.isfinite(points.values).all():
        raise WarplineError(
            "The file holds numbers that are not finite." if points.ids else "It has no points.",
            where=path,
        )
    twice = sorted(name for name, number in Counter(points.ids).items() if number > 1)
    if twice:
        raise WarplineError(
            f"The name '{twice[0]}' stands twice.", where=path, do="Give each point its own name."
        )
    return points


def parse_points(path: Path) -> Points:
    """As `read_points`, of a file that exists, whatever its points are.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError, csv.Error
        If it cannot be read.
    """
    name = path.name.lower()
    if name.endswith(".json"):
        return _read_markups(path)
    if name.endswith(".fcsv"):
        return _read_fiducials(path)
    return _read_elastix(path) if elastix_kind(path) else _read_table(path)


def elastix_kind(path: Path) -> str | None:
    """``point`` or ``index`` if the file's first line says so, as in elastix' lists."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(80).strip()
    return first if first in ELASTIX else None


def write_points(path: Path, ids: Sequence[str], points: np.ndarray) -> None:
    """Write points (n, 3) in mm, LPS, as the suffix says.

    Raises
    ------
    WarplineError
        If the suffix is not known.
    """
    name = path.name.lower()
    if name.endswith(".mrk.json"):
        write_json(path, _markups(ids, points))
    elif name.endswith(".fcsv"):
        write_text(path, _fiducials(ids, points))
    elif name.endswith((".txt", ".pts")):
        rows = (" ".join(f"{value:.6f}" for value in point) for point in points)
        write_text(path, "\n".join(["point", str(len(ids)), *rows]) + "\n")
    elif name.endswith(".csv"):
        with atomic_path(path) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("id", "x", "y", "z"))
            writer.writerows(
                (i, *(f"{v:.6f}" for v in p)) for i, p in zip(ids, points, strict=True)
            )
    else:
        raise WarplineError(
            "The suffix names no kind of points.",
            where=path,
            do=f"Names end in {', '.join(WRITTEN)}.",
        )


def _lines(path: Path) -> list[str]:
    lines = read_list(path, "replace").splitlines()
    if not any(line.strip() for line in lines):
        raise ValueError("the file is empty")
    return lines


def _read_elastix(path: Path) -> Points:
    lines = _lines(path)
    kind = lines[0].strip()
    try:
        rows = [line.split() for line in lines[2:] if line.strip()]
        values = np.array([[float(value) for value in row] for row in rows]).reshape(-1, 3)
        number = int(lines[1])
    except (IndexError, ValueError) as error:
        said = f"after '{kind}' come their number and a line of x y z for each"
        raise ValueError(said) from error
    known = int(np.isfinite(values).all(axis=1).sum())
    if number != known or known != len(values):
        raise ValueError(f"the file announces {number} points and has {known}")
    return Points(_counted(number), values, kind == "index")


def _read_table(path: Path) -> Points:
    lines = [line for line in _lines(path) if line.strip()]
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    head, *rows = [[cell.strip() for cell in row] for row in reader]
    columns = [name.lower() for name in head]
    axes = next((axes for axes in ("xyz", "ijk") if set(axes) <= set(columns)), None)
    if axes is None:
        raise ValueError(f"its first line has the columns {', '.join(head[:8])}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise ValueError(f"point {number} has {len(row)} cells, the first line {len(head)}")
    place = [columns.index(axis) for axis in axes]
    values = np.array([[_number(row[k]) for k in place] for row in rows]).reshape(-1, 3)
    key = next((name for name in ("id", "label", "name") if name in columns), None)
    if key is None:
        return Points(_counted(len(values)), values, axes == "ijk")
    ids = tuple(row[columns.index(key)] for row in rows)
    if "" in ids:
        raise ValueError(f"a line has no {key}")
    return Points(ids, values, axes == "ijk")


def _number(cell: str) -> float:
    return float("nan") if cell.lower() in MISSING else float(cell)


def _read_fiducials(path: Path) -> Points:
    said, rows = {}, []
    for line in _lines(path):
        if match := re.fullmatch(r"#\s*(.+?)\s*=\s*(.+?)\s*", line):
            said[match[1].lower()] = match[2]
        elif line.strip() and not line.startswith("#"):
            rows.append(next(csv.reader([line])))
    frame = said.get("coordinatesystem", "")
    frame = FRAMES.get(frame, frame.upper())
    if not frame:
        version = re.findall(r"\d+", said.get("markups fiducial file version", "0"))
        frame = "LPS" if tuple(map(int, version[:2])) >= LPS_SINCE else "RAS"
    columns = [name.strip() for name in said.get("columns", "id,x,y,z").split(",")]
    place = [columns.index(axis) for axis in "xyz"]
    values = np.array([[float(row[k]) for k in place] for row in rows]).reshape(-1, 3)
    label = columns.index("label") if "label" in columns else None
    names = ["" if label is None or label >= len(row) else row[label].strip() for row in rows]
    return Points(_named(names), _in_lps(values, frame))


def _read_markups(path: Path) -> Points:
    content = json.loads(read_list(path))
    names, parts = [], []
    for markup in content["markups"]:
        frame = markup.get("coordinateSystem", "LPS")
        known = [
            point
            for point in markup.get("controlPoints", [])
            if point.get("positionStatus", "defined") == "defined"
        ]
        values = np.array([point["position"] for point in known], dtype=float).reshape(-1, 3)
        parts.append(_in_lps(values, FRAMES.get(str(frame), str(frame).upper())))
        names += [str(point.get("label", "")).strip() for point in known]
    return Points(_named(names), np.concatenate(parts) if parts else np.zeros((0, 3)))


def _in_lps(values: np.ndarray, frame: str) -> np.ndarray:
    if frame not in ("RAS", "LPS"):
        raise ValueError(f"its points are in the frame '{frame}', not in LPS or RAS")
    return values * (-1.0, -1.0, 1.0) if frame == "RAS" else values


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """The names, or numbers where none has one."""
    return tuple(name or str(k) for k, name in enumerate(names, start=1))


def _counted(number: int) -> tuple[str, ...]:
    return tuple(str(k) for k in range(1, number + 1))


def _fiducials(ids: Sequence[str], points: np.ndarray) -> str:
    lines = [
        "# Markups fiducial file version = 4.11",
        "# CoordinateSystem = LPS",
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID",
    ]
    for k, (name, point) in enumerate(zip(ids, points, strict=True), start=1):
        quoted = '"' + name.replace('"', '""') + '"' if re.search('[",]', name) else name
        lines.append(f"{k},{','.join(f'{v:.6f}' for v in point)},0,0,0,1,1,1,0,{quoted},,")
    return "\n".join(lines) + "\n"


def _markups(ids: Sequence[str], points: np.ndarray) -> dict[str, object]:
    controls = [
        {
            "id": str(k),
            "label": name,
            "position": [round(float(value), 6) for value in point],
            "positionStatus": "defined",
        }
        for k, (name, point) in enumerate(zip(ids, points, strict=True), start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": controls,
    }
    return {"@schema": SCHEMA, "markups": [markup]}
