"""What Snakemake compares of parameters, with pandas loaded and without."""

import subprocess
import sys

CODE = """
import sys
from types import SimpleNamespace
from snakemake.persistence import PersistenceBase
from snakemake_logger_plugin_warpline.lighter import without_pandas

class Kept(PersistenceBase):
    pass

Kept.__abstractmethods__ = frozenset()
kept = object.__new__(Kept)
values = [None, 1, 2.5, "ü", (1, [2, {"a": 3}]), object]
without_pandas()
without_pandas()  # of a workflow that is read twice
told = [kept._serialize_param(value) for value in values]
assert "pandas" not in sys.modules
import pandas
frame = pandas.DataFrame({"a": [1, 2]})
assert [kept._serialize_param(value) for value in values] == told
whole = PersistenceBase._serialize_param_pandas.whole
assert [whole(kept, value) for value in values] == told
assert kept._serialize_param(frame) == whole(kept, frame)
assert kept._serialize_param(frame) != kept._serialize_param(frame + 1)
"""


def test_parameters_are_told_as_by_snakemake_without_pandas():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


ENDING = """
import atexit, sys
from snakemake_logger_plugin_warpline.lighter import end_quickly

class Circle:
    def __init__(self):
        self.own = self

    def __del__(self):
        print("looked through")

kept = Circle()
if sys.argv[1:]:
    end_quickly()
    end_quickly()
atexit.register(print, "of the run")
"""


def test_a_run_that_ends_does_what_it_has_promised_and_no_more():
    said = [
        subprocess.run([sys.executable, "-c", ENDING, *given], capture_output=True, text=True)
        for given in ([], ["quickly"])
    ]
    assert [done.returncode for done in said] == [0, 0]
    assert [done.stdout.splitlines() for done in said] == [
        ["of the run", "looked through"],
        ["of the run"],
    ]
