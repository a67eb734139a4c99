"""Hu 2020 on own scans with landmark tables: which landmarks count, and what stops with a reason.

One run for all tests, with `--keep-going`: what is wrong in one place leaves the rest to finish.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml

from warpline.training.checkpoints import StateFolder

pytestmark = pytest.mark.long

SIZE, SPACING = np.array([40, 32, 44]), 8.0  # x, y, z; mm
AIR, TISSUE, LUNG = -1000, 40, -800
LANDMARKS = {  # mm from the middle of the scan
    "carina": (0, 10, 30),
    "airway_R": (-28, 14, 20),
    "airway_L": (30, 12, 22),
    "airway_R_intermediate": (-34, 10, -4),
    "artery_trunk": (6, -16, 8),
    "artery_L": (34, -6, 4),
    "inlet": (0, 0, 160),  # in the scan, above the crop of 24 voxels
}
INSIDE = [name for name in LANDMARKS if name != "inlet"]
# The case, its split, the ids in its table, and by how many degrees its scanner's frame is turned.
CASES = {
    "a1": ("train", [*LANDMARKS], 0),
    "a2": ("train", INSIDE[1:], 6),
    "a3": ("train", INSIDE[:5], 0),
    "b1": ("test", [*LANDMARKS], 0),
    "b2": ("test", [*[*LANDMARKS][2:], "of_nobody_else"], 8),
    # Three in common, one of them above the crop.
    "c1": ("few", ["carina", "airway_R", "inlet", "artery_L"], 0),
    "c2": ("few", ["carina", "airway_R", "inlet", "artery_trunk"], 0),
}
IN_VOXELS = ("a3", "b2")
SMALL = {
    "network": {"parameters": {"encoder": [4, 4], "decoder": [4, 4, 4, 4, 4]}},
    "samples": 3,
    "training": {"epochs": 1},
}
VARIANTS = {
    "too-few": {"splits": ["few"]},
    "too-fast": {"optimiser": {"learning_rate": 1e9}, "checkpoint_seconds": 1e-6},
}
RECORDS = "results/records/chest/hu2020-landmarks/test/whole.parquet"
FIELDS = "results/fields/chest/hu2020-landmarks/test/whole"
TABLE = "results/one-row/tables/tableI.csv"
GOOD, WRONG = "results/data/faults/prepared/b001", "results/data/faults/prepared/b000"


def model(recipe: str) -> str:
    return f"results/models/chest/{recipe}/weights.safetensors"


def scan(turned: float, number: int) -> tuple[sitk.Image, sitk.Image]:
    """Image and lungs of the same chest, in a scanner's frame of its own."""
    away = (np.indices(SIZE[::-1]).T.T - (SIZE[::-1, None, None, None] - 1) / 2) * SPACING
    z, y, x = away
    body = (x / 150) ** 2 + (y / 110) ** 2 < 1
    lungs = sum(
        ((x - side) / 48) ** 2 + (y / 70) ** 2 + (z / 85) ** 2 < 1 for side in (-62, 62)
    ).astype(np.uint8)
    heart = ((x - 10) / 40) ** 2 + ((y + 30) / 35) ** 2 + ((z + 20) / 45) ** 2 < 1
    spine = (x / 22) ** 2 + ((y - 80) / 18) ** 2 < 1
    hu = np.select([spine, heart, lungs > 0, body], [500, TISSUE + 20, LUNG, TISSUE], AIR)
    angle = np.deg2rad(turned)
    cosine, sine = np.cos(angle), np.sin(angle)
    direction = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    middle = np.array([13.0 * number, -7.0 * number, 300 - 5.0 * number])
    volumes = []
    for array in (hu.astype(np.int16), lungs):
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing((SPACING,) * 3)
        volume.SetDirection(direction.ravel())
        volume.SetOrigin(middle - direction @ ((SIZE - 1) / 2 * SPACING))
        volumes.append(volume)
    return tuple(volumes)


def landmarks(image: sitk.Image, ids: list[str], in_voxels: bool) -> pd.DataFrame:
    """A table id, x, y, z in mm, or id, i, j, k in voxels from 0."""
    index = np.array([LANDMARKS.get(name, (20, 20, 20)) for name in ids]) / SPACING
    index += (SIZE - 1) / 2
    points = [image.TransformContinuousIndexToPhysicalPoint(row.tolist()) for row in index]
    table = pd.DataFrame(
        index if in_voxels else points, columns=list("ijk" if in_voxels else "xyz")
    )
    table.insert(0, "id", ids)
    return table


