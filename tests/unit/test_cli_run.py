"""``warpline run`` and ``status``: what is refused before Snakemake starts; what a log tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from warpline.cli import run as command
from warpline.cli.main import main
from warpline.cli.run_log import RunLog
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

LOG = """\
Building DAG of jobs...
[Sat Nov 28 17:09:24 2026]
localrule prepare:
    output: results/data/mine/prepared/a
    log: results/logs/prepare/mine/a.log
    jobid: 3
    reason: Missing output files: results/data/mine/prepared/a
    wildcards: dataset=mine, batch=a
[Sat Nov 28 17:09:25 2026]
localrule prepare:
    log: results/logs/prepare/mine/b.log
    jobid: 4
    wildcards: dataset=mine, batch=b
[Sat Nov 28 17:09:26 2026]
Finished jobid: 3 (Rule: prepare)
1 of 9 steps (11%) done
[Sat Nov 28 17:09:27 2026]
localrule train:
    log: results/logs/train/mine/net.log
    jobid: 5
    wildcards: dataset=mine, method=net
[Sat Nov 28 17:09:28 2026]
Error in rule prepare:
    message: None
    jobid: 4
    log: results/logs/prepare/mine/b.log (check log file(s) for error details)
"""


def warpline(*arguments: str):
    return CliRunner().invoke(main, [*arguments], catch_exceptions=False)


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A folder with one study of generated images; the working folder."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "config.yaml").write_text("papers: []\n", encoding="utf-8")
    (tmp_path / "studies/mine.yaml").write_text(
        "datasets: [hippocampus]\nmethods: [identity]\nsplit: val\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def begun(monkeypatch) -> list[list[str]]:
    """The commands that would have been run."""
    commands: list[list[str]] = []
    monkeypatch.setattr(command.os, "execv", lambda program, words: commands.append(words))
    return commands


def test_options_are_handed_on(own, begun):
    done = warpline("run", "mine", "-n", "--cores", "4", "--config", "seed=1", "--keep-going")
    assert done.exit_code == 0, done.output
    (words,) = begun
    assert words[-7:] == ["--cores", "4", "mine", "-n", "--config", "seed=1", "--keep-going"]
    assert words[words.index("--directory") + 1] == "."
    assert Path(words[words.index("--snakefile") + 1]).is_file()
    warpline("run", "--workflow-profile", "slurm")
    assert Path(begun[1][-1], "config.yaml").is_file()
    assert "--cores" not in begun[1]  # those of this machine say nothing of a cluster's jobs
    warpline("run", "-c", "8", "--workflow-profile=gpu")
    assert begun[2][-3:-1] == ["--cores", "8"]
    assert Path(begun[2][-1].removeprefix("--workflow-profile="), "config.yaml").is_file()
    warpline("run", "mine", "--jobs", "20")
    assert begun[3][-3:] == ["mine", "--jobs", "20"]
    warpline("run", "mine", "--config", "seed=1")
    assert begun[4][-5:-3] == ["--cores", "all"]


def test_a_study_that_is_not_there_is_refused_at_once(own, begun):
    for name in ("run", "status"):
        done = warpline(name, "mien")
        assert done.exit_code == 2
        assert "There is no study or paper 'mien'" in done.output
        assert "Did you mean 'mine'" in done.output
    assert not begun
    # A configuration that only Snakemake reads may bring it; files are targets too.
    warpline("run", "more", "--configfile", "more.yaml")
    warpline("run", "results/report.html")
    assert len(begun) == 2


def test_where_nothing_is_to_run_the_user_is_told_what_to_do(tmp_path, monkeypatch, begun):
    monkeypatch.chdir(tmp_path)
    done = warpline("run")
    assert done.exit_code == 2
    assert "warpline init DATA" in done.output
    warpline("run", "estienne2020")  # a paper of the project, in any folder
    assert begun[0][-1] == "estienne2020"


def test_what_is_missing_and_done_of_a_study(own):
    done = warpline("status")
    assert "methods measured  0 of 1  hippocampus/identity/val" in done.output
    assert "'warpline run' goes on" in done.output
    record = own / "results/records/hippocampus/identity/val/whole.parquet"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"")
    assert "methods measured  1 of 1" in warpline("status", "mine").output


def test_a_log_tells_what_runs_and_what_failed_and_why(own):
    path = own / ".snakemake/log/2026-11-28T170900.000000.snakemake.log"
    path.parent.mkdir(parents=True)
    path.write_text(LOG, encoding="utf-8")
    log = RunLog.read(path)
    assert [job.number for job in log.unfinished] == ["5"]
    assert [job.log for job in log.failed] == ["results/logs/prepare/mine/b.log"]
    own_log = own / "results/logs/prepare/mine/b.log"
    own_log.parent.mkdir(parents=True)
    own_log.write_text(
        "read b.nii.gz\nThe label map of the case 'b' has the value 6.\n  where: b_seg.nii.gz\n"
        "  to do: Add it to 'labels'.\n",
        encoding="utf-8",
    )
    output = warpline("status").output
    assert "The last run's error, prepare mine b:" in output
    assert "The label map of the case 'b' has the value 6." in output
    assert "to do: Add it to 'labels'." in output
    assert "read b.nii.gz" not in output
    assert "log: results/logs/prepare/mine/b.log" in output


def test_a_folder_that_may_not_be_written_is_named_before_any_work(own, begun, monkeypatch):
    """`os.access` is asked, since root may write everywhere."""
    monkeypatch.setattr(command.os, "access", lambda place, mode: Path(place) != own)
    for words in (
        ("run", "mine"),
        ("train", "estienne2020-task4-baseline", "--data", "hippocampus"),
        ("init",),
    ):
        done = warpline(*words)
        assert done.exit_code == 2, words
        assert done.output.startswith("The folder may not be written.\n  where: " + str(own))
    assert not begun


def test_an_error_of_the_system_is_told_with_its_place(own):
    (own / "scans").mkdir()
    for name in ("a_1.nii.gz", "a_2.nii.gz"):
        write_image(own / "scans" / name, Image(np.ones((4, 5, 6), np.float32), Grid((4, 5, 6))))
    (own / "datasets").write_text("")  # where a folder is to be
    done = warpline("init", "scans")
    assert done.exit_code == 2
    assert done.output == f"File exists.\n  where: {own / 'datasets'}\n"


def test_a_second_run_in_a_folder_says_what_to_do(own, monkeypatch):
    """While a program with Snakemake's name works in the folder, and after it was killed."""
    commands = []
    monkeypatch.setattr(command.os, "execv", lambda program, words: commands.append(words))
    locks = own / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    assert warpline("run", "mine").exit_code == 0  # no lock
    (locks / "0.output.lock").write_text("results/report.html\n", encoding="utf-8")
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()", "snakemake"]
    with subprocess.Popen(waiting, cwd=own, stdin=subprocess.PIPE) as first:
        try:
            done = warpline("run", "mine")
            assert done.exit_code == 2
            assert "Another run is at work in this folder" in done.output
            assert "warpline status" in done.output
            assert str(own) in done.output
            for word in ("--dry-run", "--nolock", "--unlock"):
                assert warpline("run", "mine", word).exit_code == 0
        finally:
            first.kill()
    done = warpline("run", "-d", str(own), "mine")
    assert done.exit_code == 2
    assert f"warpline run -d '{own}' --unlock" in done.output
    words = ("estienne2020-task4-baseline", "--data", "hippocampus")
    done = warpline("train", *words)
    assert (done.exit_code, "This folder is locked" in done.output) == (2, True)
    assert len(commands) == 4
