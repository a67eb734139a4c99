"""A job's output goes to its log; the terminal sees one error message."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

START = """
import ctypes, os, subprocess, sys
from warpline import progress
from warpline.errors import WarplineError
from warpline.jobs import job

libc = ctypes.CDLL(None)
print("before")
with job(sys.argv[1], 3):
"""


def run(tmp_path, block: str, after: str = ""):
    """Run a job in its own process; returns (exit status, stdout, stderr, log)."""
    log = tmp_path / "logs" / "a.log"
    code = START + textwrap.indent(textwrap.dedent(block).strip(), "    ") + f"\n{after}\n"
    # Buffers as they usually are, in Python and in the C library.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", code, log]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout, done.stderr, log.read_text(encoding="utf-8")


def test_all_output_goes_to_the_log(tmp_path):
    status, out, err, log = run(
        tmp_path,
        """
        print("python out")
        print("python err", file=sys.stderr)
        os.write(1, b"descriptor out\\n")
        os.write(2, b"descriptor err\\n")
        libc.printf(b"C out\\n")
        subprocess.run(["echo", "child"])
        """,
        after='print("after"); libc.printf(b"C after\\n"); print("late", file=sys.stderr)',
    )
    assert status == 0
    for line in (
        "python out",
        "python err",
        "descriptor out",
        "descriptor err",
        "C out",
        "child",
    ):
        assert line in log.splitlines()
    assert sorted(out.split("\n")) == ["", "C after", "after", "before"]
    assert err == "late\n"


def test_an_error_for_the_user_stands_alone_on_the_terminal(tmp_path):
    status, out, err, log = run(
        tmp_path,
        """
        print("work")
        try:
            {}["x"]
        except KeyError as error:
            raise WarplineError("It broke.", where="case 7", do="Mend it.") from error
        """,
        after='print("not reached")',
    )
    assert status == 1
    assert out == "before\n"
    path = tmp_path / "logs" / "a.log"
    assert err == f"\nIt broke.\n  where: case 7\n  to do: Mend it.\n  log: {path}\n"
    assert log == "work\nIt broke.\n  where: case 7\n  to do: Mend it.\n"


def test_any_other_error_has_its_traceback_in_the_log(tmp_path):
    status, _, err, log = run(tmp_path, "1 / 0")
    assert status == 1
    assert err.startswith("\nZeroDivisionError: division by zero\n  log: ")
    assert "Traceback" not in err
    assert "Traceback (most recent call last)" in log
    assert log.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("block", "expected"), [("raise SystemExit(3)", 3), ("raise KeyboardInterrupt", -2)]
)
def test_exits_and_interrupts_pass(tmp_path, block, expected):
    assert run(tmp_path, block)[0] == expected


def test_libraries_are_told_the_number_of_threads(tmp_path):
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    )
    log = run(tmp_path, f"print([os.environ[name] for name in {names}])")[3]
    assert log == "['3', '3', '3', '3']\n"


def test_long_steps_may_announce_themselves_on_the_terminal(tmp_path):
    status, _, err, log = run(
        tmp_path, 'progress.announce("half done")', after="assert progress.announce is None"
    )
    assert (status, err, log) == (0, "half done\n", "")


def test_a_screen_that_shows_logs_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.setenv("WARPLINE_SCREEN", "1")
    assert run(tmp_path, "assert progress.announce is None")[0] == 0
    status, _, err, log = run(tmp_path, 'raise WarplineError("no.", where="here")')
    assert (status, err) == (1, "")
    assert "no." in log


def test_a_second_run_adds_to_the_log(tmp_path):
    run(tmp_path, 'print("one")')
    assert run(tmp_path, 'print("two")')[3] == "one\ntwo\n"
