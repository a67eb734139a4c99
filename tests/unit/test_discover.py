"""``warpline init``: layouts of other programs, and names, become cases, pairs and labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from acquire_tools import write_slices
from click.testing import CliRunner

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.discover import discover
from warpline.acquire.discover.found import Found, Scan
from warpline.acquire.discover.words import as_id, unique
from warpline.acquire.formats.folder import locate
from warpline.cli.main import main
from warpline.errors import WarplineError
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.plan.places import Places

ROOT = Path(__file__).parents[2]
GRID = Grid((4, 5, 6), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def image(path: Path, values: tuple[int, ...] = ()) -> None:
    """An image; with values a label map that has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.arange(120, dtype=np.float32).reshape(GRID.shape)
    if values:
        array = np.resize(np.array((0, *values), dtype=np.uint8), GRID.shape)
    write_image(path, Image(array, GRID))


def described(path: Path, **value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def columns(found: Found, *names: str) -> list[tuple[str, ...]]:
    return [tuple(getattr(scan, name) for name in names) for scan in found.scans]


def refusal(folder: Path) -> str:
    with pytest.raises(WarplineError) as error:
        discover(folder)
    return str(error.value)


# Layouts ----------------------------------------------------------------------------------------


def test_a_task_of_the_decathlon(tmp_path):
    for case in ("spleen_2", "spleen_10"):
        image(tmp_path / f"imagesTr/{case}.nii.gz")
        image(tmp_path / f"labelsTr/{case}.nii.gz", (1,))
    image(tmp_path / "imagesTs/spleen_1.nii.gz")
    training = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in ("spleen_2", "spleen_10")
    ]
    described(
        tmp_path / "dataset.json",
        training=training,
        test=["./imagesTs/spleen_1.nii.gz"],
        modality={"0": "CT"},
        labels={"0": "background", "1": "spleen"},
    )
    found = discover(tmp_path)
    assert found.layout == "a task of the Decathlon"
    assert found.labels == {1: "spleen"}
    assert columns(found, "image", "labels") == [
        ("imagesTr/spleen_10.nii.gz", "labelsTr/spleen_10.nii.gz"),
        ("imagesTr/spleen_2.nii.gz", "labelsTr/spleen_2.nii.gz"),
    ]
    assert found.pairing()[0] == {"from": "all"}


def test_a_dataset_of_nnunet_gives_its_first_channel(tmp_path):
    for case in ("la_003", "la_004"):
        for channel in ("0000", "0001"):
            image(tmp_path / f"imagesTr/{case}_{channel}.nii.gz")
        image(tmp_path / f"labelsTr/{case}.nii.gz", (1, 2))
    described(
        tmp_path / "dataset.json",
        channel_names={"0": "T1", "1": "T2"},
        labels={"background": 0, "atrium": 1, "wall": 2},
        numTraining=2,
        file_ending=".nii.gz",
    )
    found = discover(tmp_path)
    assert found.layout == "a dataset of nnU-Net"
    assert found.labels == {1: "atrium", 2: "wall"}
    assert columns(found, "name", "image", "labels") == [
        ("la_003", "imagesTr/la_003_0000.nii.gz", "labelsTr/la_003.nii.gz"),
        ("la_004", "imagesTr/la_004_0000.nii.gz", "labelsTr/la_004.nii.gz"),
    ]
    assert any("Of 2 channels the first is registered, T1" in line for line in found.assumed)


def test_a_task_of_learn2reg_gives_its_own_pairs(tmp_path):
    names = [f"Lung_000{n}_000{phase}" for n in (1, 2) for phase in (0, 1)]
    for name in names:
        image(tmp_path / f"imagesTr/{name}.nii.gz")
    pair = {key: f"./imagesTr/Lung_0002_000{n}.nii.gz" for n, key in enumerate(("fixed", "moving"))}
    described(
        tmp_path / "Lung_dataset.json",
        training=[{"image": f"./imagesTr/{name}.nii.gz"} for name in names],
        registration_val=[pair],
    )
    found = discover(tmp_path)
    assert found.layout == "a task of Learn2Reg"
    assert found.sheet == (("Lung_0002", "Lung_0002_0001"),)
    assert columns(found, "image") == [
        ("imagesTr/Lung_0002_0000.nii.gz",),
        ("imagesTr/Lung_0002_0001.nii.gz",),
    ]


