"""A run that is killed again and again, and taken up each time, ends like one left alone."""

import os
import random
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest

STUDY = {
    "papers": [],
    "studies": {
        "killed": {
            "datasets": ["tiny-chest"],
            "methods": ["identity", "tiny-network"],
            "split": "test",
        }
    },
}
TABLE = "results/killed/tables/table.csv"
FILES = ("--configfile", "tiny.yaml", "killed.yaml")


def run_and_kill(project, seconds):
    """Start the study, kill all its processes after some seconds; whether it had to be killed."""
    process = project.start(*FILES, "--rerun-incomplete", "--", TABLE, start_new_session=True)
    try:
        assert process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def without_times(table):
    frame = pd.read_csv(table)
    return frame[[c for c in frame if not c.startswith("seconds")]].to_csv().encode()


@pytest.mark.parametrize("number", [3, pytest.param(20, marks=pytest.mark.long)])
def test_kills_do_not_change_a_table(new_project, copy, number):
    project, whole = new_project("killed"), copy  # of a run that nobody killed
    for each in (project, whole):
        each.write("killed.yaml", STUDY)
    whole.snakemake(*FILES, "--", TABLE)
    start = time.monotonic()
    project.snakemake(*FILES, "--dry-run", "--", TABLE)
    start = time.monotonic() - start  # half of the kills or so fall before the first job
    moments = random.Random(2020)
    kills = 0
    while kills < number:
        if run_and_kill(project, moments.uniform(0.5, 3) * start):
            kills += 1
        else:
            shutil.rmtree(project.folder / "results")
        project.snakemake("--unlock", *FILES)
    project.snakemake(*FILES, "--rerun-incomplete", "--", TABLE)
    assert without_times(project.folder / TABLE) == without_times(whole.folder / TABLE)
    for kind in ("models/*/*/weights.safetensors", "data/*/*/*/*/*.nii.gz"):
        made = sorted(project.folder.glob(f"results/{kind}"))
        assert made
        for path in made:
            same = whole.folder / path.relative_to(project.folder)
            assert path.read_bytes() == same.read_bytes(), path
    left = [*(project.folder / "results").rglob(".*.*")]
    assert not left, left  # half-written files
