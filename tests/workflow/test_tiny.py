"""The whole road at its smallest: every rule runs, and what a user expects of Snakemake holds."""

import json
import re
import shutil
import zipfile

import pandas as pd
import pytest

RESULTS = "results/tiny"
FILES = ("--configfile", "tiny.yaml")
METHODS = {"identity", "tiny-network", "tiny-through-atlas", "tiny-embedding", "tiny-pretrained"}
# Rules that the tests below name: what makes a table from records, what shows tables, and the road
# to the records.
TABLES, SHOWS = {"tiny_tables"}, {"tiny_figures", "report_page", "tiny_explorer", "explorer"}
TRAINS, REGISTERS, EVALUATES = "train", "register_and_evaluate", "evaluate"
PREPARES, UNPACKS = "prepare", "phantom"


def pairs_table(project):
    return pd.read_csv(project.folder / RESULTS / "tables/pairs.csv").set_index(["set", "row"])


def test_table_holds_every_method_beside_the_published_numbers(finished):
    table = pairs_table(finished)
    assert set(table["method"].dropna()) == METHODS
    run = table[table["method"].notna()]
    assert (run["n"].xs("chest") == 2).all()
    assert (run["n"].xs("abdomen") == 1).all()
    assert (run["n"].xs("moved") == 2).all()
    for column in ("dice", "tre", "sdlogj", "seconds"):
        assert run[column].xs("chest").notna().all()
    assert run[["dice", "sdlogj", "seconds"]].xs("abdomen").notna().all(axis=None)
    assert table.loc[("chest", "network"), "dice_published"] == 0.93
    # What others published stands without values of this run.
    assert table.loc[("chest", "elsewhere"), "dice_published"] == 0.97
    assert pd.isna(table.loc[("chest", "elsewhere"), "dice"])
    assert run.loc[("chest", "unregistered"), "sdlogj"] == pytest.approx(0, abs=1e-6)
    for kind in ("md", "tex", "html"):
        assert "0.83" in (finished.folder / RESULTS / f"tables/pairs.{kind}").read_text(
            encoding="utf-8"
        )


def test_known_fields_and_a_segmenter_have_rows_of_cases(finished):
    table = pd.read_csv(finished.folder / RESULTS / "tables/cases.csv").set_index("row")
    assert (table["n"] == 2).all()
    assert table["mae"].notna().to_dict() == {"synthetic": True, "segmenter": False}
    assert table["dice"].notna().to_dict() == {"synthetic": False, "segmenter": True}
    assert table.loc["synthetic", "mae_published"] == 1.17
    assert table.loc["segmenter", "dice_published"] == 0.94
    # As the training measured itself on the same scans.
    history = pd.read_csv(finished.folder / "results/models/tiny-chest/tiny-synthetic/history.csv")
    last = history[(history["split"] == "val") & (history["name"] == "mae")]["value"].iloc[-1]
    assert table.loc["synthetic", "mae"] == pytest.approx(last, rel=1e-4)


def test_records_are_tidy_and_complete(finished):
    records = pd.read_parquet(finished.folder / RESULTS / "records.parquet")
    key = ["dataset", "method", "split", "fixed", "moving", "metric", "label"]
    assert not records.duplicated(key).any()
    pairs = records[records["split"] == "test"].groupby("method")[["fixed", "moving"]]
    assert (pairs.apply(lambda g: len(g.drop_duplicates())) == 2).all()
    assert {"dice", "hd95", "hd95_voxels", "hausdorff", "sdlogj", "mse", "cc", "seconds"} <= set(
        records["metric"]
    )
    # Only what predicts a velocity gives both directions; only a search can be clipped.
    both = records[records["metric"] == "inverse_consistency"]["method"]
    assert set(both) == {"tiny-network"}
    assert set(records[records["metric"] == "clipped"]["method"]) == {"tiny-embedding"}


def test_the_atlas_is_a_training_case(finished):
    note = json.loads(
        (finished.folder / "results/data/tiny-chest/atlas/atlas/atlas.json").read_text(
            encoding="utf-8"
        )
    )
    assert note["case"] in {"subject01", "subject02", "subject03"}


