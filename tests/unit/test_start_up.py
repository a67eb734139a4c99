"""What a job loads before its work begins: each library costs every job of its kind its seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Each costs 0.1 to 2 seconds of CPU.
HEAVY = {
    *("torch", "matplotlib", "scipy.stats", "scipy.optimize", "scipy.ndimage", "pandas", "nibabel"),
    *("SimpleITK", "numpy", "ants", "itk", "snakemake"),
}
IMAGES = {"numpy", "SimpleITK"}
RECORDS = {"numpy", "pandas"}
NETWORKS = IMAGES | RECORDS | {"torch"}
# What each script may load. A library that only some of its jobs use is loaded by those.
ALLOWED: dict[str, set[str]] = {
    "align": IMAGES | {"scipy.ndimage"},
    "arena": set(),
    "arena_cell": IMAGES | RECORDS | {"scipy.ndimage"},
    "atlas": IMAGES,
    "describe": IMAGES,
    "described_atlas": IMAGES,
    "embed": IMAGES | {"torch"},
    "evaluate": IMAGES | RECORDS | {"scipy.ndimage"},
    "evaluate_segmentation": NETWORKS | {"scipy.ndimage"},
    "evaluate_synthetic": NETWORKS | {"scipy.ndimage"},
    "explore": IMAGES,
    "explorer": set(),
    "explorer_paper": set(),
    "fetch": set(),
    "fetch_cases": set(),
    "figures": set(),
    "given_weights": {"numpy", "torch"},
    "judge_labels": IMAGES | RECORDS | {"scipy.ndimage"},
    "measure_organs": IMAGES | RECORDS | {"scipy.ndimage"},
    "model": RECORDS | {"torch", "scipy.stats", "scipy.optimize", "scipy.ndimage"},
    "noisy_labels": NETWORKS | {"scipy.ndimage"},
    "phantom": set(),
    "prepare": IMAGES,
    "prepare_aligned": IMAGES | {"scipy.ndimage"},
    "register": IMAGES | RECORDS,
    "register_and_evaluate": IMAGES | RECORDS | {"scipy.ndimage"},
    "report": set(),
    "submission": IMAGES | {"torch", "scipy.ndimage"},
    "tables": set(),
    "tune": IMAGES | RECORDS | {"scipy.ndimage"},
    "train": NETWORKS | {"scipy.ndimage"},
}
LOADED = """
import json, runpy, sys
runpy.run_path(sys.argv[1])
print(json.dumps(list(sys.modules)))
"""


def loaded(code: str, *arguments: str) -> set[str]:
    """The heavy libraries that a fresh Python has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return HEAVY & set(json.loads(done.stdout))


def test_every_script_has_its_list():
    assert {path.stem for path in SCRIPTS.glob("*.py")} == ALLOWED.keys()


@pytest.mark.parametrize("script", sorted(ALLOWED))
def test_a_script_loads_only_what_it_may(script):
    assert loaded(LOADED, str(SCRIPTS / f"{script}.py")) <= ALLOWED[script]


def test_the_command_line_loads_nothing_before_it_knows_what_is_asked():
    code = "import json, sys, warpline.cli.main\nprint(json.dumps(list(sys.modules)))"
    assert loaded(code) == set()


def test_a_small_pair_is_registered_and_measured_without_torch():
    code = """
import json, sys
import numpy as np
from warpline.cases.case import Case
from warpline.evaluation.pairs import evaluate_pair
from warpline.images.grid import Grid, Image
from warpline.registration.method import Method, registrar

grid = Grid((12, 12, 12))
rng = np.random.default_rng(0)
cases = [
    Case(n, Image(rng.random(grid.shape, np.float32), grid), Image(np.eye(12, dtype=np.uint8)
    [None].repeat(12, 0), grid)) for n in "ab"
]
identity = Method.of({"kind": "identity", "seed": 0, "parameters": {}})
with registrar(identity, "cpu", "a test") as method:
    field = method.register(*cases).field
rows = evaluate_pair(*cases, field.compose(field), {1: "one"})
assert {row["metric"]: row["value"] for row in rows}["dice"] == 1
print(json.dumps(list(sys.modules)))
"""
    assert loaded(code) <= IMAGES | RECORDS | {"scipy.ndimage"}


def test_a_pair_is_registered_by_the_command_without_what_it_does_not_need(tmp_path):
    code = """
import json, sys
from pathlib import Path
import numpy as np
from warpline.cli.main import main
from warpline.images.files import write_image
from warpline.images.grid import Grid, Image

folder = Path(sys.argv[1])
array = np.random.default_rng(0).random((14, 14, 14), np.float32)
for name in "ab":
    write_image(folder / f"{name}.nii.gz", Image(array, Grid(array.shape)))
arguments = ["register", *(str(folder / f"{n}.nii.gz") for n in "ab"), "-o", str(folder / "out")]
main([*arguments, "--threads", "1"], standalone_mode=False)
print(json.dumps(list(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    needed = {"torch", "SimpleITK", "numpy", "scipy.ndimage", "nibabel"}
    assert HEAVY & modules <= needed
    assert not {"torch._dynamo", "torch._inductor", "rich.console"} & modules
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_command_loads_none_of_the_others():
    code = """
import json, sys
from warpline.cli.main import main
main(["apply", "--help"], standalone_mode=False)
print(json.dumps(list(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    own = {name for name in modules if name.startswith("warpline.cli.")}
    assert own == {f"warpline.cli.{name}" for name in ("main", "apply", "options")}
    assert "jsonschema" not in modules