def test_bids_with_two_sessions_pairs_each_subjects(tmp_path):
    for sub in ("01", "02"):
        for ses in ("pre", "post"):
            stem = f"sub-{sub}/ses-{ses}/anat/sub-{sub}_ses-{ses}"
            image(tmp_path / f"{stem}_T1w.nii.gz")
            image(tmp_path / f"derivatives/seg/sub-{sub}_ses-{ses}_space-orig_dseg.nii.gz", (1, 3))
    image(tmp_path / "sub-01/ses-pre/anat/sub-01_ses-pre_T2w.nii.gz")
    (tmp_path / "derivatives/seg/atlas_dseg.tsv").write_text(
        "index\tname\n0\tbackground\n1\tleft hippocampus\n3\tright hippocampus\n", encoding="utf-8"
    )
    found = discover(tmp_path)
    assert found.layout == "BIDS"
    assert found.labels == {1: "left hippocampus", 3: "right hippocampus"}
    # In the order of time, not of names.
    assert [scan.name for scan in found.scans] == [
        *("sub-01_ses-pre", "sub-01_ses-post", "sub-02_ses-pre", "sub-02_ses-post"),
    ]
    assert found.pairing()[0] == {"from": "patient"}
    assert any("there are also 'T2w'" in line for line in found.assumed)
    assert {scan.labels for scan in found.scans} == {
        f"derivatives/seg/sub-{sub}_ses-{ses}_space-orig_dseg.nii.gz"
        for sub in ("01", "02")
        for ses in ("pre", "post")
    }


def test_files_by_name_with_labels_masks_and_landmarks(tmp_path):
    for name in ("anna_exhale", "anna_inhale", "bert_exhale", "bert_inhale"):
        image(tmp_path / f"{name}.nii.gz")
        image(tmp_path / f"{name}_seg.nii.gz", (1,))
        image(tmp_path / f"masks/{name}.mha", (1,))
    (tmp_path / "anna_inhale.fcsv").write_text("x", encoding="utf-8")
    image(tmp_path / "carla_inhale_seg.nii.gz", (1,))
    found = discover(tmp_path)
    told = columns(found, "name", "patient", "labels", "mask", "landmarks")
    assert told[0] == (
        *("anna_inhale", "anna", "anna_inhale_seg.nii.gz", "masks/anna_inhale.mha"),
        "anna_inhale.fcsv",
    )
    # Inhale is fixed, and stands first.
    assert [row[0] for row in told] == ["anna_inhale", "anna_exhale", "bert_inhale", "bert_exhale"]
    assert found.pairing()[0] == {"from": "patient"}
    assert any("carla_inhale_seg.nii.gz (labels) is left out" in line for line in found.assumed)
    assert found.labels == {1: "label 1"}


def test_dicom_series_are_scans_and_are_read_as_such(tmp_path):
    places = ("anna/exhale", "anna/inhale", "bert/ct", "carla/mr", "dora/two")
    for number, place in enumerate(places):
        array = np.full(GRID.shape, number, np.int16)
        modality = "MR" if place == "carla/mr" else "CT"
        write_slices(tmp_path / place, array, GRID, f"{number}", t0008_0060=modality)
    write_slices(tmp_path / "dora/two", np.zeros(GRID.shape, np.int16), GRID, "9")
    (tmp_path / "anna" / "notes.txt").write_text("no scan", encoding="utf-8")
    found = discover(tmp_path)
    assert found.layout == "DICOM series"
    assert columns(found, "patient", "image") == [
        *(("anna", "anna/inhale"), ("anna", "anna/exhale"), ("bert", "bert/ct")),
    ]
    assert any("carla/mr is left out: it is MR" in line for line in found.assumed)
    assert any("dora/two is left out: it holds 2 series" in line for line in found.assumed)
    # A case sheet that names the folder has the series as its image.
    told = dict.fromkeys(("ask", "landmark_folder", "phantom", "patients"))
    told |= {"format": "folder", "labels": {}, "case_sheet": "x.tsv", "scans": {}}
    told |= {"nan": "refuse", "own": True}
    dataset = DatasetFiles.of(told)
    files = locate(tmp_path, dataset, {"case": "b", "image": "bert/ct"})
    image, landmarks = files.read()
    assert image.grid.shape == GRID.shape
    assert image.array.tolist() == np.full(GRID.shape, 2).tolist()
    assert landmarks is None


def test_series_that_lie_in_the_folder_itself_are_counted(tmp_path):
    for name in ("8", "9"):
        write_slices(tmp_path, np.zeros(GRID.shape, np.int16), GRID, name)
    with pytest.raises(WarplineError, match="itself holds the files of 2 DICOM series") as error:
        discover(tmp_path)
    assert "Part the series" in error.value.do


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (("scan_1", "scan_2", "scan_3"), 3),
        (("fixed", "moving"), 1),
        (("p1_t0", "p1_t1", "p2_t0", "p2_t1"), 2),
        (("a_1", "a_2", "b_1", "b_2"), 2),
        (("a/baseline", "a/followup", "b/baseline", "b/followup"), 2),
        (("case_007", "case_008", "other_009"), 3),
    ],
)
def test_whose_scans_they_are_by_name(tmp_path, names, patients):
    for name in names:
        image(tmp_path / f"{name}.nii.gz")
    found = discover(tmp_path)
    assert len(found.patients) == patients
    assert [scan.image for scan in found.scans] == [f"{name}.nii.gz" for name in names]


