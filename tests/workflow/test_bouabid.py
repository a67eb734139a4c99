"""Bouabid 2019 at its smallest: atlas, tables of two sets, any pair, figures; and bad scans."""

import json
import shutil
import zipfile

import pandas as pd
import pytest
import SimpleITK as sitk
import yaml

pytestmark = pytest.mark.long

RESULTS = "results/bouabid2019"
PREPARED = "results/data/luna16/prepared"


def table(project, name):
    return pd.read_csv(project.folder / RESULTS / "tables" / f"{name}.csv")


def test_tables_show_both_sets_beside_the_published_numbers(five_papers):
    first = table(five_papers, "table1").set_index(["set", "row"])
    # Three training scans of which one is the atlas; two test scans.
    assert (first["n"].xs("train") == 2).all()
    assert (first["n"].xs("test") == 2).all()
    assert first.loc[("test", "alpha-1e-5"), "mse_published"] == 0.223
    assert first.loc[("train", "alpha-1e-6"), "hausdorff_published"] == 95.9
    run = first[["mse", "cc", "ncc", "dice", "agreement", "hausdorff", "folds", "seconds"]]
    assert run.notna().all(axis=None)
    assert (first["cc"] <= first["ncc"].abs() + 1e-12).all()
    assert (first.loc[("test", "alpha-1e-5"), ["epochs", "epochs_published"]]).notna().sum() == 1
    third = table(five_papers, "table3").set_index(["set", "row"])
    assert third.loc[("test", "alpha-1e-5-beta-1e-7"), "agreement_published"] == 0.958
    assert third["dice_published"].isna().all()
    assert len(third) == 12


def test_the_atlas_is_a_training_scan_and_never_registered_to_itself(five_papers):
    note = json.loads(
        (five_papers.folder / "results/data/luna16/atlas/atlas/atlas.json").read_text(
            encoding="utf-8"
        )
    )
    sheet = pd.read_csv(
        five_papers.folder / "config/datasets/luna16.tsv", sep="\t", comment="#", dtype=str
    ).set_index("case")
    assert sheet.loc[note["case"], "split"] == "train"
    records = pd.read_parquet(five_papers.folder / RESULTS / "records.parquet")
    to_atlas = records[records["split"].isin(["train", "test"])]
    assert (to_atlas["fixed"] == "atlas").all()
    assert note["case"] not in set(to_atlas["moving"])


def test_a_pair_a_job_leaves_the_atlas_own_case_out_as_well(papers_copy):
    singly = {"override": {"methods": {"identity": {"pairs_per_job": 1}}}}
    papers_copy.write("singly.yaml", singly)
    papers_copy.snakemake(
        *("--configfile", "papers.yaml", "singly.yaml"),
        *("--rerun-triggers", "input", "--", f"{RESULTS}/records.parquet"),
    )
    fields = papers_copy.folder / "results/fields/luna16/identity/train"
    jobs = [path for path in fields.glob("*/registrations.csv") if path.parent.name != "whole"]
    assert sorted(len(pd.read_csv(path)) for path in jobs) == [0, 1, 1]
    records = pd.read_parquet(papers_copy.folder / RESULTS / "records.parquet")
    before = table(papers_copy, "table1").set_index(["set", "row"])
    of_identity = records[(records["method"] == "identity") & (records["split"] == "train")]
    assert of_identity["moving"].nunique() == before.loc[("train", "unregistered"), "n"] == 2


def test_any_pair_goes_through_the_atlas(five_papers):
    rows = table(five_papers, "table_any")
    assert set(rows["method"]) == {
        "identity",
        "bouabid2019-any-alpha-1e-5",
        "bouabid2019-any-alpha-1e-5-beta-1e-7",
    }
    assert (rows["n"] == 1).all()
    assert rows[["mse", "dice", "folds"]].notna().all(axis=None)


def test_all_figures_are_there(five_papers):
    figures = five_papers.folder / RESULTS / "figures"
    for number in range(1, 14):
        assert (figures / f"figure{number}.png").stat().st_size > 5_000
        assert "<svg" in (figures / f"figure{number}.svg").read_text(encoding="utf-8")[:2000]


def test_captions_quote_the_weights_of_the_run(five_papers):
    page = (five_papers.folder / RESULTS / "tables/table3.html").read_text(encoding="utf-8")
    assert "(α, β) = (10⁻⁴, 10⁻⁷): 0.1 and 2" in page


def spoil(project, **cases):
    """A run on own copies of the phantom's archives, with changes to some of its files.

    `cases`: position of the case in the tiny run → function of (folder, uid) on unpacked archives.
    """
    mirror = project.folder / "by-hand"
    mirror.mkdir()
    work = project.folder / "work"
    project.snakemake("--configfile", "papers.yaml", "--", "results/phantom/luna16/mirror")
    archives = sorted((project.folder / "results/phantom/luna16/mirror").glob("*.zip"))
    for archive in archives:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(work / archive.stem)
    lines = (project.folder / "config/datasets/luna16.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    ids = [r[0] for r in rows if r[2] == "train"][:3] + [r[0] for r in rows if r[2] == "test"][:2]
    for position, change in cases.items():
        change(work, ids[int(position[1:])])
    for archive in archives:
        shutil.make_archive(str(mirror / archive.stem), "zip", work / archive.stem)
    tiny = yaml.safe_load((project.folder / "papers.yaml").read_text(encoding="utf-8"))
    tiny["override"]["datasets"]["luna16"] |= {"phantom": None, "cases_per_job": 1}
    return str(project.write("spoilt.yaml", tiny)), mirror, ids


def no_mask(work, uid):
    for path in (work / "seg-lungs-LUNA16").rglob(f"{uid}.*"):
        path.unlink()


def no_raw(work, uid):
    (path,) = work.rglob(f"{uid}.raw")
    path.unlink()


def empty_mask(work, uid):
    (path,) = (work / "seg-lungs-LUNA16").rglob(f"{uid}.mhd")
    sitk.WriteImage(sitk.ReadImage(str(path)) * 0, str(path), useCompression=True)


def other_grid(work, uid):
    (path,) = (work / "seg-lungs-LUNA16").rglob(f"{uid}.mhd")
    mask = sitk.ReadImage(str(path))
    mask.SetOrigin([v + 10 for v in mask.GetOrigin()])
    sitk.WriteImage(mask, str(path), useCompression=True)


def test_bad_scans_are_named_and_the_others_are_finished(project):
    spec, mirror, ids = spoil(project, c0=no_mask, c1=no_raw, c2=empty_mask, c3=other_grid)
    output = project.snakemake(
        "--configfile", spec, "--config", f"mirror=file:{mirror}", "--keep-going",
        "--", "results/data/luna16/exploration.parquet", ok=False,
    )  # fmt: skip
    for uid in ids[:4]:
        assert uid in output
    for words in ("mask", ".raw", "no voxel", "grid"):
        assert words in output
    assert "Traceback" not in output
    assert (project.folder / PREPARED / ids[4] / ids[4] / "image.nii.gz").exists()
    assert not (project.folder / PREPARED / ids[0]).exists()


def test_a_cohort_of_one_case_says_so(project):
    project.write(
        "one.yaml",
        {"override": {"datasets": {"luna16": {"cases": {"train": 1, "test": 2}}}}},
    )
    output = project.snakemake(
        "--configfile", "papers.yaml", "one.yaml", "--",
        "results/models/luna16/bouabid2019-alpha-1e-4/weights.safetensors", ok=False,
    )  # fmt: skip
    assert "One case makes no pair" in output or "the only case" in output
    assert "Traceback" not in output