def write(folder: Path, cases: dict[str, tuple[str, pd.DataFrame]], image, mask) -> None:
    """Files of cases and a sheet that names them; `image` and `mask` by case."""
    folder.mkdir(parents=True)
    rows = []
    for name, (split, table) in cases.items():
        sitk.WriteImage(image[name], str(folder / f"{name}.mha"))
        sitk.WriteImage(mask[name], str(folder / f"{name}-lungs.mha"))
        table.to_csv(folder / f"{name}.csv", index=False)
        rows.append([name, split, f"{name}.mha", f"{name}-lungs.mha", f"{name}.csv"])
    columns = ["case", "split", "image", "mask", "landmarks"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "cases.tsv", sep="\t", index=False)


def faults() -> dict[str, pd.DataFrame]:
    """Landmark tables that cannot be right, and one that is."""
    image, _ = scan(0, 0)
    good = landmarks(image, INSIDE, False)
    beyond = good.copy()
    beyond.loc[2, "z"] += 1000
    return {
        "columns": good.drop(columns="y"),
        "twice": pd.concat([good, good[3:4]]),
        "beyond": beyond,
        "right": good,
    }


@pytest.fixture(scope="module")
def run(new_project):
    """The project after the run, and what the run said."""
    project = new_project("own-chests")
    scans = {name: scan(turned, k) for k, (name, (_, _, turned)) in enumerate(CASES.items())}
    tables = {
        name: (split, landmarks(scans[name][0], ids, name in IN_VOXELS))
        for name, (split, ids, _) in CASES.items()
    }
    images, masks = ({name: pair[k] for name, pair in scans.items()} for k in (0, 1))
    write(project.folder / "chests", tables, images, masks)
    wrong = {name: ("test", table) for name, table in faults().items()}
    images, masks = (dict.fromkeys(wrong, volume) for volume in scan(0, 0))
    write(project.folder / "faults", wrong, images, masks)
    prepare = [{"labels_of_mask": {}}, {"orient": {}}, {"window": {"low": -1000, "high": 500}}]
    project.write(
        "config/datasets/faults.yaml",
        {
            "title": "Landmark tables with faults",
            "format": "folder",
            "folder": "faults",
            "case_sheet": "faults/cases.tsv",
            "cases_per_job": 3,
            "labels": {1: "lungs"},
            "prepare": prepare,
        },
    )
    for name in VARIANTS:
        project.write(f"config/methods/{name}.yaml", {"extends": "hu2020-landmarks", "title": name})
    paper = yaml.safe_load(
        (project.folder / "config/papers/hu2020.yaml").read_text(encoding="utf-8")
    )
    table = paper["tables"]["tableI"]
    table["rows"] = [row for row in table["rows"] if row["id"] == "landmarks"]
    project.write(
        "config/papers/one-row.yaml",
        {"title": "Table I", "citation": "Hu", "tables": {"tableI": table}},
    )
    project.write("own.yaml", {
        "scale": "cpu",
        "papers": ["one-row"],
        "memory_mb": 1000,
        "override": {
            "datasets": {
                "chest": {
                    "folder": "chests",
                    "case_sheet": "chests/cases.tsv",
                    "cases_per_job": len(CASES),
                    "prepare": prepare,
                    "prealign": {
                        "reference": "a1",
                        "shape": [24, 20, 32],
                        "parameters": {
                            "NumberOfResolutions": 2,
                            "ImagePyramidSchedule": [2, 2, 2, 1, 1, 1],
                            "MaximumNumberOfIterations": 60,
                        },
                    },
                }
            },
            "methods": {
                "hu2020-landmarks": SMALL,
                **{
                    name: SMALL | {"training": SMALL["training"] | change}
                    for name, change in VARIANTS.items()
                },
            },
        },
    })  # fmt: skip
    output = project.snakemake(
        "--configfile", "own.yaml", "--keep-going",
        "--", TABLE, RECORDS, GOOD, WRONG, *map(model, VARIANTS), ok=False,
    )  # fmt: skip
    assert "Traceback" not in output
    return project, output


def test_a_plain_run_has_both_tables_of_the_paper(five_papers):
    tables = five_papers.folder / "results/hu2020/tables"
    first, second = (pd.read_csv(tables / f"table{number}.csv") for number in ("I", "II"))
    ours = first[first["n"] > 0].set_index(["set", "row"])
    rows = ("affine", "voxelmorph", "landmarks")
    assert set(ours.index) == {(s, row) for s in ("Pair 1", "Pair 2", "All") for row in rows}
    assert ours["tre"].notna().all()
    measured = second.set_index("row")
    assert measured.loc[list(rows), "dice"].between(0, 1, inclusive="right").all()
    # Only what predicts a velocity gives both directions.
    assert measured["inverse"].notna().to_dict() == {row: row != "affine" for row in rows}
    figures = five_papers.folder / "results/hu2020/figures"
    assert {p.stem for p in figures.glob("*.png")} >= {"registrations", "landmarks", "tre"}


