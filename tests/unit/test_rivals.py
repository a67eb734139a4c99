"""Rivals: what goes to their programs and comes back, by fake programs of the same interface.

With WARPLINE_RIVALS, the folder of an environment that has them, the programs themselves run too.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fieldtools import smooth_field, smooth_image

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.plan import rivals
from warpline.plan.catalog import Catalog
from warpline.plan.kinds import REGISTRARS, tool_definitions
from warpline.provenance.record import peak_memory
from warpline.registration.method import Method, registrar

ROOT = Path(__file__).parents[2]
# An oblique frame and a spacing of its own along every axis: a slip of convention shows.
GRID = Grid(
    (20, 24, 28),
    (1.5, 1.2, 2.0),
    (-20.0, 10.0, 5.0),
    (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
)
WARP = np.array([2.0, 0.5, -1.0])  # mm
SHIFT = np.array([1.0, -2.0, 0.5])  # voxels, (z, y, x)
MATRIX = np.array([[1.1, 0.02, 0, 3], [0, 0.95, 0.03, -2], [0.01, 0, 1, 1.5], [0, 0, 0, 1.0]])

FAKES = {
    "convexAdam/__init__.py": "",
    "convexAdam/convex_adam_MIND.py": """
import numpy as np
import torch

def convex_adam_pt(img_fixed, img_moving, lambda_weight=0, dtype=None, device=None):
    assert img_fixed.shape == img_moving.shape and dtype == torch.float32
    assert float((img_fixed - img_moving).abs().max()) > 0
    return np.ones((*img_fixed.shape, 3)) * [1.0, -2.0, 0.5] * lambda_weight
""",
    "picsl_greedy.py": f"""
import numpy as np
import SimpleITK as sitk

class Greedy3D:
    def execute(self, command):
        words = command.split()
        after = dict(zip(words, words[1:]))
        assert after["-d"] == "3" and after["-threads"] == "1" and after["-m"] == "NCC"
        if "-a" in words:
            assert "-ia-image-centers" in words and after["-n"] == "100x50"
            flip = np.diag([-1, -1, 1, 1.0])
            np.savetxt(after["-o"], flip @ np.array({MATRIX.tolist()}) @ flip)
            return
        assert after["-n"] == "40x10" and after["-it"].endswith("affine.mat")
        assert after["-s"] == "1.5vox"
        fixed = sitk.ReadImage(after["-i"])
        warp = np.zeros((*fixed.GetSize()[::-1], 3)) + [2.0, 0.5, -1.0]
        image = sitk.GetImageFromArray(warp, isVector=True)
        image.CopyInformation(fixed)
        sitk.WriteImage(image, after["-o"])
""",
    "fireants/__init__.py": "",
    "fireants/io.py": """
class Image:
    def load_file(path, device):
        assert device == "cpu"
        return path

class BatchedImages(list):
    pass
""",
    "fireants/registration/__init__.py": "",
    "fireants/registration/affine.py": """
class Matrix:
    shape = (1, 4, 4)
    def detach(self):
        return self

class AffineRegistration:
    def __init__(self, fixed_images, moving_images, iterations):
        assert iterations == [10]
    def optimize(self):
        self.done = True
    def get_affine_matrix(self):
        assert self.done
        return Matrix()
""",
    "fireants/registration/greedy.py": """
import numpy as np
import SimpleITK as sitk

class GreedyRegistration:
    def __init__(self, fixed_images, moving_images, init_affine, iterations):
        assert init_affine.shape == (1, 4, 4)
        self.fixed = fixed_images[0]
    def optimize(self):
        self.done = True
    def save_as_ants_transforms(self, names):
        assert self.done
        fixed = sitk.ReadImage(self.fixed)
        warp = np.zeros((*fixed.GetSize()[::-1], 3)) + [2.0, 0.5, -1.0]
        image = sitk.GetImageFromArray(warp, isVector=True)
        image.CopyInformation(fixed)
        sitk.WriteImage(image, names[0])
