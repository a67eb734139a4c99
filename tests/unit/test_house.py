"""The structure of the code: what `benchmarks/house.py` counts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_house_misses_none_of_its_goals():
    told = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "house.py"], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
