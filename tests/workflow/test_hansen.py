"""Hansen & Heinrich 2020 at its smallest: folds, figures; DIR-Lab's own files with faults."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

pytestmark = pytest.mark.long

RESULTS = "results/hansen2020"
DATA = "results/data/dirlab-4dct"
SIZE, SPACING = (40, 36, 32), 8.0  # x, y, z; mm
AIR, TISSUE, LUNG = 24, 1064, 224  # stored: HU + 1024
# Of the search below, in every direction: 1 step of 2 voxels of about 5 mm.
FAR = 5  # voxels: 40 mm


def test_each_fold_is_registered_by_a_training_on_the_other(five_papers):
    records = pd.read_parquet(five_papers.folder / RESULTS / "records.parquet")
    pairs = {(f"case{k}-T00", f"case{k}-T50") for k in (1, 2, 6, 7)}
    for method in ("identity", "hansen2020-voxelmorph", "hansen2020-512"):
        rows = records[(records["method"] == method) & (records["split"] == "all")]
        assert set(zip(rows["fixed"], rows["moving"], strict=True)) == pairs
        tre = rows[rows["metric"] == "tre"]
        assert (tre.groupby("fixed")["label"].nunique() == 20).all()
    for fold, others in (("fold0", ("case2", "case7")), ("fold1", ("case1", "case6"))):
        models = five_papers.folder / "results/models/dirlab-4dct"
        embedding = pd.read_json(models / f"hansen2020-512@{fold}/embedding.json", typ="series")
        assert embedding["pairs"] == [[f"{case}-T00", f"{case}-T50"] for case in others]


def test_table_and_figures(five_papers):
    table = pd.read_csv(five_papers.folder / RESULTS / "tables/table1.csv")
    run = table[table["method"].notna()].set_index("row")
    assert list(run.index) == ["initial", "voxelmorph", "ours-512"]
    assert (run["n"] == 4).all()
    assert run[["tre", "tre_sd", "snapped", "folds", "seconds"]].notna().all(axis=None)
    # What others published stands without values of this run.
    others = table[table["method"].isna()].set_index("row")
    assert others.loc["dlir", "tre_published"] == 2.64
    # Other groups' errors are exact ones: none stands under the snapped.
    assert others.loc[["eppenhof", "dlir", "mlvirnet"], "snapped_published"].isna().all()
    assert others["tre"].isna().all()
    assert run["clipped"].notna().tolist() == [False, False, True]
    for name in ("figure1", "tre_4dct", "registrations"):
        figure = five_papers.folder / RESULTS / "figures" / f"{name}.png"
        assert figure.stat().st_size > 10_000


# DIR-Lab's files by hand --------------------------------------------------------------------------


def chest(shift: int = 0, lungs: bool = True, flat: bool = False) -> np.ndarray:
    """Stored values (z, y, x): a body with two boxes as lungs, their texture moved along y."""
    stored = np.full(SIZE[::-1], AIR, "<i2")
    stored[:, 3:-3, 3:-3] = TISSUE
    texture = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(24, 22, 12)), 2, mode="wrap"
    )
    texture = (150 * texture / np.abs(texture).max()).astype(int)
    texture = LUNG + (0 if flat else np.roll(texture, shift, axis=1))
    for first in (6, 22) if lungs else ():
        stored[4:28, 7:29, first : first + 12] = texture
    return stored


def points(shift: int = 0, number: int = 30) -> str:
    """Landmarks x y z from 1, in the lungs."""
    rng = np.random.default_rng(1)
    found = rng.integers((8, 10, 6), (17, 22, 27), (number, 3)) + np.array([0, shift, 0])
    return "".join("\t".join(map(str, row)) + "\r\n" for row in found)


def patient(name: str, fixed=None, moving=None, shift: int = 0) -> dict[str, bytes]:
    """Files of a patient as one of the copies has them."""
    volumes = (chest() if fixed is None else fixed, chest(shift) if moving is None else moving)
    return {
        f"{name}Pack/Images/{name.upper()}_{phase}-ssm.IMG": volume.tobytes()
        for phase, volume in zip(("T00", "T50"), volumes, strict=True)
    } | {
        f"{name}Pack/ExtremePhases/{name}_300_{phase}_xyz.txt": text.encode()
        for phase, text in (("T00", points()), ("T50", points(shift)))
    }


PATIENTS = {
    "case1": ("refused", patient("case1")),
    "case2": ("refused", patient("case2")),
    "case3": ("refused", patient("case3", shift=3)),
    "case4": ("train", patient("case4")),
    "case5": ("far", patient("case5", shift=FAR)),
    "case6": ("flat", patient("case6", fixed=chest(flat=True))),
    "case7": ("solid", patient("case7", moving=chest(lungs=False))),
}


def by_hand(project) -> str:
    """The folder that a user fills, and the configuration that goes with it; its name."""
    files = {name: content for _, content in PATIENTS.values() for name, content in content.items()}
    short = "case1Pack/Images/CASE1_T50-ssm.IMG"
    files[short] = files[short][:-100]
    lines = points().split("\r\n")
    files["case2Pack/ExtremePhases/case2_300_T00_xyz.txt"] = "\r\n".join(
        [*lines[:4], "41 1 1", *lines[5:]]
    ).encode()
    folder = project.folder / "resources/dirlab-4dct"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        for name in [name for name in files if "case4" in name]:
            archive.writestr(name, files.pop(name))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sheet = project.folder / "config/datasets/dirlab-4dct.tsv"
    rows = [
        line.split("\t")
        for line in sheet.read_text(encoding="utf-8").splitlines()
        if line[0] != "#"
    ]
    kept = [[row[0], row[1], PATIENTS[row[1]][0], *row[3:]] for row in rows if row[1] in PATIENTS]
    sheet.write_text("\n".join("\t".join(row) for row in [rows[0], *kept]) + "\n")
    pairs = {split: {"from": "patient"} for split in ("train", "flat")}
    pairs["both"] = {"from": "patient", "split": ["train", "far"]}
    scan = {"size": list(SIZE), "spacing": [SPACING] * 3, "initial_tre": None}
    return str(project.write("own.yaml", {
        "scale": "cpu",
        "papers": [],
        "memory_mb": 1000,
        "override": {
            "datasets": {
                "dirlab-4dct": {
                    "cases_per_job": 6,
                    "pairs": pairs,
                    "scans": {name: scan | {"initial_tre": 20.0 if name == "case3" else None}
                              for name in PATIENTS},
                },
            },
            "methods": {
                "hansen2020-features": {
                    "prepare": [{"crop_to_mask": {}}, {"resize": {"shape": [16, 16, 16]}}],
                    "network": {"parameters": {"encoder": [4, 4, 4], "decoder": [4, 4]}},
                    "training": {"epochs": 2, "sampling": {"crop": 8, "crops": 2}},
                },
                "hansen2020-512": {
                    "embedding": {
                        "keypoints": 60, "erosion": 7, "components": 4, "radius": 1, "shift": 0,
                        "shape": [32, 32, 64],
                    },
                },
            },
        },
    }))  # fmt: skip


def test_faults_of_own_files_are_named_and_the_others_are_finished(project):
    records = "results/records/dirlab-4dct/hansen2020-512/{}/whole.parquet".format
    output = project.snakemake(
        "--configfile", by_hand(project), "--keep-going",
        "--", *(f"{DATA}/prepared/b00{k}" for k in range(3)), records("both"), records("flat"),
        ok=False,
    )  # fmt: skip
    assert "Traceback" not in output
    # All three refused patients are named at once, each with its file.
    assert "The volume of the case 'case1-T50' has 92060 bytes; 40 × 36 × 32 voxels" in output
    assert "CASE1_T50-ssm.IMG" in output
    assert "indices from 1 1 1 to 40 36 32; 1 of 30 lie outside, the first is number 5" in output
    assert "case2_300_T00_xyz.txt" in output
    assert "The 30 landmarks of the patient 'case3' are 24.00 mm apart" in output
    assert "published are 20.00 mm" in output
    assert not (project.folder / DATA / "prepared/b000").exists()
    assert "No lung is found in the image.\n  where: case case7-T50" in output
    assert "no keypoints inside its mask: its intensities hardly vary there.\n" in output
    assert "where: case case6-T00" in output
    assert not (project.folder / records("flat")).exists()
    # What the search cannot reach is counted, not hidden.
    found = pd.read_parquet(project.folder / records("both"))
    clipped = found[found["metric"] == "clipped"].set_index("fixed")["value"]
    assert clipped["case4-T00"] == 0
    # A network of two epochs: many keypoints, not all, look beyond.
    assert clipped["case5-T00"] > 0.3
    tre = found[found["metric"] == "tre"].groupby("fixed")["value"]
    assert tre.max()["case4-T00"] < 1
    assert tre.min()["case5-T00"] > FAR * SPACING - 15


def test_a_folder_without_the_files_says_where_to_ask_and_what_to_fill(project):
    output = project.snakemake(
        "--config", "scale=cpu", "papers=[hansen2020]",
        "--", f"{DATA}/prepared/case1-T00", ok=False,
    )  # fmt: skip
    assert "Traceback" not in output
    assert "The case 'case1-T00' lacks case1_T00*.img and case1_*300_T00_xyz*.txt" in output
    assert str(Path("resources/dirlab-4dct")) in output
    assert "https://med.emory.edu" in output


def test_known_fields_can_be_shown_on_a_dataset_of_folds(project):
    figures = {"figure2_2": {"dataset": "dirlab-4dct"}}
    project.write("folds.yaml", {"override": {"papers": {"sokooti2017": {"figures": figures}}}})
    output = project.snakemake(
        "--configfile", "folds.yaml", "--dry-run", "--",
        "results/sokooti2017/figures/figure2_2.png",
    )  # fmt: skip
    assert "results/data/dirlab-4dct/prepared/b000" in output
