"""What `warpline provenance` tells of results, by a small run that is made here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from warpline.cli.main import main
from warpline.errors import WarplineError
from warpline.files import write_json, write_text
from warpline.provenance import record as provenance
from warpline.provenance.history import history
from warpline.provenance.record import content, record_job, record_path, state
from warpline.provenance.text import duration

ROOT = Path(__file__).parents[2]
SHA = {"archive": "a" * 64}
# Asked for once: a job of its own would ask once too.
REVISION, VERSIONS = cache(provenance.revision), cache(provenance.versions)


class Names(dict):
    """What Snakemake hands to a script as input, output, wildcards and params."""

    def __iter__(self):
        return iter(self.values())


def job(rule: str, inputs: list[str], outputs: list[str], names=None, settings=None):
    """What Snakemake tells of a job of this rule."""
    return SimpleNamespace(
        rule=rule,
        config={"results": "out/results"},
        wildcards=Names(names or {}),
        input=Names(enumerate(inputs)),
        output=Names(enumerate(outputs)),
        params=settings or {},
        log=[f"out/results/logs/{rule}.log"],
        threads=2,
    )


def run(rule: str, inputs: list[str], outputs: list[str], names=None, settings=None, **more):
    """A job of this rule, in the working directory as Snakemake runs it."""
    with record_job(job(rule, inputs, outputs, names, settings), *(settings or {})) as kept:
        for output in outputs:
            if output.endswith(("b000", "all")):
                write_text(Path(output) / "image.nii.gz", f"made by {rule}")
            elif "verified" not in output:
                write_text(output, f"made by {rule}")
        kept.update(more)
    for output in outputs:
        if output.endswith(("b000", "all")):
            (Path(output) / ".snakemake_timestamp").touch()  # as Snakemake does afterwards
        elif "verified" in output:
            write_text(output, "")


TABLE = "out/results/paper/tables/table1.csv"
HTML = "out/results/paper/tables/table1.html"
RECORDS = "out/results/records/scans/net/val.parquet"
FIELDS = "out/results/fields/scans/net/val/all"
WEIGHTS = "out/results/models/scans/net/weights.safetensors"
DATA = "out/results/data/scans"
SCANS = {"dataset": "scans"}
NET = {"kind": "network", "network": {"name": "hu2020"}, "training": {"epochs": 7}, "seed": 5}


def download() -> None:
    archive = {"name": "a.zip", "sha256": SHA["archive"], "size": 9, "source": "https://x.example"}
    run("fetch", [], [f"{DATA}/verified/a.zip"], SCANS, archives=[archive])


def train() -> None:
    names = {**SCANS, "method": "net"}
    run("train", [f"{DATA}/prepared/b000"], [WEIGHTS], names, {"recipe": NET})


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """A finished run: archive and own file, training, registration, records, a table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "_devices", [])
    monkeypatch.setattr(provenance, "revision", REVISION)
    monkeypatch.setattr(provenance, "versions", VERSIONS)
    write_text("own/scan.nii.gz", "a scan")
    names = {**SCANS, "method": "net"}
    download()
    source = [f"{DATA}/verified/a.zip", "own/scan.nii.gz"]
    run("prepare", source, [f"{DATA}/prepared/b000"], SCANS)
    train()
    run("register", [f"{DATA}/prepared/b000", WEIGHTS], [FIELDS], names, {"method": NET})
    run("evaluate", [FIELDS], [RECORDS], names)
    run("paper_tables", [RECORDS], [TABLE, HTML], {"paper": "paper"}, {"table": {"title": "t"}})
    return tmp_path / "out" / "results"


def told(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["provenance", *arguments])
    assert done.exit_code == status, done.output
    return done.output


# The chain --------------------------------------------------------------------------------------


def test_a_table_leads_back_to_its_data(results):
    found = history(TABLE)
    assert list(found.all) == [
        "paper/tables/table1.csv",
        "records/scans/net/val.parquet",
        "fields/scans/net/val/all",
        "data/scans/prepared/b000",
        "models/scans/net/weights.safetensors",
        "data/scans/verified/a.zip",
        "../../own/scan.nii.gz",
    ]
    assert found.problems == {}
    assert [record["rule"] for record in found.jobs()] == [
        "paper_tables",
        "evaluate",
        "register",
        "prepare",
        "train",
        "fetch",
    ]
    assert found.recipes() == {"scans/net": NET}
    (archive,) = found.archives()["scans"]
    assert archive["sha256"] == SHA["archive"]
    own = hashlib.sha256(b"a scan").hexdigest()
    assert found.own_files() == {"../../own/scan.nii.gz": {"sha256": own, "bytes": 6}}


