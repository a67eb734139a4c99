"""Files of points of every program, by hand, against the same points in LPS."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fieldtools import oblique

from warpline.errors import WarplineError
from warpline.fields.exchange.points import read_points, write_points

LPS = np.array([[1.5, -2.25, 3.0], [-40.0, 50.5, 60.0]])
RAS = LPS * (-1, -1, 1)
GRID = oblique()


def fcsv(points, head: str) -> str:
    rows = [
        f"vtkMRMLMarkupsFiducialNode_{k},{x},{y},{z},0,0,0,1,1,1,0,{name},,"
        for k, ((x, y, z), name) in enumerate(zip(points, ("carina", '"left, apex"'), strict=True))
    ]
    columns = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    return "\n".join([head, columns, *rows]) + "\n"


def mrk(points, frame: str | None) -> str:
    controls = [
        {"id": str(k), "label": name, "position": list(p), "positionStatus": "defined"}
        for k, (p, name) in enumerate(zip(points, ("carina", "left, apex"), strict=True), 1)
    ]
    controls.append({"id": "3", "label": "not yet", "positionStatus": "undefined"})
    markup = {"type": "Fiducial", "controlPoints": controls}
    if frame:
        markup["coordinateSystem"] = frame
    return json.dumps({"markups": [markup]})


OLD = "# Markups fiducial file version = 4.10"
NEW = "# Markups fiducial file version = 4.11"
NAMED = {
    "ras.fcsv": fcsv(RAS, f"{NEW}\n# CoordinateSystem = RAS"),
    "zero.fcsv": fcsv(RAS, f"{OLD}\n# CoordinateSystem = 0"),
    "lps.fcsv": fcsv(LPS, f"{NEW}\n# CoordinateSystem = LPS"),
    "one.fcsv": fcsv(LPS, f"{NEW}\n# CoordinateSystem = 1"),
    "old.fcsv": fcsv(RAS, OLD),
    "new.fcsv": fcsv(LPS, NEW),
    "lps.mrk.json": mrk(LPS, "LPS"),
    "ras.mrk.json": mrk(RAS, "RAS"),
    "unsaid.mrk.json": mrk(LPS, None),
    "semicolons.csv": 'ID;X;Y;Z\ncarina;1.5;-2.25;3\n"left, apex";-40;50.5;60\n',
    "tabs.tsv": "id\tx\ty\tz\ncarina\t1.5\t-2.25\t3\nleft, apex\t-40\t50.5\t60\n",
}


@pytest.mark.parametrize("name", NAMED)
def test_points_with_names(tmp_path, name):
    (tmp_path / name).write_text(NAMED[name], encoding="utf-8")
    points = read_points(tmp_path / name)
    assert points.ids == ("carina", "left, apex")
    assert not points.in_voxels
    np.testing.assert_allclose(points.values, LPS)


def test_points_without_names_are_counted(tmp_path):
    for name, text in {
        "a.txt": "point\n2\n1.5 -2.25 3\n-40 50.5 60\n",
        "a.pts": "point\n2\n1.5 -2.25 3\n-40 50.5 60\n\n",
        "ants.csv": "x,y,z,t\n1.5,-2.25,3,0\n-40,50.5,60,0\n",
    }.items():
        (tmp_path / name).write_text(text)
        points = read_points(tmp_path / name)
        assert points.ids == ("1", "2")
        np.testing.assert_allclose(points.physical(GRID), LPS)


def test_voxels_are_those_of_the_image(tmp_path):
    direction = np.reshape(GRID.direction, (3, 3))
    expected = GRID.origin + direction @ (np.array([2, 3, 4]) * GRID.spacing)
    for name, text in {"a.csv": "id,i,j,k\n007,2,3,4\n", "a.txt": "index\n1\n2 3 4\n"}.items():
        (tmp_path / name).write_text(text)
        points = read_points(tmp_path / name)
        assert points.in_voxels
        np.testing.assert_allclose(points.physical(GRID)[0], expected)
    assert read_points(tmp_path / "a.csv").ids == ("007",)


@pytest.mark.parametrize("name", ["a.csv", "a.fcsv", "a.mrk.json", "a.txt", "a.pts"])
def test_what_is_written_is_read(tmp_path, name):
    write_points(tmp_path / name, ("carina", 'left, "apex"'), LPS)
    points = read_points(tmp_path / name)
    np.testing.assert_allclose(points.values, LPS, atol=1e-6)
    if name.endswith(("csv", "json")):
        assert points.ids == ("carina", 'left, "apex"')


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "1,2,3\n4,5,6\n", "first line has the columns 1, 2, 3"),
        ("a.csv", "id,x,y,z\n", "has no points"),
        ("a.csv", "id,x,y,z\na,1,2\n", "point 1 has 3 cells, the first line 4"),
        ("a.csv", "id,x,y,z\na,1,2,nan\n", "not finite"),
        ("a.csv", "id,x,y,z\na,1,2,3\na,1,2,4\n", "'a' stands twice"),
        ("a.csv", "id,x,y,z\n,1,2,3\n", "a line has no id"),
        ("a.txt", "point\n3\n1 2 3\n", "announces 3 points and has 1"),
        ("a.fcsv", fcsv(LPS, "# CoordinateSystem = IJK"), "frame 'IJK'"),
        ("a.mrk.json", "{}", "cannot be read"),
        ("a.mrk.json", "{", "cannot be read"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(WarplineError, match=said):
        read_points(tmp_path / name)


def test_landmarks_of_own_data_may_be_those_of_slicer(tmp_path):
    """The same files in the case sheet of a dataset, in mm, LPS, of the canonical case."""
    from warpline.acquire.formats.base import CaseFiles
    from warpline.acquire.landmarks import read_landmarks

    inside = GRID.index_to_physical(np.array([[1.0, 2.0, 3.0], [8.0, 7.5, 6.0]]))
    flipped = inside * (-1, -1, 1)
    for name, text in {
        "a.fcsv": fcsv(flipped, f"{NEW}\n# CoordinateSystem = RAS"),
        "a.mrk.json": mrk(inside, "LPS"),
    }.items():
        (tmp_path / name).write_text(text)
        files = CaseFiles(image=tmp_path / "image.nii.gz", landmarks=tmp_path / name)
        table = read_landmarks(files, GRID, "a")
        assert list(table["id"]) == ["carina", "left, apex"]
        np.testing.assert_allclose(table[["x", "y", "z"]], inside)
        (tmp_path / name).write_text(text.replace("left", "carina").replace(", apex", ""))
        with pytest.raises(WarplineError, match="'carina' stands twice"):
            read_landmarks(files, GRID, "a")
