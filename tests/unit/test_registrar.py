"""Methods behind one interface; a batch of pairs, and what lies beside its fields."""

import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from warpline import networks
from warpline.cases.atlas import make_atlas
from warpline.cases.case import Case, read_case, write_case
from warpline.errors import WarplineError
from warpline.evaluation.experiment import experiment_records
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.networks.weights import save_weights
from warpline.plan.kinds import REGISTRARS
from warpline.plan.pairs import ATLAS
from warpline.registration import batch
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar
from warpline.registration.registrar import Diagnostics, Registrar, Registration
from warpline.registry import lookup

GRID = Grid((14, 12, 16), (2.0, 3.0, 2.5), (5.0, -7.0, 9.0), (0, -1, 0, 0.6, 0, -0.8, 0.8, 0, 0.6))
NETWORK = {
    "name": "hu2020",
    "parameters": {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]},
}
SPEC = {"kind": "identity", "seed": 0, "parameters": {}}


@pytest.fixture
def pair(tmp_path):
    rng = np.random.default_rng(0)
    folders = {}
    for name in "fm":
        image = ndimage.gaussian_filter(rng.random(GRID.shape), 1.5).astype(np.float32)
        folders[name] = str(tmp_path / name)
        write_case(folders[name], Case(name, Image(image, GRID)))
    torch.manual_seed(0)
    network = networks.build(NETWORK["name"], NETWORK["parameters"])
    torch.nn.init.normal_(network.level.flow.weight[:3], std=0.1)
    torch.nn.init.constant_(network.level.flow.bias[3:], -3.0)
    save_weights(tmp_path / "weights.safetensors", network)
    return folders, tmp_path


def by_network(pair, recipe, pairs=(("f", "m"),), **more):
    """The folder of fields that a recipe's network makes of pairs."""
    folders, folder = pair
    weights = str(folder / "weights.safetensors")
    method = Method.of(SPEC | recipe, recipe=recipe, weights=weights, **more)
    with registrar(method, "cpu", "test") as chosen:
        register_batch(chosen, pairs, folders, folder / "fields")
    return folder / "fields"


class Told(Registrar):
    """Moves by as many mm along x as it has been called; tells everything there is to tell."""

    device, warms_up, examines = "cuda", True, True

    def __init__(self):
        self.calls, self.examined = [], []

    def register(self, fixed, moving):
        self.calls.append((fixed.id, moving.id))
        vectors = np.zeros((*GRID.shape, 3), np.float32)
        vectors[..., 0] = len(self.calls)
        arrays = {"n": np.array([len(self.calls)])}
        return Registration(DisplacementField(vectors, GRID), Diagnostics({"clipped": 0.5}, arrays))

    def examine(self, fixed, moving):
        self.examined.append(len(self.calls))
        value = float(len(self.examined))
        image = Image(np.full(GRID.shape, value, np.float32), GRID)
        return Diagnostics({"consistency": value}, images={"spread": image})


def test_a_batch_writes_each_field_and_all_that_is_told_of_it(pair):
    folders, folder = pair
    told = Told()
    register_batch(told, [("f", "m"), ("m", "f")], folders, folder / "fields")
    # The first pair twice, for the set-up; nothing is examined before all are registered.
    assert told.calls == [("f", "m"), ("f", "m"), ("m", "f")]
    assert told.examined == [3, 3]
    for number, name in ((2, "f__m"), (3, "m__f")):
        field = read_field(folder / "fields" / f"{name}.nii.gz")
        np.testing.assert_allclose(field.vectors[..., 0], number)
        with np.load(folder / "fields" / f"{name}.npz") as arrays:
            assert {key: arrays[key].tolist() for key in arrays} == {"n": [number]}
        image = read_image(folder / "fields" / f"{name}-spread.nii.gz")
        np.testing.assert_array_equal(image.array, number - 1)
    table = pd.read_csv(folder / "fields" / "registrations.csv")
    assert list(table) == [
        *("fixed", "moving", "seconds", "device", "peak_memory", "clipped", "consistency")
    ]
    assert table[["fixed", "moving", "device", "clipped", "consistency"]].values.tolist() == [
        ["f", "m", "cuda", 0.5, 1.0],
        ["m", "f", "cuda", 0.5, 2.0],
    ]
    assert table["seconds"].between(0, 10).all()
    assert table["peak_memory"].gt(10).all()


def test_a_first_pair_that_takes_long_is_registered_once(pair, monkeypatch):
    folders, folder = pair
    monkeypatch.setattr(batch, "SET_UP_TELLS", 0)
    register_batch(told := Told(), [("f", "m"), ("m", "f")], folders, folder / "fields")
    assert told.calls == [("f", "m"), ("m", "f")]
    field = read_field(folder / "fields" / "f__m.nii.gz")
    np.testing.assert_allclose(field.vectors[..., 0], 1)


def test_a_batch_of_the_atlas_and_its_source_alone_is_an_empty_table(pair):
    folders, folder = pair
    assert make_atlas({"f": folders["f"]}, folder / "made") == "f"
    more = folders | {ATLAS: str(folder / "made" / ATLAS)}
    register_batch(told := Told(), [(ATLAS, "f")], more, folder / "fields")
    assert told.calls == []
    assert [path.name for path in (folder / "fields").iterdir()] == ["registrations.csv"]
    assert list(pd.read_csv(folder / "fields" / "registrations.csv")) == ["fixed", "moving"]


def test_a_registration_that_fails_leaves_what_was_there(pair):
    folders, folder = pair

    class Failing(Told):
        def register(self, fixed, moving):
            if (fixed.id, moving.id) == ("m", "f"):
                raise WarplineError("No.")
            return super().register(fixed, moving)

    (folder / "fields").mkdir()
    (folder / "fields" / "old").touch()
    with pytest.raises(WarplineError, match="No"):
        register_batch(Failing(), [("f", "m"), ("m", "f")], folders, folder / "fields")
    assert [path.name for path in (folder / "fields").iterdir()] == ["old"]


