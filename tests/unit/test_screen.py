"""What the terminal shows: bars and running jobs on one, Snakemake's own lines elsewhere."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakemake_logger_plugin_warpline import OWN, Running, last_line, named, take_the_terminal

ROOT = Path(__file__).parents[2]
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
from snakemake.logging import logger
from snakemake_logger_plugin_warpline import take_the_terminal
if workflow.is_main_process:
    take_the_terminal(logger, workflow.output_settings)
rule all:
    input: "good", "bad"
rule good:
    output: "good"
    log: "good.log"
    shell: "(echo 'models/a/b: step 3 of 9, 0:20 left'; sleep 8; touch {{output}}) > {{log}}"
rule bad:
    output: "bad"
    log: "bad.log"
    shell: "(sleep 1; echo The first line; seq 300; echo The last line; exit 1) > {{log}}"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("one\n\n  \n", "one"),
        ("models/a/b: step 3 of 9, loss 0.1\n", "step 3 of 9, loss 0.1"),
        ("reading of a file: this\n", "reading of a file: this"),
        ("x" * 9000 + "\nwhole\n", "whole"),
    ],
)
def test_the_last_line_of_a_log_is_what_it_says_last(tmp_path, text, expected):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == expected


def test_a_job_that_has_no_log_yet_says_nothing(tmp_path):
    assert Running("a", str(tmp_path / "none")).line() == ""
    assert Running("a", None).line() == ""
    assert named("register_and_evaluate", ["abdomen", "syn"]) == "register and evaluate abdomen syn"


@pytest.mark.parametrize("settings", [None, SimpleNamespace(stdout=False, dryrun=True)])
def test_snakemakes_own_lines_stay_where_there_is_no_run(settings):
    logger, own = logging.Logger("test"), logging.StreamHandler()
    own.name = OWN
    logger.addHandler(own)
    take_the_terminal(logger, settings)
    assert logger.handlers == [own]


def snakemake(folder: Path, terminal: bool, **variables: str) -> str:
    """Everything that a run of two jobs, of which one fails, shows."""
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--keep-going"]
    environment = {**os.environ, "TERM": "xterm", **variables}
    if not terminal:
        done = subprocess.run(
            command, cwd=folder, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE
        )
        assert done.returncode == 1
        return done.stdout.decode()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # how Linux says that a terminal's other end is closed
            pass
        assert process.wait(timeout=60) == 1
    os.close(ours)
    return b"".join(parts).decode()


def test_a_terminal_shows_what_runs_and_errors_in_full(tmp_path):
    shown = snakemake(tmp_path, terminal=True)
    assert " Running " in shown
    assert "step 3 of 9, 0:20 left" in shown
    assert "models/a/b:" not in shown
    assert "The first line" in shown
    assert "\n300" in shown.replace("\r", "")
    assert "The last line" in shown
    assert "rule good:" not in shown
    assert "At least one job did not complete" in shown.rpartition("The last line")[2]


@pytest.mark.parametrize(
    ("terminal", "variables"),
    [(False, {}), (True, {"WARPLINE_PLAIN": "1"})],
)
def test_elsewhere_the_lines_are_snakemakes(tmp_path, terminal, variables):
    shown = snakemake(tmp_path, terminal, **variables)
    assert "rule good:" in shown
    assert "Error in rule bad:" in shown
    assert " Running " not in shown
    assert "\x1b[?25l" not in shown  # no cursor is hidden
