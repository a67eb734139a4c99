"""The whole road at its smallest: every rule runs, and what a user expects of Snakemake holds."""

import json
import re

import pandas as pd
import pytest

METHODS = {
    "identity",
    "affine",
    "elastix-bspline",
    "syn",
    "estienne2020-task4-baseline",
    "estienne2020-task4-sym",
    "estienne2020-task4-pretrain",
}


def test_table_holds_every_method_beside_the_published_numbers(finished):
    folder = finished.folder / "results/estienne2020/tables"
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
        assert "0.83" in (folder / f"table1.{kind}").read_text()


def test_records_are_tidy_and_complete(finished):
    records = pd.read_parquet(finished.folder / "results/estienne2020/records.parquet")
    key = ["dataset", "method", "split", "fixed", "moving", "metric", "label"]
    assert not records.duplicated(key).any()
    own = records[records["dataset"] == "hippocampus"].groupby("method")[["fixed", "moving"]]
    assert (own.apply(lambda g: len(g.drop_duplicates())) == 2).all()
    assert {"dice", "hd95", "hd95_voxels", "hausdorff", "sdlogj", "mse", "cc", "seconds"} <= set(
        records["metric"]
    )


def test_figures_and_report_exist(finished):
    figures = finished.folder / "results/estienne2020/figures"
    for name in ("figure2", "figure2_methods", "dice", "learning_curves"):
        assert (figures / f"{name}.png").stat().st_size > 10_000
        assert "<svg" in (figures / f"{name}.svg").read_text()[:2000]
    report = (finished.folder / "results/report.html").read_text()
    assert "Scale demo" in report
    # Links may lead away; nothing that is shown comes from elsewhere.
    assert not re.search(r'<(?!a\b)[^>]*(src|href)="https?://', report)


def test_task_3_from_public_scans_to_its_half_of_table_1(finished):
    folder = finished.folder / "results"
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
    assert len(verdicts) == 5
    assert len(organs) == 11 * len(verdicts)
    known = organs.groupby("case")["source"].apply(lambda s: (s == "annotated").sum())
    assert known["abdomen.0002"] == 11
    assert known["tcia-pancreas.0002"] == 7
    assert known["msd-colon.001"] == 0
    for name in ("figure2_abdomen", "abdomen_methods", "abdomen_dice", "noisy_labels"):
        assert (folder / f"estienne2020/figures/{name}.png").stat().st_size > 10_000
    pretrained = json.loads(
        (folder / "models/abdomen/estienne2020-task3-noisy/model.json").read_text()
    )["pretrained"]
    assert "abdomen-noisy/estienne2020-task3-noisy-labels" in pretrained


def test_models_carry_their_provenance(finished):
    folder = finished.folder / "results/models/hippocampus/estienne2020-task4-pretrain"
    sidecar = json.loads((folder / "model.json").read_text())
    assert sidecar["recipe"]["loss"]["dice"]["weight"] == 1
    assert "oasis/estienne2020-task4-unsupervised" in sidecar["pretrained"]
    assert sidecar["versions"]["torch"]
    assert not list((finished.folder / "results/state").rglob("*.pt"))  # cleared when finished


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    logs = {
        p.relative_to(finished.folder / "results/logs").with_suffix("").as_posix()
        for p in (finished.folder / "results/logs").rglob("*.log")
    }
    times = {
        p.relative_to(finished.folder / "results/benchmarks").with_suffix("").as_posix()
        for p in (finished.folder / "results/benchmarks").rglob("*.tsv")
    }
    assert logs == times
    assert len(logs) > 30


def test_nothing_is_left_to_do_and_summary_says_ok(finished):
    assert "Nothing to be done" in finished.snakemake("--configfile", "tiny.yaml", "--dry-run")
    summary = finished.snakemake("--configfile", "tiny.yaml", "--summary")
    assert "results/report.html" in summary
    assert "update pending" not in summary


def test_snakemakes_own_report(finished):
    finished.snakemake("--configfile", "tiny.yaml", "--report", "report.html")
    page = (finished.folder / "report.html").read_text()
    assert "table1" in page
    assert "at scale demo" in page


def rules_to_run(project, *arguments):
    output = project.snakemake("--configfile", "tiny.yaml", "--dry-run", *arguments)
    if "Job stats:" not in output:
        return set()
    table = output[output.rindex("Job stats:") :].split("\n\n")[0].splitlines()[3:]
    return {line.split()[0] for line in table} - {"total", "all"}


def test_a_published_number_remakes_only_tables_and_what_shows_them(copy):
    path = copy.folder / "config/papers/estienne2020.yaml"
    path.write_text(path.read_text().replace("dice: 0.83,", "dice: 0.831,"))
    assert rules_to_run(copy) <= {"table", "figure", "report_page"}
    assert "table" in rules_to_run(copy)


@pytest.mark.parametrize(
    ("module", "runs", "rests"),
    [
        (
            "evaluation/metrics/overlap.py",
            {"evaluate", "collect", "table"},
            {"train", "register", "prepare"},
        ),
        ("networks/estienne2020.py", {"train", "register", "evaluate"}, {"prepare", "unpack"}),
        ("registration/baselines/syn.py", {"register", "evaluate"}, {"train", "prepare"}),
        ("tables/render.py", {"table", "report_page"}, {"train", "evaluate", "collect"}),
    ],
)
def test_editing_a_module_remakes_the_stages_that_import_it(copy, module, runs, rests):
    path = copy.folder / "src/warpline" / module
    path.write_text(path.read_text() + "\n\nEDITED = 1\n")
    planned = rules_to_run(copy)
    assert runs <= planned
    assert not rests & planned


def test_a_comment_or_docstring_remakes_nothing(copy):
    path = copy.folder / "src/warpline/training/losses.py"
    path.write_text("# a comment\n" + path.read_text().replace("Terms of", "The terms of", 1))
    assert "Nothing to be done" in copy.snakemake("--configfile", "tiny.yaml", "--dry-run")


def test_tables_are_remade_without_fields_or_images(copy):
    import shutil

    folder = copy.folder / "results"
    for part in ("fields", "data", "models", "phantom"):
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / "estienne2020/tables/table1.md").unlink()
    copy.snakemake(
        "--configfile", "tiny.yaml", "--rerun-triggers", "mtime", "--",
        "results/estienne2020/tables/table1.md",
    )  # fmt: skip
    assert "0.83" in (folder / "estienne2020/tables/table1.md").read_text()
    assert not (folder / "fields").exists()