def test_the_summary_adds_up_what_the_jobs_took(results):
    for number, path in enumerate(sorted((results / "provenance").rglob("*.json")), start=1):
        if path.name == "table1.html.json":
            continue  # the same job as that of table1.csv
        record = json.loads(path.read_text())
        record |= {"seconds": 2.0**number, "peak_memory_mib": 10.0 * number}
        path.write_text(json.dumps(record))
    summary = history(TABLE).summary()
    paths = sorted(p.name for p in (results / "provenance").rglob("*.json"))
    assert len(paths) == 7
    assert summary["jobs"] == dict.fromkeys(
        ("paper_tables", "evaluate", "register", "prepare", "train", "fetch"), 1
    )
    assert summary["seeds"] == {"scans/net": 5}
    assert summary["devices"] == ["cpu"]
    html = sorted((results / "provenance").rglob("*.json")).index(
        results / "provenance/paper/tables/table1.html.json"
    )
    assert summary["seconds"] == sum(2.0**n for n in range(1, 8)) - 2.0 ** (html + 1)
    assert summary["peak_memory_mib"] == 70


def test_every_output_of_a_job_has_its_record(results):
    assert history(HTML).all["paper/tables/table1.html"].record == (
        history(TABLE).all["paper/tables/table1.csv"].record
    )


def test_a_file_inside_a_folder_that_a_job_made(results):
    assert history(f"{FIELDS}/image.nii.gz").target == "fields/scans/net/val/all"


def test_the_whole_folder_may_move(results, tmp_path):
    results.parent.rename(tmp_path / "archive")
    (tmp_path / "own").rename(tmp_path / "gone")
    found = history(tmp_path / "archive/results/paper/tables/table1.csv")
    assert found.problems == {}
    assert len(found.all) == 7


def test_the_place_where_the_command_runs_does_not_matter(results, monkeypatch):
    monkeypatch.chdir(results / "paper")
    assert history("tables/table1.csv").target == "paper/tables/table1.csv"


def test_the_device_is_the_one_that_was_claimed(results):
    provenance.used("cuda:1 (a card)")
    provenance.used("cuda:1 (a card)")
    train()
    record = history(WEIGHTS).all["models/scans/net/weights.safetensors"].record
    assert record["machine"]["device"] == "cuda:1 (a card)"


# What does not fit ------------------------------------------------------------------------------


def test_a_table_that_was_edited(results):
    write_text(TABLE, "better numbers")
    assert history(TABLE).problems == {"paper/tables/table1.csv": ["has changed since it was made"]}
    assert history(HTML).problems == {}


def test_a_table_older_than_its_records(results):
    write_text(RECORDS, "other records")
    assert history(TABLE).problems == {
        "paper/tables/table1.csv": ["was made from an earlier records/scans/net/val.parquet"],
        "records/scans/net/val.parquet": ["has changed since it was made"],
    }


def test_data_fetched_anew_are_noticed_though_only_a_flag_stands_for_them(results):
    write_json(
        record_path(results, "data/scans/verified/a.zip"),
        json.loads(record_path(results, "data/scans/verified/a.zip").read_text()) | {"seconds": 9},
    )
    assert history(TABLE).problems == {
        "data/scans/prepared/b000": ["was made from an earlier data/scans/verified/a.zip"]
    }


def test_a_folder_that_lost_a_file(results):
    (results / "fields/scans/net/val/all/image.nii.gz").unlink()
    assert history(TABLE).problems["fields/scans/net/val/all"] == ["has changed since it was made"]


def test_own_data_that_changed(results):
    write_text("own/scan.nii.gz", "another scan")
    assert history(TABLE).problems == {
        "data/scans/prepared/b000": ["was made from an earlier ../../own/scan.nii.gz"]
    }


def test_a_model_trained_again_to_the_same_weights_is_the_same(results):
    train()
    assert history(TABLE).problems == {}


def test_what_was_made_from_something_without_a_record(results):
    record_path(results, "records/scans/net/val.parquet").unlink()
    assert history(TABLE).problems == {
        "records/scans/net/val.parquet": ["no record of how it came to be is kept"]
    }


def test_intermediate_results_that_were_deleted(results):
    (results / "records/scans/net/val.parquet").unlink()
    assert history(TABLE).problems == {"records/scans/net/val.parquet": ["is no longer there"]}


# Errors -----------------------------------------------------------------------------------------