def test_many_scans_are_sampled(tmp_path):
    scans = tuple(Scan(f"s{n}", f"s{n}", f"s{n}.nii.gz") for n in range(40))
    rule, why = Found(tmp_path, "", scans).pairing()
    assert rule == {"from": "all", "limit": 60}
    assert "60 of the 1560 pairs" in why


# What cannot be used ----------------------------------------------------------------------------


def test_a_folder_without_two_scans(tmp_path):
    assert "There are no two scans" in refusal(tmp_path)
    image(tmp_path / "one.nii.gz")
    assert "There are no two scans" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_a_broken_image_or_description_is_named(tmp_path):
    image(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    assert "b.nii.gz" in refusal(tmp_path)
    (tmp_path / "dataset.json").write_text("{", encoding="utf-8")
    assert "dataset.json" in refusal(tmp_path)


def test_a_path_that_leaves_the_folder_is_refused(tmp_path):
    described(tmp_path / "dataset.json", training=[{"image": "../secret.nii.gz"}] * 2)
    assert "leads out of its folder" in refusal(tmp_path)


def test_a_label_map_that_is_none_is_named(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / f"{name}.nii.gz")
        array = np.linspace(0, 1, 120, dtype=np.float32).reshape(GRID.shape)
        write_image(tmp_path / f"{name}_seg.nii.gz", Image(array, GRID))
    assert "values that are no integers" in refusal(tmp_path)


# Ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("007", "007"),
        ("Müller", "Muller"),
        ("1.2.840", "1.2.840"),
        ("x y's", "x_y_s"),
        ("汉", "case"),
    ],
)
def test_ids_are_parts_of_file_names(text, expected):
    assert as_id(text) == expected


def test_ids_that_differ_only_in_capitals_are_numbered():
    assert unique({"a": "Anna", "b": "anna", "c": "atlas"}) == {
        "a": "Anna",
        "b": "anna-2",
        "c": "atlas-2",
    }


# The command ------------------------------------------------------------------------------------


def init(*arguments: str):
    return CliRunner().invoke(main, ["init", *arguments], catch_exceptions=False)


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """The working folder, beside a folder of scans with odd names."""
    for name in ("Jürgen 1", "Jürgen 2", "007 1", "007 2"):
        image(tmp_path / f"O'Brien's scans/{name}.nii.gz")
        image(tmp_path / f"O'Brien's scans/{name}_seg.nii.gz", (1, 2))
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def test_what_is_written_is_a_study_that_can_be_planned(own):
    done = init("../O'Brien's scans")
    assert done.exit_code == 0, done.output
    assert "4 scans of 2 patients" in done.output
    places = Places.here(ROOT)
    catalog = Catalog(yaml.safe_load((own / "config.yaml").read_text(encoding="utf-8")), places)
    assert catalog.papers == ["compare-O_Brien_s_scans"]
    data = catalog.dataset("O_Brien_s_scans")
    assert data.spec["folder"] == str(own.parent / "O'Brien's scans")
    assert data.spec["labels"] == {1: "label 1", 2: "label 2"}
    assert data.pairs("test") == [("007_1", "007_2"), ("jurgen_1", "jurgen_2")]
    assert data.cases[3]["image"] == "Jürgen 2.nii.gz"
    rows = catalog.paper("compare-O_Brien_s_scans")["tables"]["table"]["rows"]
    assert [row["method"] for row in rows] == ["identity", "affine", "syn", "warpline"]


def test_nothing_is_written_over_without_force(own):
    init("../O'Brien's scans", "--name", "mine")
    (own / "datasets/mine.tsv").write_text("changed", encoding="utf-8")
    (own / "config.yaml").write_text("papers: []\n", encoding="utf-8")
    done = init("../O'Brien's scans", "--name", "mine")
    assert done.exit_code == 2
    assert "There is already datasets/mine.tsv" in done.output
    assert (own / "datasets/mine.tsv").read_text(encoding="utf-8") == "changed"
    done = init("../O'Brien's scans", "--name", "mine", "--force")
    assert done.exit_code == 0, done.output
    assert (own / "datasets/mine.tsv").read_text(encoding="utf-8").startswith("case\tpatient")
    # The configuration is one's own, and no dataset's.
    assert (own / "config.yaml").read_text(encoding="utf-8") == "papers: []\n"


def test_scans_of_the_working_folder_are_found_beside_what_was_written(own, monkeypatch):
    monkeypatch.chdir(own.parent / "O'Brien's scans")
    for attempt in ([], ["--force"]):
        done = init(*attempt)
        assert "4 scans of 2 patients" in done.output
        image(Path("results/data/x/image.nii.gz"))  # is no scan
    text = Path("datasets/O_Brien_s_scans.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["folder"] == "."
