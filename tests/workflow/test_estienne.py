"""Estienne 2020 at its smallest: both halves of its table, figures, noisy labels."""

import json

import pandas as pd
import pytest

pytestmark = pytest.mark.long

METHODS = {
    "identity",
    "affine",
    "elastix-bspline",
    "syn",
    "estienne2020-task4-baseline",
    "estienne2020-task4-sym",
    "estienne2020-task4-pretrain",
}


def test_table_holds_every_method_beside_the_published_numbers(five_papers):
    folder = five_papers.folder / "results/estienne2020/tables"
    table = pd.read_csv(folder / "table1.csv")
    assert set(table["method"].dropna()) == METHODS
    run = table[table["method"].notna()].set_index("method")
    assert (run["n"] == 2).all()
    for column in ("dice", "dice30", "hd95", "stdj", "seconds"):
        assert run[column].notna().all()
        assert f"{column}_published" in table
    assert run.loc["estienne2020-task4-sym", "dice_published"] == 0.83
    assert run.loc["identity", "stdj"] == pytest.approx(0, abs=1e-6)
    assert (run.loc[["syn", "elastix-bspline"], "dice"] > run.loc["identity", "dice"]).all()
    for kind in ("md", "tex", "html"):
        assert "0.83" in (folder / f"table1.{kind}").read_text(encoding="utf-8")


def test_records_are_tidy_and_complete(five_papers):
    records = pd.read_parquet(five_papers.folder / "results/estienne2020/records.parquet")
    key = ["dataset", "method", "split", "fixed", "moving", "metric", "label"]
    assert not records.duplicated(key).any()
    own = records[records["dataset"] == "hippocampus"].groupby("method")[["fixed", "moving"]]
    assert (own.apply(lambda g: len(g.drop_duplicates())) == 2).all()
    assert {"dice", "hd95", "hd95_voxels", "hausdorff", "sdlogj", "mse", "cc", "seconds"} <= set(
        records["metric"]
    )


def test_figures_exist(five_papers):
    figures = five_papers.folder / "results/estienne2020/figures"
    for name in ("figure2", "figure2_methods", "dice", "learning_curves"):
        assert (figures / f"{name}.png").stat().st_size > 10_000
        assert "<svg" in (figures / f"{name}.svg").read_text(encoding="utf-8")[:2000]


def test_task_3_from_public_scans_to_its_half_of_table_1(five_papers):
    folder = five_papers.folder / "results"
    table = pd.read_csv(folder / "estienne2020/tables/table1_abdomen.csv").set_index("row")
    assert list(table.index) == ["unregistered", "baseline", "sym", "pretrain", "noisy", "test"]
    assert table.loc["noisy", "dice_published"] == 0.62
    assert table["dice"].notna().tolist() == [True] * 5 + [False]
    segmenter = pd.read_csv(folder / "estienne2020/tables/segmenter.csv").iloc[0]
    assert segmenter["liver_published"] == 0.94
    assert segmenter["n"] == 3  # two of Learn2Reg, one of Pancreas-CT
    # A row an organ and case: annotations are kept, predictions judged.
    organs = pd.read_csv(folder / "data/abdomen-noisy/noisy_labels.csv")
    verdicts = pd.read_csv(folder / "data/abdomen-noisy/verdicts.csv")
    cohorts = verdicts["case"].str.split(".").str[0].value_counts().to_dict()
    assert cohorts == {"abdomen": 3, "tcia-pancreas": 2, "kits19": 3, "msd-colon": 1}
    assert len(organs) == 11 * len(verdicts)
    known = organs.groupby("case")["source"].apply(lambda s: (s == "annotated").sum())
    assert known["abdomen.0002"] == 11
    assert known["tcia-pancreas.0002"] == 7
    assert known["msd-colon.001"] == 0
    for name in ("figure2_abdomen", "abdomen_methods", "abdomen_dice", "noisy_labels"):
        assert (folder / f"estienne2020/figures/{name}.png").stat().st_size > 10_000
    pretrained = json.loads(
        (folder / "models/abdomen/estienne2020-task3-noisy/model.json").read_text(encoding="utf-8")
    )["pretrained"]
    assert "abdomen-noisy/estienne2020-task3-noisy-labels" in pretrained


def test_models_carry_their_provenance(five_papers):
    folder = five_papers.folder / "results/models/hippocampus/estienne2020-task4-pretrain"
    sidecar = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert sidecar["recipe"]["loss"]["dice"]["weight"] == 1
    assert "oasis/estienne2020-task4-unsupervised" in sidecar["pretrained"]
    assert sidecar["versions"]["torch"]
    assert not list((five_papers.folder / "results/state").rglob("*.pt"))


def test_nothing_is_left_to_do(five_papers):
    assert "Nothing to be done" in five_papers.snakemake("--configfile", "papers.yaml", "--dry-run")