def test_errors_say_what_to_do(results, tmp_path):
    write_text("elsewhere/table1.csv", "a table")
    write_text(results / "notes.txt", "notes")
    for path, what in (
        (results / "paper/tables/table9.csv", "no such file"),
        (tmp_path / "elsewhere/table1.csv", "no folder of results that keeps records"),
        (results / "notes.txt", "No record is kept of how this came to be"),
        (results / "paper", r"only of what lies in it[\s\S]*paper/tables/table1.csv"),
        (results / "provenance/paper/tables/table1.csv.json", "no folder of results"),
    ):
        with pytest.raises(WarplineError, match=what) as error:
            history(path)
        assert error.value.do


def test_a_record_that_cannot_be_read(results):
    record_path(results, "paper/tables/table1.csv").write_text('{"outputs":')
    with pytest.raises(WarplineError, match="cannot be read"):
        history(TABLE)


def test_a_job_that_fails_leaves_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError), record_job(job("table", [], [TABLE])):
        raise RuntimeError
    assert not (tmp_path / "out/results/provenance").exists()


# The command ------------------------------------------------------------------------------------


def test_the_page_holds_what_is_asked_of_it(results):
    page = told(TABLE)
    for part in (
        "paper/tables/table1.csv\n",
        f"sha256        {hashlib.sha256(b'made by paper_tables').hexdigest()}",
        "scans/net: network, hu2020, epochs 7, seed 5",
        f"scans: a.zip  sha256:{SHA['archive']}  https://x.example",
        f"torch {provenance.versions()['torch']}",
        f"code          {provenance.revision()}\n",
        "devices       cpu",
        "1 paper_tables, 1 evaluate, 1 register",
    ):
        assert part in page
    assert "Not as the records say" not in page
    tree = page.partition("What it was made from\n")[2].splitlines()
    assert [re.search(r"\w\S*", line).group() for line in tree] == [
        "records/scans/net/val.parquet",
        "fields/scans/net/val/all",
        "models/scans/net/weights.safetensors",
        "data/scans/prepared",
        "data/scans/prepared",
    ]
    assert "data/scans/verified/a.zip  fetch" in told(TABLE, "--full")


def test_what_does_not_fit_is_told_and_is_the_exit_status(results):
    write_text(TABLE, "better numbers")
    page = told(TABLE, status=1)
    assert "Not as the records say\n  paper/tables/table1.csv has changed since it was made" in page
    assert told("nowhere", status=2).startswith("There is no such file or folder.\n  where: ")


def test_a_method_without_a_network(results):
    identity = {"kind": "identity", "seed": 0, "parameters": {}}
    names = {**SCANS, "method": "identity"}
    run("register", [f"{DATA}/prepared/b000"], [FIELDS], names, {"method": identity})
    assert "recipes       scans/identity: identity, seed 0\n" in told(FIELDS)


def test_json_for_machines(results):
    found = json.loads(told("--json", TABLE))
    assert found["target"] == "paper/tables/table1.csv"
    assert set(found["records"]) == set(history(TABLE).all)
    assert found["summary"]["archives"]["scans"][0]["sha256"] == SHA["archive"]
    assert found["problems"] == {}


def test_many_alike_are_told_as_one(results):
    flat = [f"out/results/records/scans/m{n}.parquet" for n in range(5)]
    for path in flat:
        run("evaluate", [FIELDS], [path], SCANS)
    run("paper_tables", flat, [TABLE], {"paper": "paper"})
    assert "records/scans/: 5 by evaluate" in told(TABLE)


def test_as_a_module_and_as_a_command(results):
    command = [sys.executable, "-m", "warpline.cli", "provenance", TABLE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "made by       paper_tables" in done.stdout
    assert 'warpline = "warpline.cli.main:main"' in (ROOT / "pyproject.toml").read_text()


def test_telling_needs_no_heavy_library():
    code = "import sys, warpline.cli.main; print(*{'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (245, "4 min 5 s"), (7660, "2 h 7 min")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


# States -----------------------------------------------------------------------------------------


def test_content_and_state(tmp_path):
    write_text(tmp_path / "r/a/x.txt", "abc")
    write_text(tmp_path / "r/a/b/y.txt", "de")
    write_text(tmp_path / "r/a/.hidden", "z")
    write_text(tmp_path / "r/empty", "")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert content(tmp_path / "r/a") == {"files": 2, "bytes": 5}
    assert content(tmp_path / "r/a/x.txt") == {"sha256": digest, "bytes": 3}
    assert content(tmp_path / "r/empty") == content(tmp_path / "r/none") == {}
    write_json(record_path(tmp_path / "r", "empty"), {})
    own = hashlib.sha256(b"{}\n").hexdigest()
    assert state(tmp_path / "r/empty", tmp_path / "r") == {"record": own}


def test_every_script_keeps_a_record():
    for path in sorted((ROOT / "scripts").glob("*.py")):
        assert "with recorded_job(snakemake" in path.read_text(encoding="utf-8"), path.name
