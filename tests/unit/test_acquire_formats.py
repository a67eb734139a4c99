"""Where the files of a case lie, in each provider's layout."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from schema_tools import files_of, phantom_of

from warpline.acquire import formats
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError
from warpline.phantoms import write

LABELS = {"labels": {"1": "head", "2": "body"}}


def files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def locate(name: str, folder: Path, case: str, dataset=LABELS, **columns: str):
    return formats.get(name).locate(folder, files_of(**dataset), {"case": case, **columns})


def describe(path: Path, **value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


# --- Medical Segmentation Decathlon ---------------------------------------------------------------


@pytest.fixture
def task(tmp_path):
    """A Decathlon task with two training cases and a test case; the folder it is unpacked in."""
    root = tmp_path / "Task04_Hippocampus"
    names = ["imagesTr/hippocampus_001", "labelsTr/hippocampus_001", "imagesTr/hippocampus_003"]
    names += ["labelsTr/hippocampus_003", "imagesTs/hippocampus_002", "imagesTr/._hippocampus_001"]
    files(root, *(f"{name}.nii.gz" for name in names), "._dataset.json")
    describe(
        root / "dataset.json",
        labels={"0": "background", "1": "Anterior", "2": "Posterior"},
        training=[
            {"image": f"./imagesTr/hippocampus_{i}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"}
            for i, n in (("001", "hippocampus_001"), ("003", "hippocampus_003"))
        ],
        test=["./imagesTs/hippocampus_002.nii.gz"],
    )
    return tmp_path


def edit(task: Path, **changes) -> None:
    path = task / "Task04_Hippocampus" / "dataset.json"
    value = json.loads(path.read_text()) | changes
    describe(path, **{key: item for key, item in value.items() if item is not None})


def test_msd(task):
    found = locate("msd", task, "003")
    assert found.image == task / "Task04_Hippocampus/imagesTr/hippocampus_003.nii.gz"
    assert found.labels == task / "Task04_Hippocampus/labelsTr/hippocampus_003.nii.gz"
    assert (found.mask, found.landmarks) == (None, None)
    assert locate("msd", task, "002").labels is None


def test_msd_inside_a_folder_of_its_archive(task, tmp_path):
    shutil.move(task / "Task04_Hippocampus", tmp_path / "x" / "Task04_Hippocampus")
    assert locate("msd", tmp_path, "003").image.exists()


def test_msd_case_that_is_not_in_the_archive(task):
    with pytest.raises(WarplineError, match=r"The case '004' .* is not in the archive") as error:
        locate("msd", task, "004")
    assert "Known: 001, 002, 003" in error.value.do


def test_every_missing_case_is_named(task):
    cases = [{"case": case} for case in ("001", "998", "003", "999")]
    with pytest.raises(WarplineError, match=r"(?s)2 cases .*'998'.*'999'"):
        formats.locate_all("msd", task, files_of(**LABELS), cases)
    assert set(formats.locate_all("msd", task, files_of(**LABELS), cases[::2])) == {"001", "003"}
    with pytest.raises(WarplineError, match="The case '998'"):
        formats.locate_all("msd", task, files_of(**LABELS), cases[:2])


def test_msd_lists_a_file_that_is_not_there(task):
    (task / "Task04_Hippocampus/labelsTr/hippocampus_003.nii.gz").unlink()
    with pytest.raises(WarplineError, match="label of the case '003' is not in the archive"):
        locate("msd", task, "003")


def test_msd_description_without_labels(task):
    edit(task, labels=None)
    with pytest.raises(WarplineError, match="the key 'labels' is missing"):
        locate("msd", task, "001")


def test_msd_description_with_other_labels(task):
    edit(task, labels={"0": "background", "1": "liver"})
    with pytest.raises(WarplineError, match=r"The label 2 \(body\) .* 0 background, 1 liver"):
        locate("msd", task, "001")


def test_msd_description_without_cases(task):
    edit(task, training=None)
    with pytest.raises(WarplineError, match="'training' is missing"):
        locate("msd", task, "001")


def test_msd_description_with_a_wrong_entry(task):
    edit(task, training=[{"label": "./labelsTr/hippocampus_001.nii.gz"}])
    with pytest.raises(WarplineError, match="names no image"):
        locate("msd", task, "001")


def test_msd_description_that_leads_out(task):
    edit(task, training=[{"image": "../../hippocampus_001.nii.gz"}])
    with pytest.raises(WarplineError, match="leads out of its folder"):
        locate("msd", task, "001")


def test_msd_broken_description(task):
    (task / "Task04_Hippocampus" / "dataset.json").write_text('{"training": [')
    with pytest.raises(WarplineError, match="not valid JSON"):
        locate("msd", task, "001")


def test_msd_without_description(tmp_path):
    with pytest.raises(WarplineError, match="no description of a Decathlon task"):
        locate("msd", tmp_path, "001")


def test_two_tasks_in_one_folder(task):
    shutil.copytree(task / "Task04_Hippocampus", task / "Task05_Prostate")
    with pytest.raises(WarplineError, match=r"several candidates .*Task04.*Task05"):
        locate("msd", task, "001")


# --- Learn2Reg ------------------------------------------------------------------------------------


def package(folder: Path, *names: str, name: str = "HippocampusMR") -> Path:
    root = folder / name
    files(root, *names)
    describe(root / f"{name}_dataset.json", training=[])
    return root


def test_learn2reg(tmp_path):
    root = package(
        tmp_path,
        "imagesTr/HippocampusMR_0001_0000.nii.gz",
        "labelsTr/HippocampusMR_0001_0000.nii.gz",
        "masksTr/HippocampusMR_0001_0000.nii.gz",
        "imagesTs/HippocampusMR_0301_0000.nii.gz",
    )
    found = locate("learn2reg", tmp_path, "0001")
    assert found.image == root / "imagesTr/HippocampusMR_0001_0000.nii.gz"
    assert found.labels == root / "labelsTr/HippocampusMR_0001_0000.nii.gz"
    assert found.mask == root / "masksTr/HippocampusMR_0001_0000.nii.gz"
    assert locate("learn2reg", tmp_path, "0301").labels is None


def test_learn2reg_older_packages_name_labels_without_modality(tmp_path):
    package(tmp_path, "imagesTr/AbdomenCTCT_0001_0000.nii.gz", name="AbdomenCTCT")
    files(tmp_path / "AbdomenCTCT", "labelsTr/AbdomenCTCT_0001.nii.gz")
    found = locate("learn2reg", tmp_path, "0001")
    assert found.labels == tmp_path / "AbdomenCTCT/labelsTr/AbdomenCTCT_0001.nii.gz"


def test_learn2reg_phases_and_landmarks(tmp_path):
    root = package(
        tmp_path,
        *(f"imagesTr/LungCT_{n}_{m}.nii.gz" for n in ("0001", "0004") for m in ("0000", "0001")),
        *(f"keypointsTr/LungCT_{n}_0001.csv" for n in ("0001", "0004")),
        "landmarksTr/LungCT_0001_0001.csv",
        name="LungCT",
    )
    found = locate("learn2reg", tmp_path, "0001_0001", dataset={"labels": {}})
    assert found.image == root / "imagesTr/LungCT_0001_0001.nii.gz"
    assert found.landmarks == root / "landmarksTr/LungCT_0001_0001.csv"
    assert found.landmarks_in == "voxel"
    found = locate("learn2reg", tmp_path, "0004_0001", dataset={"labels": {}})
    assert found.landmarks == root / "keypointsTr/LungCT_0004_0001.csv"


def test_learn2reg_missing_files(tmp_path):
    package(tmp_path, "imagesTr/HippocampusMR_0001_0000.nii.gz")
    (tmp_path / "HippocampusMR" / "labelsTr").mkdir()
    with pytest.raises(WarplineError, match="The label map of the case '0001' is not"):
        locate("learn2reg", tmp_path, "0001")
    with pytest.raises(WarplineError, match=r"The case '0002' .* is not in the archive") as error:
        locate("learn2reg", tmp_path, "0002")
    assert "Did you mean '0001'" in error.value.do


def test_learn2reg_2020(tmp_path):
    files(
        tmp_path / "L2R_Task4_HippocampusMRI",
        *(f"Training/{k}/hippocampus_{i}.nii.gz" for k in ("img", "label") for i in ("001", "011")),
        "Testing/img/hippocampus_395.nii.gz",
        "Training/img/hippocampus_012.nii.gz",
    )
    found = locate("learn2reg2020", tmp_path, "001")
    root = tmp_path / "L2R_Task4_HippocampusMRI"
    assert found.image == root / "Training/img/hippocampus_001.nii.gz"
    assert found.labels == root / "Training/label/hippocampus_001.nii.gz"
    assert locate("learn2reg2020", tmp_path, "395").labels is None
    with pytest.raises(WarplineError, match=r"label map of the case '012' is not"):
        locate("learn2reg2020", tmp_path, "012")
    with pytest.raises(WarplineError, match=r"case '01' .* is not in the archive"):
        locate("learn2reg2020", tmp_path, "01")


def test_learn2reg_2020_names_labels_after_themselves(tmp_path):
    files(tmp_path, "Training/img/img0001.nii.gz", "Training/label/label0001.nii.gz")
    assert locate("learn2reg2020", tmp_path, "0001").labels.name == "label0001.nii.gz"


# --- own data -------------------------------------------------------------------------------------


def test_folder(tmp_path):
    files(tmp_path, "a/image.mha", "a/seg.nrrd", "a/points.csv")
    found = locate(
        "folder", tmp_path, "a", image="a/image.mha", labels="a/seg.nrrd", landmarks="a/points.csv"
    )
    assert found == formats.CaseFiles(
        tmp_path / "a/image.mha", tmp_path / "a/seg.nrrd", None, tmp_path / "a/points.csv"
    )


def test_folder_names_row_and_column(tmp_path):
    files(tmp_path, "image.mha")
    dataset = {"case_sheet": "config/datasets/mine.tsv"}
    with pytest.raises(WarplineError, match="does not exist") as error:
        locate("folder", tmp_path, "a", dataset, image="image.mha", mask="mask.mha")
    assert error.value.where == "config/datasets/mine.tsv, case 'a', 'mask'"
    with pytest.raises(WarplineError, match="has no image"):
        locate("folder", tmp_path, "a", dataset, image="")


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(WarplineError, match="no source format 'learn2rag'") as error:
        formats.get("learn2rag")
    assert "Did you mean 'learn2reg'?" in error.value.do
    for name in formats.KNOWN:
        assert callable(formats.get(name).locate)


# --- whole archives -------------------------------------------------------------------------------


def test_the_phantom_goes_the_way_of_real_data(tmp_path):
    cases = [{"case": case} for case in ("001", "003")]
    (archive,) = write("hippocampus", phantom_of(seed=1), cases, tmp_path / "mirror")
    got = fetch(Archive(archive.name, (archive.as_uri(),)), tmp_path / "archives")
    folder = unpack(got, tmp_path / "unpacked")
    found = formats.locate_all("msd", folder, files_of(**LABELS), cases)
    assert all(files.image.exists() and files.labels.exists() for files in found.values())


def test_the_real_task(tmp_path):
    real = os.environ.get("WARPLINE_REAL_DATA")
    archive = Path(real or "", "mirror", "Task04_Hippocampus.tar")
    if not real or not archive.exists():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/Task04_Hippocampus.tar")
    got = fetch(Archive(archive.name, (archive.as_uri(),)), tmp_path / "archives")
    folder = unpack(got, tmp_path / "unpacked")
    ids = json.loads((folder / "Task04_Hippocampus/dataset.json").read_text())["training"]
    cases = [{"case": Path(entry["image"]).name[12:15]} for entry in ids]
    assert len(formats.locate_all("msd", folder, files_of(**LABELS), cases)) == len(ids)
