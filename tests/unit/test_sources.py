"""Which files of own data are inputs of which cases."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from warpline.plan.sources import COLUMNS, OwnFolder

EMPTY = dict.fromkeys(COLUMNS, "")


def laid(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def inputs(folder: Path, kind: str, *rows: dict[str, str]) -> list[str]:
    found = OwnFolder(folder, kind, folder / "results").inputs(EMPTY | row for row in rows)
    return [path.relative_to(folder).as_posix() for path in found]


def test_paths_of_the_case_sheet_and_the_files_that_belong_to_them(tmp_path):
    laid(tmp_path, "a.nii.gz", "b/scan.mhd", "b/scan.raw", "c.hdr", "c.img", "part/d.csv", "e.nii")
    (tmp_path / "b/scan.mhd").write_text("ElementDataFile = scan.raw\n")
    one = {"case": "1", "image": "b/scan.mhd", "labels": "c.hdr", "landmarks": "d.csv"}
    expected = ["b/scan.mhd", "b/scan.raw", "c.hdr", "c.img", "part/d.csv"]
    assert inputs(tmp_path, "folder", one) == expected
    # What two cases share stands once; what is missing is named by the job.
    two = {"case": "2", "image": "a.nii.gz", "labels": "c.hdr", "mask": "missing.nii"}
    found = inputs(tmp_path, "followup", one, two)
    assert found == [*expected, "a.nii.gz"]


def test_results_and_hidden_folders_within_the_folder_are_no_source(tmp_path):
    laid(tmp_path, "results/data/x/prepared/001/image.nii.gz", ".cache/001.nii", "task/001.nii")
    assert inputs(tmp_path, "msd", {"case": "001"}) == ["task/001.nii"]


def test_a_folder_of_dicom_files_is_an_image(tmp_path):
    laid(tmp_path, "anna/ct/1.dcm", "anna/ct/2.dcm", "bert/ct/1.dcm", "anna/labels.nii.gz")
    row = {"case": "a", "image": "anna/ct", "labels": "anna/labels.nii.gz"}
    assert inputs(tmp_path, "folder", row) == [
        "anna/ct/1.dcm",
        "anna/ct/2.dcm",
        "anna/labels.nii.gz",
    ]


def test_patterns_of_dirlab_find_files_in_whatever_capitals_or_the_zip_that_holds_them(tmp_path):
    laid(tmp_path, "Case1/Images/case1_T00_s.IMG", "case2_T00.img", "._case1_t00.img")
    with zipfile.ZipFile(tmp_path / "Case3Pack.zip", "w") as archive:
        archive.writestr("Case3Pack/Images/case3_T00_s.img", b"x")
    with zipfile.ZipFile(tmp_path / "Case4Pack.zip", "w") as archive:
        archive.writestr("Case4Pack/Images/case4_T00_s.img", b"x")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    for number, expected in (
        (1, ["Case1/Images/case1_T00_s.IMG"]),
        (2, ["case2_T00.img"]),
        (3, ["Case3Pack.zip"]),
        (5, []),
    ):
        row = {"case": f"case{number}-T00", "image": f"case{number}_T00*.img"}
        assert inputs(tmp_path, "dirlab", row) == expected


@pytest.mark.parametrize(
    ("kind", "case", "expected"),
    [
        ("kits19", "00001", ["data/case_00001/imaging.nii.gz", "table.csv"]),
        ("tcia_pancreas", "0002", ["PANCREAS_0002/1.dcm", "label0002.nii.gz", "table.csv"]),
        ("learn2reg_lung", "001-exp", ["scans/case_001_exp.nii.gz", "table.csv"]),
    ],
)
def test_other_formats_name_the_case_in_the_path(tmp_path, kind, case, expected):
    laid(
        tmp_path,
        "data/case_00001/imaging.nii.gz",
        "data/case_00022/imaging.nii.gz",
        "PANCREAS_0002/1.dcm",
        "label0002.nii.gz",
        "scans/case_001_exp.nii.gz",
        "scans/case_001_insp.nii.gz",
        "table.csv",
    )
    found = inputs(tmp_path, kind, {"case": case})
    assert set(expected) <= set(found)
    assert all(case.replace("-", "_") in path or path == "table.csv" for path in found)


def test_where_a_list_tells_the_case_every_file_is_an_input(tmp_path):
    laid(tmp_path, "subjects.txt", "OASIS_OAS1_0007_MR1/orig.nii.gz")
    assert len(inputs(tmp_path, "neurite_oasis", {"case": "0001-left"})) == 2


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert inputs(tmp_path / "missing", "dirlab", {"case": "1", "image": "a*"}) == []