def test_noisy_labels_keep_what_is_annotated_and_are_pretrained_on(finished):
    folder = finished.folder / "results"
    # A row an organ and case: annotations are kept, predictions judged.
    organs = pd.read_csv(folder / "data/tiny-noisy/noisy_labels.csv")
    verdicts = pd.read_csv(folder / "data/tiny-noisy/verdicts.csv")
    assert len(verdicts) == 2
    assert len(organs) == 11 * len(verdicts)
    known = organs.groupby("case")["source"].apply(lambda s: (s == "annotated").sum())
    assert known.to_dict() == {"tiny-abdomen.0002": 7, "tiny-abdomen.0003": 7}
    pretrained = json.loads(
        (folder / "models/tiny-abdomen/tiny-pretrained/model.json").read_text(encoding="utf-8")
    )["pretrained"]
    assert "tiny-noisy/tiny-noisy-labels" in pretrained


def test_figures_and_report_exist(finished):
    figures = finished.folder / RESULTS / "figures"
    for name in ("registrations", "examples", "noisy_labels", "learning_curves"):
        assert (figures / f"{name}.png").stat().st_size > 10_000
        assert "<svg" in (figures / f"{name}.svg").read_text(encoding="utf-8")[:2000]
    report = (finished.folder / "results/report.html").read_text(encoding="utf-8")
    assert "<strong>scale demo</strong> · generated images only" in report
    assert "the explorer" in report
    pages = finished.folder / "results/explorer"
    assert (pages / "index.html").is_file()
    kept = {path.stem for path in (pages / "tiny").glob("*.js")}
    pairs = {"tiny-abdomen-val-0", "tiny-chest-test-0", "tiny-chest-test-1"}
    assert {"paper", *pairs, *(f"{pair}-0" for pair in pairs)} <= kept
    # Links may lead away; nothing that is shown comes from elsewhere.
    assert not re.search(r'<(?!a\b)[^>]*(src|href)="https?://', report)


def test_models_carry_their_provenance(finished):
    folder = finished.folder / "results/models/tiny-chest/tiny-network"
    sidecar = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert sidecar["recipe"]["loss"]["landmarks"]["weight"] == 0.5
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
    assert len(logs) > 20


def test_nothing_is_left_to_do_and_summary_says_ok(finished):
    assert "Nothing to be done" in finished.snakemake(*FILES, "--dry-run")
    summary = finished.snakemake(*FILES, "--summary")
    assert "results/report.html" in summary
    assert "update pending" not in summary


def test_snakemakes_own_report(finished):
    finished.snakemake(*FILES, "--report", "report.html")
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "tiny" in page
    assert "at scale demo" in page


def test_a_submission_is_made_when_asked_for(copy):
    path = "results/submissions/tiny-chest/tiny-network/test.zip"
    copy.snakemake(*FILES, "--", path)
    with zipfile.ZipFile(copy.folder / path) as archive:
        assert len(archive.namelist()) == 2


def rules_to_run(project, *arguments):
    output = project.snakemake(*FILES, "--dry-run", *arguments)
    if "Job stats:" not in output:
        return set()
    table = output[output.rindex("Job stats:") :].split("\n\n")[0].splitlines()[3:]
    return {line.split()[0] for line in table} - {"total", "all"}


def test_a_published_number_remakes_only_tables_and_what_shows_them(copy):
    path = copy.folder / "config/papers/tiny.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("dice: 0.83,", "dice: 0.831,"))
    planned = rules_to_run(copy)
    assert TABLES <= planned <= TABLES | SHOWS


def edit(project, module: str, old: str, new: str) -> None:
    """A line of a copy's library, after somebody has worked at it."""
    path = project.folder / "src/warpline" / module
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# Which rules each of some thirty edits runs again: tests/unit/test_staleness.py. Here that
# Snakemake does so.
def test_a_metric_is_measured_again_on_the_fields_that_are_there(copy):
    edit(
        copy,
        "evaluation/metrics/surface.py",
        "def surface_distances(",
        "EDITED = 1\n\n\ndef surface_distances(",
    )
    assert rules_to_run(copy) == set()  # beside what is used
    field = next((copy.folder / "results/fields/tiny-chest").rglob("*__*.nii.gz"))
    before = field.stat().st_mtime_ns
    path = copy.folder / "src/warpline/evaluation/pairs.py"
    path.write_text(path.read_text(encoding="utf-8").replace('row("mse"', 'row("mean_squares"'))
    planned = rules_to_run(copy)
    assert {REGISTERS, *TABLES} <= planned
    assert not {TRAINS, PREPARES, UNPACKS, "register"} & planned
    copy.snakemake(*FILES, "--", "tiny")
    assert field.stat().st_mtime_ns == before
    records = pd.read_parquet(copy.folder / RESULTS / "records.parquet")
    assert "mean_squares" in set(records["metric"])


