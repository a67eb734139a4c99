"""ANTs starts without its parts for pictures and learning, which are there for who wants them."""

from __future__ import annotations

import json
import subprocess
import sys

LOADED = """
import json, sys
from warpline.fields.antspy import LEFT_OUT, load_ants
ants = load_ants()
assert load_ants() is ants
loaded = [name for name in ("matplotlib", "sklearn") if name in sys.modules]
kept = [part for part in LEFT_OUT if f"ants.{part}" in sys.modules]
image = ants.from_numpy(__import__("numpy").zeros((4, 5, 6), "float32"))
import ants.plotting
found = [callable(ants.registration), callable(ants.plotting.plot)]
print(json.dumps([loaded, kept, image.shape, *found]))
"""


def test_ants_loads_no_pictures_and_no_learning():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], [], [4, 5, 6], True, True]