def test_only_shared_landmarks_inside_the_crop_are_measured(run):
    project, _ = run
    records = pd.read_parquet(project.folder / RECORDS)
    tre = records[records["metric"] == "tre"]
    shared = {name for name in INSIDE if name in CASES["b2"][1]}
    assert len(shared) == 4
    for pair in (("b1", "b2"), ("b2", "b1")):
        found = tre[(tre["fixed"] == pair[0]) & (tre["moving"] == pair[1])]
        assert set(found["label"]) == shared
        # The same chest turned by 8°, its table in voxels: what is left is the alignment's error.
        assert found["value"].max() < 1  # mm
    (log,) = (project.folder / "results/logs/align/chest").glob("*.log")
    left_out = re.findall(
        r"^(\w+): landmarks outside the crop are left out: (.*)$",
        log.read_text(encoding="utf-8"),
        re.M,
    )
    assert dict(left_out) == dict.fromkeys(("a1", "b1", "b2", "c1", "c2"), "inlet")


def test_a_run_gives_both_directions_and_the_spread(run):
    project, _ = run
    records = pd.read_parquet(project.folder / RECORDS).set_index("metric")["value"]
    assert (records["inverse_consistency"] < 0.1).all()  # mm
    assert (records["dice"] > 0.9).all()
    for pair in ("b1__b2", "b2__b1"):
        field, spread = (
            sitk.ReadImage(str(project.folder / FIELDS / f"{pair}{kind}.nii.gz"))
            for kind in ("", "-spread")
        )
        assert field.GetSize() == spread.GetSize() == (32, 20, 24)
        values = sitk.GetArrayFromImage(spread)
        assert values.min() >= 0 < values.max()


def test_every_pair_has_a_row_beside_the_published(run):
    project, _ = run
    table = pd.read_csv(project.folder / TABLE).set_index("set")
    ours = table[table["n"] > 0]
    assert ours["n"].to_dict() == {"Pair 1": 1, "Pair 2": 1, "All": 2}
    assert ours.loc["All", "tre"] == pytest.approx(ours["tre"].iloc[:2].mean())
    # The paper has ten pairs.
    assert table["tre_published"].loc[["Pair 1", "Pair 10", "All"]].tolist() == [3.56, 2.38, 3.54]
    assert len(table) == 11


def test_too_few_shared_landmarks_stop_before_the_training(run):
    project, output = run
    assert "A pair has 2 landmarks in common, by their ids; 3 are the least." in output
    assert (
        "where: cases c1 (landmarks in the image: 3) and c2 (landmarks in the image: 3)" in output
    )
    assert not (project.folder / model("too-few")).exists()
    assert not (project.folder / "results/state/chest/too-few").exists()


def test_a_training_that_explodes_stops_and_keeps_the_last_good_state(run):
    project, output = run
    said = re.search(
        r"The training diverged: (?:the loss|a standard deviation) .* at step (\d)\.\n"
        r"  where: last good state kept: (\S+)\n"
        r".*Lower training\.optimiser\.learning_rate",
        output,
    )
    assert said
    kept = project.folder / said[2]
    assert kept.is_relative_to(project.folder / "results/state/chest/too-fast")
    state = StateFolder(kept.parent).load()
    assert state["step"] == int(said[1]) > 0
    assert all(value.isfinite().all() for value in state["network"].values())
    assert not (project.folder / model("too-fast")).exists()


def test_faults_of_landmark_tables_are_named_and_the_others_are_finished(run):
    project, output = run
    assert "3 of 3 cases are refused" in output
    assert "case 'columns' cannot be read: its first line has the columns id, x, z." in output
    assert "Needed are the columns id, x, y, z (mm, LPS) or id, i, j, k" in output
    assert f"The landmark id '{INSIDE[3]}' stands twice." in output
    assert f"1 of 6 landmarks of the case 'beyond' lie outside its image: {INSIDE[2]}." in output
    for name in ("columns", "twice", "beyond"):
        assert f"faults/{name}.csv" in output
    assert not (project.folder / WRONG).exists()
    assert (project.folder / GOOD / "right" / "landmarks.csv").exists()