def test_a_comment_or_docstring_remakes_nothing(copy):
    path = copy.folder / "src/warpline/training/losses.py"
    path.write_text(
        "# a comment\n" + path.read_text(encoding="utf-8").replace("Terms of", "The terms of", 1)
    )
    assert "Nothing to be done" in copy.snakemake(*FILES, "--dry-run")


def test_a_second_seed_trains_beside_the_first_and_is_pooled(copy):
    study = {"datasets": ["tiny-chest"], "methods": ["identity", "tiny-network"], "seeds": 2}
    copy.write("twice.yaml", {"studies": {"twice": study}})
    before = (copy.folder / "results/models/tiny-chest/tiny-network/model.json").stat().st_mtime_ns
    log = copy.snakemake("--configfile", "tiny.yaml", "twice.yaml", "--", "twice")
    assert len(re.findall(r"rule train:", log)) == 1
    assert len(re.findall(r"rule register_and_evaluate:", log)) == 1
    first, second = (
        copy.folder / f"results/models/tiny-chest/{name}/model.json"
        for name in ("tiny-network", "tiny-network~1")
    )
    assert first.stat().st_mtime_ns == before
    assert [
        json.loads(m.read_text(encoding="utf-8"))["recipe"]["seed"] for m in (first, second)
    ] == [0, 1]
    table = pd.read_csv(copy.folder / "results/twice/tables/table.csv").set_index("row")
    assert table["seeds"].to_dict() == {"identity": 1, "tiny-network": 2}
    records = pd.read_parquet(copy.folder / "results/twice/records.parquet")
    own = records[(records["method"] == "tiny-network") & (records["metric"] == "dice")]
    assert table.loc["tiny-network", "dice"] == pytest.approx(
        own.groupby(["fixed", "moving", "seed"])["value"].mean().mean()
    )


def test_a_training_becomes_a_model_of_the_house_that_a_method_uses(copy):
    entry = {"dataset": "tiny-chest", "method": "tiny-network", "split": "test", "about": "a test"}
    copy.write("ship.yaml", {"models": {"small": entry}})
    log = copy.snakemake("--configfile", "tiny.yaml", "ship.yaml", "--", "models")
    assert "rule train:" not in log
    card = json.loads((copy.folder / "models/small.json").read_text(encoding="utf-8"))
    assert card["recipe"]["title"] == "Network"
    assert card["dataset"]["phantom"]
    house = {"extends": "tiny-network", "title": "House", "weights": {"model": "small"}}
    copy.write("config/methods/tiny-house.yaml", house)
    study = {"datasets": ["tiny-chest"], "methods": ["tiny-network", "tiny-house"]}
    copy.write("house.yaml", {"studies": {"house": study}})
    log = copy.snakemake("--configfile", "tiny.yaml", "house.yaml", "--", "house")
    assert "rule train:" not in log
    table = pd.read_csv(copy.folder / "results/house/tables/table.csv").set_index("row")
    dice = table["dice"]
    assert dice["tiny-house"] == pytest.approx(dice["tiny-network"], abs=2e-3)
    told = {score["metric"]: score["mean"] for score in card["scores"]}
    assert told["dice"] == pytest.approx(dice["tiny-network"], abs=1e-4)


def test_tables_are_remade_without_fields_or_images(copy):
    folder = copy.folder / "results"
    for part in ("fields", "data", "models", "phantom"):
        shutil.rmtree(folder / part, ignore_errors=True)
    table = copy.folder / RESULTS / "tables/pairs.md"
    table.unlink()
    copy.snakemake(*FILES, "--rerun-triggers", "mtime", "--", f"{RESULTS}/tables/pairs.md")
    assert "0.83" in table.read_text(encoding="utf-8")
    assert not (folder / "fields").exists()
