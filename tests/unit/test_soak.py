"""The soak of `benchmarks/soak.py`, at its smallest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_downloads_from_a_server_that_fails_lose_nothing():
    command = [sys.executable, str(SOAK), "downloads", "--downloads", "30", "--processes", "2"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    faults, lost, wrong = map(
        int, re.search(r"downloads: (\d+) faults, lost (\d+), wrong (\d+)", done.stdout).groups()
    )
    assert faults >= 3
    assert lost == wrong == 0