def test_every_kind_of_method_is_a_registrar():
    for kind in REGISTRARS:
        assert issubclass(lookup(kind, REGISTRARS, "kind"), Registrar)
    unknown = registrar(Method.of(SPEC | {"kind": "elastic"}), "cpu", "test")
    with pytest.raises(WarplineError, match="no kind of method 'elastic'") as error, unknown:
        pass
    assert "Did you mean 'elastix'" in str(error.value)


def test_a_baseline_gets_its_parameters_files_threads_and_seed(pair, monkeypatch):
    folders, _ = pair
    fixed, moving = (read_case(folders[name]) for name in "fm")
    given = {}

    def run(fixed, moving, parameters, *, threads, seed):
        given.update(pair=(fixed, moving), parameters=parameters, threads=threads, seed=seed)
        return DisplacementField.identity(fixed.grid)

    monkeypatch.setattr("warpline.registration.baselines.elastix.register", run)
    spec = {"kind": "elastix", "seed": 7, "parameters": {"masked": False}}
    method = Method.of(spec, parameter_files=["a.txt"], threads=1)
    with registrar(method, "cpu", "test") as chosen:
        result = chosen.register(fixed, moving)
    assert given == {
        "pair": (fixed, moving),
        "parameters": {"masked": False, "files": ["a.txt"]},
        "threads": 1,
        "seed": 7,
    }
    assert not result.field.vectors.any()
    assert result.diagnostics == Diagnostics()
    assert (chosen.device, chosen.warms_up, chosen.examines) == ("cpu", False, False)


@pytest.mark.parametrize("steps", [[], [{"resize": {"shape": [8, 8, 8]}}]])
def test_spread_and_inverse_consistency_go_into_files_and_records(pair, steps):
    folders, folder = pair
    recipe = {"kind": "network", "network": NETWORK, "prepare": steps, "samples": 4, "seed": 0}
    by_network(pair, recipe)
    field = read_field(folder / "fields" / "f__m.nii.gz")
    spread = read_image(folder / "fields" / "f__m-spread.nii.gz")
    assert spread.grid.close_to(field.grid)
    assert spread.grid.close_to(GRID)
    assert 0.1 < np.median(spread.array) < 10
    kept = pd.read_csv(folder / "fields" / "registrations.csv").iloc[0]
    assert 0 < kept["inverse_consistency"] < np.linalg.norm(field.vectors, axis=-1).max()
    experiment = {"dataset": "d", "method": "hu", "split": "test"}
    fields = {"f__m": str(folder / "fields")}
    records = experiment_records(experiment, folders, fields, [("f", "m")], {})
    records = records.set_index("metric")
    for name, unit in (("inverse_consistency", "mm"), ("seconds", "s"), ("peak_memory", "MiB")):
        assert records.loc[name, "unit"] == unit
        assert records.loc[name, "value"] == pytest.approx(kept[name])
    assert records.loc["seconds", "label"] == "cpu"
    assert not {"fixed", "device"} & set(records.index)


def test_without_samples_no_map_is_drawn(pair):
    recipe = {"kind": "network", "network": NETWORK, "seed": 0}
    files = {path.name for path in by_network(pair, recipe).iterdir()}
    assert files == {"f__m.nii.gz", "registrations.csv"}


def test_a_baseline_loads_no_other_method(tmp_path):
    """Who registers by one kind of method pays for no other, least of all when it starts."""
    program = """
import sys
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar
spec = {"kind": "identity", "seed": 0, "parameters": {}}
with registrar(Method.of(spec), "cpu", "test") as chosen:
    pass
heavy = {"itk", "ants", "matplotlib", "scipy.stats"}
ours = ("warpline.registration.embedding", "warpline.networks", "warpline.training")
print([m for m in sys.modules if m in heavy or m.startswith(ours)])
"""
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


class OnDevice(Registrar):
    """A device that has registered the next pair while the last is written."""

    device = "cuda"

    def register(self, fixed, moving):
        return Registration(DisplacementField.identity(fixed.grid), Diagnostics({"told": 1.0}))


def test_a_device_goes_on_while_its_fields_are_written(pair, monkeypatch):
    folders, folder = pair
    slow, written, done = threading.Event(), [], []
    write, register = batch.write_kept, OnDevice.register

    def wait_and_write(path, field, *, halved):
        slow.wait(60)
        write(path, field, halved=halved)
        written.append(path.name)

    def register_and_tell(self, fixed, moving):
        done.append(len(written))
        if len(done) == 2:
            slow.set()
        return register(self, fixed, moving)

    monkeypatch.setattr(batch, "write_kept", wait_and_write)
    monkeypatch.setattr(OnDevice, "register", register_and_tell)
    register_batch(OnDevice(), [("f", "m"), ("m", "f")], folders, folder / "fields")
    assert done == [0, 0]  # nothing was written when the second pair began
    assert len(read_table(folder)) == 2
    for name in ("f__m", "m__f"):
        read_field(folder / f"fields/{name}.nii.gz")


def test_an_error_of_the_writer_is_the_job_s(pair, monkeypatch):
    folders, folder = pair

    def fail(path, field, *, halved):
        raise OSError("no space left")

    monkeypatch.setattr(batch, "write_kept", fail)
    with pytest.raises(OSError, match="no space left"):
        register_batch(OnDevice(), [("f", "m"), ("m", "f")], folders, folder / "fields")
    assert not (folder / "fields").exists()


def read_table(folder):
    return pd.read_csv(folder / "fields" / batch.TABLE)
