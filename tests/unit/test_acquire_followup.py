"""Baseline and follow-up scans: landmark files of elastix, what lies outside, both sides alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from schema_tools import files_of

from warpline.acquire import formats
from warpline.acquire.canonical import canonicalise
from warpline.acquire.formats import CaseFiles
from warpline.acquire.landmarks import elastix_kind, read_landmarks
from warpline.cases.case import read_case
from warpline.errors import WarplineError
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

GRID = Grid((12, 14, 16), (1.5, 2.0, 2.5), (-60.0, 35.0, -400.0))
# x y z indices inside the grid, one of them between voxels.
INDEX = np.array([[3, 4, 5], [15, 0, 11], [7.25, 6, 2]])
POINTS = GRID.index_to_physical(INDEX[:, ::-1])


def text(kind: str, values: np.ndarray, number: int | None = None) -> str:
    rows = [" ".join(f"{value:.6f}" for value in row) for row in values]
    return "\n".join([kind, str(len(rows) if number is None else number), *rows]) + "\n"


def table(tmp_path: Path, content: str, **options):
    path = tmp_path / "points.txt"
    path.write_text(content)
    return read_landmarks(CaseFiles(tmp_path / "image.mha", landmarks=path, **options), GRID, "a")


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize(("kind", "values"), [("point", POINTS), ("index", INDEX)])
def test_both_forms_of_elastix_become_millimetres(tmp_path, kind, values):
    read = table(tmp_path, text(kind, values).replace("\n", "\r\n"))
    assert list(read["id"]) == ["1", "2", "3"]
    np.testing.assert_allclose(read[["x", "y", "z"]], POINTS, atol=1e-5)


def test_the_first_line_tells(tmp_path):
    for number, (content, kind) in enumerate(
        [("point\n0\n", "point"), ("\ufeffindex\r\n0\n", "index"), ("id,x,y,z\n", None), ("", None)]
    ):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(content.encode())
        assert elastix_kind(path) == kind


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (text("point", POINTS, number=4), ["announces 4 points and has 3"]),
        ("point\n2\n1 2 3\n4 5\n", ["cannot be read", "their number and a line of x y z"]),
        ("point\nmany\n1 2 3\n", ["cannot be read"]),
        ("point\n", ["cannot be read"]),
        ("point\n1\nnan 2 3\n", ["announces 1 points and has 0"]),
    ],
)
def test_broken_files_of_elastix(tmp_path, content, messages):
    found = refusal(table, tmp_path, content)
    assert "the case 'a'" in found
    assert str(tmp_path / "points.txt") in found
    assert all(message in found for message in messages)


def test_landmarks_outside_are_left_out_and_counted(tmp_path, capsys):
    away = np.vstack([POINTS[:1], [[900.0, 0.0, 0.0]], POINTS[1:]])
    read = table(tmp_path, text("point", away), drop_outside=True)
    assert list(read["id"]) == ["1", "3", "4"]  # their numbers stay: they match the other side's
    np.testing.assert_allclose(read[["x", "y", "z"]], POINTS, atol=1e-5)
    said = capsys.readouterr().out
    assert said == "1 of 4 landmarks of the case 'a' lie outside its image and are left out: 2\n"
    assert "1 of 4 landmarks" in refusal(table, tmp_path, text("point", away))


def test_all_landmarks_outside_are_an_error(tmp_path):
    found = refusal(table, tmp_path, text("point", POINTS + 1000), drop_outside=True)
    assert "3 of 3 landmarks of the case 'a' lie outside its image" in found
    assert "if they are voxel indices, the first line must be 'index'" in found


@pytest.mark.parametrize(
    ("stated", "values", "advice"),
    [
        ("point", INDEX, "the numbers are voxel indices: then the first line must be 'index'"),
        ("index", POINTS, "the numbers are points in mm: then the first line must be 'point'"),
    ],
)
def test_indices_where_points_are_meant(tmp_path, stated, values, advice):
    """Even where some of the numbers lie inside either way: half of them would be wrong."""
    found = refusal(table, tmp_path, text(stated, values), drop_outside=True)
    assert advice in found


# --- the source format ----------------------------------------------------------------------------


def scan(folder: Path, patient: str, side: str, points: np.ndarray) -> dict[str, str]:
    home = folder / patient
    home.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(side)).integers(-900, 100, GRID.shape).astype(np.int16)
    write_image(home / f"{side}.mha", Image(values, GRID))
    (home / f"{side}.txt").write_text(text("point", points))
    row = {
        "case": f"{patient}-{side}",
        "patient": patient,
        "split": "test",
        "labels": "",
        "mask": "",
    }
    return row | {"image": f"{patient}/{side}.mha", "landmarks": f"{patient}/{side}.txt"}


@pytest.fixture
def rows(tmp_path):
    return [scan(tmp_path / "data", "p1", side, POINTS) for side in ("baseline", "followup")]


def locate(folder: Path, rows: list[dict], number: int = 0) -> CaseFiles:
    return formats.get("followup").locate(folder, files_of(patients=rows), rows[number])


def test_files_of_a_folder_or_of_an_archive(tmp_path, rows):
    found = locate(tmp_path / "data", rows, 1)
    assert found.image == tmp_path / "data/p1/followup.mha"
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "data").rename(tmp_path / "unpacked/followup.zip")
    found = locate(tmp_path / "unpacked", rows, 1)
    assert found.image == tmp_path / "unpacked/followup.zip/p1/followup.mha"
    assert found.landmarks == tmp_path / "unpacked/followup.zip/p1/followup.txt"
    assert found.mask is None
    canonicalise(found, "p1-followup", tmp_path / "out", labels={})
    np.testing.assert_allclose(
        read_case(tmp_path / "out").landmarks[["x", "y", "z"]], POINTS, atol=1e-5
    )


def test_other_counts_on_the_two_sides(tmp_path, rows):
    (tmp_path / "data/p1/followup.txt").write_text(text("point", POINTS[:2]))
    for number in (0, 1):
        found = refusal(locate, tmp_path / "data", rows, number)
        assert "of the patient 'p1' have" in found
        assert "p1/baseline.txt" in found
        assert "p1/followup.txt" in found
    # Another patient's count is of no concern.
    other = {**rows[1], "patient": "p2"}
    locate(tmp_path / "data", [rows[0], other])


def test_a_missing_file_names_row_and_column(tmp_path, rows):
    (tmp_path / "data/p1/followup.txt").unlink()
    assert "'p1-followup', 'landmarks'" in refusal(locate, tmp_path / "data", rows, 1)
