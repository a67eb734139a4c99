"""Slips of a command line that end in a sentence, not in a traceback."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from snakemake_logger_plugin_warpline.command import PARTITIONS, problem, with_partitions
from warpline.errors import WarplineError
from warpline.plan.places import project_folder
from warpline.plan.run import Run
from warpline.plan.targets import check_targets

DEMO = "config/demo.yaml"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(project_folder())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            f"--cores 2 --configfile {DEMO} estienne2020",
            "snakemake estienne2020 --cores 2 --config",
        ),
        (
            "-n --config device=cuda estienne2020",
            "'estienne2020' was taken for a value of --config",
        ),
        ("--configfile config/dmeo.yaml", "'config/dmeo.yaml' does not exist"),
    ],
)
def test_a_swallowed_target_is_told_with_the_line_to_write(line, told):
    assert told in problem(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "--cores 2",
        f"estienne2020 --configfile {DEMO} --config device=cuda scale=cpu",
        f"--configfile {DEMO} -- estienne2020",
        f"--configfile {DEMO} --cores 2 estienne2020",
        "--config 'papers=[hu2020]' -n",
    ],
)
def test_a_right_line_is_left_alone(line):
    assert problem(line.split()) is None


def test_a_cluster_without_its_plugin_is_told_how_to_install_it(monkeypatch):
    line = ["--workflow-profile", "profiles/slurm", "--", "bouabid2019"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "envs/slurm.lock" in problem(line)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert problem(line) is None


def test_a_profile_s_partitions_are_found_from_any_folder(tmp_path):
    """SLURM's plugin looks for them where the command is given and reads them in --directory."""
    theirs = project_folder() / "profiles" / "slurm" / "partitions.yaml"
    line = ["--directory", "elsewhere", "--", "bouabid2019"]
    named = ["--workflow-profile", str(theirs.parent), *line]
    for begun in (tmp_path, project_folder()):
        assert with_partitions(named, begun) == [PARTITIONS, str(theirs), *named]
    short = ["--workflow-profile=profiles/slurm", *line]
    assert with_partitions(short, project_folder())[:2] == [PARTITIONS, str(theirs)]
    assert with_partitions(short, tmp_path)[-4:] == line  # no such profile there: Snakemake says it
    # A folder's own come first, then those beside the profile.
    own = tmp_path / "profiles" / "slurm" / "partitions.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert with_partitions(named, tmp_path)[1] == str(own)
    mine = tmp_path / "mine"
    mine.mkdir()
    profile = "executor: slurm\nslurm-partition-config: 'ours.yaml'  # of our site\n"
    (mine / "config.yaml").write_text(profile)
    with pytest.raises(FileNotFoundError, match=r"'ours.yaml', is not there.\n  where: .*mine"):
        with_partitions(["--profile", "mine"], tmp_path)
    (mine / "ours.yaml").touch()
    assert with_partitions(["--profile", "mine"], tmp_path)[1] == str(mine / "ours.yaml")


def test_partitions_that_are_typed_stay_those_of_where_the_command_was_given():
    here = Path("/begun")
    asked = with_partitions([PARTITIONS, "p.yaml", "--profile", "x", "-n"], here)
    assert asked == [PARTITIONS, "/begun/p.yaml", "--profile", "x", "-n"]
    assert with_partitions([f"{PARTITIONS}=/p.yaml", "-n"], here) == [PARTITIONS, "/p.yaml", "-n"]
    assert with_partitions(["--cores", "2", "a=b"], here) == ["--cores", "2", "a=b"]


def test_a_misspelt_target_is_told_with_those_that_there_are():
    run = Run({"papers": ["hu2020"], "scale": "demo"}, project_folder())
    check_targets(run, ["hu2020", "tables", "results/report.html", "train"], ["train"])
    with pytest.raises(WarplineError, match=r"Did you mean 'hu2020'\? Targets are all, tables"):
        check_targets(run, ["hu202"], [])
