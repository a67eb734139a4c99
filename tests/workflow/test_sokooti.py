"""Sokooti 2017 at its smallest: known fields, landmarks, figures; follow-up scans with faults."""

import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.long

RESULTS = "results/sokooti2017"
PHANTOM = "results/phantom/followup/mirror"
PREPARED = "results/data/followup/prepared"
VISITS = ("baseline", "followup")


def table(project, name):
    return pd.read_csv(project.folder / RESULTS / "tables" / f"{name}.csv")


def test_landmarks_after_every_registration_stand_beside_the_published(five_papers):
    rows = table(five_papers, "table2_1").set_index("method")
    methods = ("affine", "bspline-1r", "bspline-3r", "regnet")
    assert list(rows.index) == [f"sokooti2017-{method}" for method in methods]
    assert (rows["n"] == 1).all()
    assert rows[["tre", "tre_sd", "tre_x", "tre_y", "tre_z", "within"]].notna().all(axis=None)
    # Each part is no longer than the whole, and the parts together no shorter.
    parts = rows[["tre_x", "tre_y", "tre_z"]]
    assert parts.lt(rows["tre"], axis=0).all(axis=None)
    assert (parts.sum(axis=1) >= rows["tre"]).all()
    assert rows.loc["sokooti2017-bspline-3r", "tre_published"] == 2.19
    assert rows.loc["sokooti2017-regnet", "within_z_published"] == 1.19
    assert (rows["within"] <= 8).sum() >= 1


def test_known_fields_of_three_designs(five_papers):
    rows = table(five_papers, "table2_1_mae").set_index(["set", "row"])
    assert len(rows) == 4
    # Two scans of one patient in each set; the same patches for all three designs.
    assert (rows["n"] == 2).all()
    assert rows.loc["validation", "identity"].nunique() == 1
    assert rows["mae"].sub(rows[["mae_x", "mae_y", "mae_z"]].sum(axis=1)).abs().max() < 1e-5
    assert rows.loc[("validation", "early"), "mae_published"] == 1.26


def test_the_table_repeats_the_validation_of_the_training(five_papers):
    rows = table(five_papers, "table2_1_mae").set_index(["set", "row"])
    folder = five_papers.folder / "results/models/followup/sokooti2017-regnet"
    history = pd.read_csv(folder / "history.csv")
    last = history[(history["split"] == "val") & (history["name"] == "mae")]["value"].iloc[-1]
    assert rows.loc[("validation", "regnet"), "mae"] == pytest.approx(last, rel=1e-4)


def test_all_figures_are_there(five_papers):
    figures = five_papers.folder / RESULTS / "figures"
    for number in range(2, 6):
        assert (figures / f"figure2_{number}.png").stat().st_size > 10_000
        assert "<svg" in (figures / f"figure2_{number}.svg").read_text(encoding="utf-8")[:2000]


def by_hand(project, change) -> str:
    """A folder of one's own with the phantom's files; `change` of {name: bytes} spoils some."""
    project.snakemake("--configfile", "papers.yaml", "--", PHANTOM)
    with zipfile.ZipFile(project.folder / PHANTOM / "followup.zip") as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    change(files)
    for name, content in files.items():
        path = project.folder / "resources/followup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sheet = project.folder / "config/datasets/followup.tsv"
    rows = [line.split("\t") for line in sheet.read_text(encoding="utf-8").splitlines()]
    without_masks = [[*row[:4], "", *row[5:]] if len(row) > 5 else row for row in rows]
    header = next(row for row in rows if row[0] == "case")
    without_masks[rows.index(header)] = header
    sheet.write_text("\n".join("\t".join(row) for row in without_masks) + "\n")
    tiny = yaml.safe_load((project.folder / "papers.yaml").read_text(encoding="utf-8"))
    own = tiny["override"]["datasets"]["followup"] | {"cases_per_job": 1}
    own.pop("phantom")
    tiny |= {"scale": "cpu", "papers": ["sokooti2017"]}
    tiny["override"]["datasets"] = {"followup": own}
    return str(project.write("own.yaml", tiny))


def named(files: dict, word: str) -> list[str]:
    return sorted(name for name in files if word in Path(name).name)


def test_faults_of_own_scans_are_named_and_the_others_are_finished(project):
    spoilt = []

    def change(files):
        landmarks = [name for name in named(files, "") if name.endswith(".txt")]
        first, second, third = landmarks[:3]
        spoilt.extend([first, second])
        lines = files[first].decode().splitlines()
        files[first] = "\n".join([*lines[:-1]]).encode()  # one fewer than announced
        files[second] = b"\n".join([b"corner", *files[second].splitlines()[1:]])
        points = files[third].decode().splitlines()
        points[2] = "9999 9999 9999"  # lies outside, is left out and counted
        files[third] = "\n".join(points).encode()
        for name in named(files, "lungs") + named(files, "mask"):
            del files[name]

    cases = [f"spread{number}-{visit}" for number in ("01", "11") for visit in VISITS]
    output = project.snakemake(
        "--configfile", by_hand(project, change), "--keep-going",
        "--", *(f"{PREPARED}/{case}" for case in cases), ok=False,
    )  # fmt: skip
    assert "Traceback" not in output
    for name in spoilt:
        assert Path(name).name in output
    assert not (project.folder / PREPARED / cases[0]).exists()
    # Without masks the lungs were segmented, and every later stage can tell.
    for case in cases[2:]:
        assert (project.folder / PREPARED / case / case / "mask.json").exists()
    logs = "".join(
        path.read_text(encoding="utf-8")
        for path in (project.folder / "results/logs").rglob("*.log")
    )
    assert "the lungs are segmented" in logs
    assert "1 of 20 landmarks of the case 'spread11-baseline' lie outside its image" in logs