""",
    "voxelmorph/__init__.py": "",
    "voxelmorph/nn/__init__.py": "",
    "voxelmorph/nn/models.py": """
import torch

class VxmPairwise(torch.nn.Module):
    def __init__(self, ndim, source_channels, target_channels, nb_features):
        super().__init__()
        assert (ndim, source_channels, target_channels, nb_features) == (3, 1, 1, [4])
        self.shift = torch.nn.Parameter(torch.zeros(3))
    def forward(self, source, target):
        assert source.shape == target.shape and float(target.max()) == 1
        return self.shift[None, :, None, None, None].expand(1, 3, *source.shape[2:])
""",
}
COMMANDS = {
    "unigradicon-register": f"""
import SimpleITK as sitk, sys
after = dict(zip(sys.argv[1:], sys.argv[2:]))
assert after["--fixed_modality"] == after["--moving_modality"] == "ct"
assert after["--network_weights"].endswith("weights.trch") and after["--io_iterations"] == "50"
transform = sitk.AffineTransform(3)
transform.SetMatrix({MATRIX[:3, :3].ravel().tolist()})
transform.SetTranslation({MATRIX[:3, 3].tolist()})
sitk.WriteTransform(transform, after["--transform_out"])
""",
    "impact-reg-konfai": """
import numpy as np, os, SimpleITK as sitk, sys
assert sys.argv[1:3] == ["register", "Generic_Rigid"] and "--cpu" in sys.argv
after = dict(zip(sys.argv[1:], sys.argv[2:]))
fixed = sitk.ReadImage(after["-f"])
warp = np.zeros((*fixed.GetSize()[::-1], 3)) + [2.0, 0.5, -1.0]
image = sitk.GetImageFromArray(warp, isVector=True)
image.CopyInformation(fixed)
os.makedirs(after["-o"] + "/P000")
sitk.WriteImage(image, after["-o"] + "/P000/DVF.mha")
""",
}
GREEDY = {
    "metric": "NCC 2x2x2",
    "affine_iterations": [100, 50],
    "iterations": [40, 10],
    "update_sigma": 1.5,
    "field_sigma": 0.5,
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """An environment with the fakes in it, and with what this one has."""
    folder = tmp_path_factory.mktemp("rivals")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3.*/site-packages")
    (packages / "these.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    for name, text in FAKES.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text, encoding="utf-8")
    for name, text in COMMANDS.items():
        (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n{text}", encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture
def with_fakes(environment, monkeypatch):
    monkeypatch.setenv(rivals.ENVIRONMENT, str(environment))
    return environment


@pytest.fixture(scope="module")
def pair() -> tuple[Case, Case]:
    """A moving image and, as the fixed one, itself after a small deformation."""
    moving = smooth_image(GRID)
    field = smooth_field(GRID, amplitude=1.5, sigma=5.0)
    return Case("one", field.warp_image(moving)), Case("two", moving)


def by(kind: str, pair, parameters) -> tuple[DisplacementField, dict]:
    spec = {"kind": kind, "seed": 0, "parameters": parameters}
    with registrar(Method.of(spec), "cpu", "test") as chosen:
        found = chosen.register(*pair)
    return found.field, dict(found.diagnostics.values)


def shifted(voxels=SHIFT) -> np.ndarray:
    """The vectors of a shift by so many voxels everywhere."""
    return GRID.index_to_physical(voxels) - GRID.index_to_physical(np.zeros(3))


def mapped(field: DisplacementField) -> np.ndarray:
    return GRID.index_to_physical(GRID.indices()) + field.vectors


def test_convexadam_s_voxels_become_millimetres(with_fakes, pair):
    """The moving image lies on another grid, and is brought onto the fixed one before."""
    other = Grid((22, 20, 30), (1.4, 1.4, 1.8), (-18.0, 8.0, 6.0), GRID.direction)
    moving = Case("two", DisplacementField.identity(other).warp_image(pair[1].image))
    field, told = by("convexadam", (pair[0], moving), {"lambda_weight": 2.0})
    assert np.abs(field.vectors - shifted(2 * SHIFT)).max() < 1e-4
    assert field.grid == GRID
    assert told["start_up"] > told["seconds"] > 0  # it imports torch, and then does nothing
    assert told["peak_memory"] > 20


def test_greedy_s_deformation_comes_before_its_affine_map(with_fakes, pair):
    field, _ = by("greedy", pair, GREEDY)
    points = GRID.index_to_physical(GRID.indices()) + WARP
    np.testing.assert_allclose(mapped(field), points @ MATRIX[:3, :3].T + MATRIX[:3, 3], atol=1e-3)


def test_fireants_field_is_taken_as_it_is(with_fakes, pair):
    parameters = {"device": "cpu", "affine": {"iterations": [10]}, "greedy": {"iterations": [5]}}
    field, _ = by("fireants", pair, parameters)
    assert np.abs(field.vectors - WARP).max() < 1e-5


def test_voxelmorph_s_package_runs_with_its_weights(with_fakes, pair, tmp_path):
    import torch

    torch.save({"shift": torch.tensor([1.0, -2.0, 0.5])}, tmp_path / "weights.pt")
    parameters = {"weights": str(tmp_path / "weights.pt"), "network": {"nb_features": [4]}}
    field, _ = by("voxelmorph", pair, parameters)
    np.testing.assert_allclose(field.vectors[7, 8, 9], shifted(), atol=1e-4)


def test_unigradicon_and_impact_by_their_commands(with_fakes, pair, tmp_path):
    weights = tmp_path / "weights.trch"
    weights.write_bytes(b"")
    parameters = {"weights": str(weights), "modality": "ct", "io_iterations": 50}
    field, told = by("unigradicon", pair, parameters)
    points = GRID.index_to_physical(GRID.indices())
    np.testing.assert_allclose(mapped(field), points @ MATRIX[:3, :3].T + MATRIX[:3, 3], atol=1e-3)
    assert told["seconds"] > 0
    assert "start_up" not in told  # it counts in the seconds
    field, _ = by("impact", pair, {"preset": "Generic_Rigid", "device": ["--cpu", "1"]})
    assert np.abs(field.vectors - WARP).max() < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts it otherwise")
def test_the_memory_of_a_program_is_not_that_of_who_starts_it(with_fakes, pair):
    """This process has held 1.5 GB, which a program that it starts has never seen."""
    np.ones(190_000_000)
    assert peak_memory() > 1400
    _, of_a_driver = by("greedy", pair, GREEDY)
    _, of_a_command = by("impact", pair, {"preset": "Generic_Rigid", "device": ["--cpu", "1"]})
    for told in (of_a_driver, of_a_command):
        assert 30 < told["peak_memory"] < 1000  # NumPy and SimpleITK


def test_a_program_that_fails_says_its_last_lines_and_the_pair(with_fakes, pair):
    with pytest.raises(WarplineError, match=r"(?s)greedy failed.*AssertionError"):
        by("greedy", pair, GREEDY | {"iterations": [1]})
    with pytest.raises(WarplineError, match=r"no field_sigma"):
        by("greedy", pair, {k: v for k, v in GREEDY.items() if k != "field_sigma"})


def test_what_is_not_installed_says_so_before_anything_runs(
    monkeypatch, tmp_path, pair, environment
):
    monkeypatch.setenv(rivals.ENVIRONMENT, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    catalog = Catalog({"scale": "cpu"}, ROOT)
    names = ("convexadam", "greedy", "fireants", "impact", "unigradicon", "voxelmorph-package")
    for name in names:
        spec = catalog.method(name)
        assert "not installed" in rivals.missing(spec)
        with (
            pytest.raises(WarplineError, match="cannot run here"),
            registrar(Method.of(spec), "cpu", "test"),
        ):
            pass
    assert rivals.missing(catalog.method("demons")) is None
    monkeypatch.setenv(rivals.ENVIRONMENT, str(environment))
    for name in names[:4]:
        assert rivals.missing(catalog.method(name)) is None
    # These two need weights, which their files name and nobody has fetched.
    for name in names[4:]:
        assert "weights are not there" in rivals.missing(catalog.method(name))


@pytest.mark.parametrize("variant", ["diffeomorphic", "symmetric"])
def test_demons_find_a_deformation(variant, pair):
    parameters = {
        "variant": variant,
        "shrink": [2, 1],
        "iterations": [60, 30],
        "smoothing": 1.0,
        "match_histograms": False,
    }
    field, told = by("demons", pair, parameters)
    again, _ = by("demons", pair, parameters)
    np.testing.assert_array_equal(field.vectors, again.vectors)
    fixed, moving = pair

    def mismatch(found: DisplacementField) -> float:
        return float(np.square(found.warp_image(moving.image).array - fixed.image.array).mean())

    assert mismatch(field) < 0.15 * mismatch(DisplacementField.identity(GRID))
    assert (field.jacobian_determinant() > 0).all()
    assert told == {}
    with pytest.raises(WarplineError, match="as many 'iterations'"):
        by("demons", pair, parameters | {"shrink": [1]})


def test_every_rival_is_a_kind_whose_code_is_known():
    for kind in (*rivals.INCLUDED, *rivals.PROGRAMS):
        assert kind in REGISTRARS
        for module in tool_definitions(kind):
            assert (ROOT / "src" / Path(*module.split("."))).with_suffix(".py").is_file()


def test_every_deformable_baseline_starts_from_a_named_stage():
    """An affine stage of its own, or one that its file names: none starts blind."""
    catalog = Catalog({"scale": "paper"}, ROOT)
    own_stage = {"greedy", "fireants", "impact", "syn", "syn-mi", "elastix-par0003"}
    blind = {"unigradicon"}  # whose file says so
    for path in (ROOT / "config" / "methods").glob("*.yaml"):
        spec = catalog.method(path.stem)
        generic = spec["kind"] not in (
            "identity",
            "affine",
            "network",
            "through_atlas",
            "embedding",
        )
        if not generic or spec["kind"] == "warpline" or path.stem.split("-")[0][-4:].isdigit():
            continue
        assert spec["initial"] == "affine" or path.stem in own_stage | blind, path.stem
    assert catalog.method("greedy")["parameters"]["affine_iterations"]
    assert catalog.method("syn")["parameters"]["type_of_transform"] == "SyN"


def test_the_extra_and_its_lock_are_the_same_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "envs" / "rivals.lock").read_text(encoding="utf-8").split()
    assert project["optional-dependencies"]["rivals"] == lock
    modules = {"convexadam": "convexAdam", "picsl-greedy": "picsl_greedy"}
    named = {modules[pin.partition("==")[0]] for pin in lock}
    assert named <= {program.module for program in rivals.PROGRAMS.values()}


# The programs themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["convexadam", "greedy"])
def test_the_program_itself_registers_an_oblique_pair(name):
    spec = Catalog({"scale": "cpu"}, ROOT).method(name)
    reason = rivals.missing(spec)
    if reason:
        pytest.skip(reason)
    grid = Grid((48, 56, 52), GRID.spacing, GRID.origin, GRID.direction)
    moving = smooth_image(grid)
    true = smooth_field(grid, amplitude=3.0, sigma=9.0)
    fixed = Case("f", true.warp_image(moving))
    field, told = by(name, (fixed, Case("m", moving)), spec["parameters"])
    inner = (slice(8, -8),) * 3
    error = np.linalg.norm((field.vectors - true.vectors)[inner], axis=-1).mean()
    before = np.linalg.norm(true.vectors[inner], axis=-1).mean()
    assert error < 0.5 * before
    assert told["seconds"] > 0
