"""A training from cases to files: what it learns from is told, and nothing is lost on the way."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from schema_tools import augmentation_of
from training_tools import LOSS, blob_case

from warpline.cases.case import write_case
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.training.material import Material
from warpline.training.source import source_of

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)
RECIPE = {
    "kind": "network",
    "seed": 0,
    "initial": None,
    "network": {
        "name": "estienne2020",
        "parameters": {"channels": [4, 4, 4], "convolutions": [1, 1]},
    },
    "loss": LOSS,
    "training": {
        "objective": "registration",
        "epochs": 2,
        "batch_size": 1,
        "symmetric": False,
        "masked": False,
        "pairing": "random",
        "augmentation": augmentation_of(),
        "optimiser": {"name": "adam", "learning_rate": 1e-2, "weight_decay": 0, "decay": 0},
        "schedule": "constant",
        "factor": 1.25,
        "precision": "single",
        "validation": {"every": 1},
        "monitor": "val",
        "patience": None,
        "selection": "best",
        "checkpoint_seconds": 60,
    },
}


class Paths(list):
    """Files of a job, some of them by name."""

    def __init__(self, **named):
        super().__init__(path for path in named.values() if path)
        self.__dict__.update(named)
        self.get, self.items = named.get, named.items


class Parameters(dict):
    __getattr__ = dict.__getitem__


@pytest.fixture
def folders(tmp_path):
    for i in range(3):
        write_case(tmp_path / f"c{i}", blob_case(f"c{i}", i))
    return {f"c{i}": str(tmp_path / f"c{i}") for i in range(3)}


def run(folders: dict[str, str], results: Path, mem_mb=1000, **changes) -> dict[str, str]:
    """Train through the script, as a job of the workflow in a process of its own would."""
    names = {"weights": "w.safetensors", "history": "history.csv", "sidecar": "model.json"}
    output = {name: str(results / "models" / file) for name, file in names.items()}
    material = {
        "folders": folders,
        "cases": ["c0", "c1"],
        "validation": [("c2", "c0")],
        "labels": {1: "ball"},
        "pairs": None,
        "initial": {},
    }
    parameters = {
        "recipe": RECIPE,
        "material": material | {key: changes.pop(key) for key in [*material] if key in changes},
        "state": str(results / "state"),
        "cache": {"folder": str(results / "cache"), "code": "c"},
        "device": "cpu",
    }
    job = SimpleNamespace(
        rule="train",
        wildcards=Paths(),
        input=Paths(verdicts=[]),
        output=Paths(**output),
        params=Parameters(parameters | changes),
        log=[str(results / "train.log")],
        threads=1,
        resources=SimpleNamespace(mem_mb=mem_mb, workers=0),
        config={"results": str(results)},
    )
    runpy.run_path(str(ROOT / "scripts" / "train.py"), init_globals={"snakemake": job})
    return output


POINTS = (
    "warpline.training.run.save_weights",
    "warpline.training.run.write_history",
    "warpline.training.run.write_json",
    "warpline.provenance.record.write_json",
)


@pytest.fixture
def straight(folders, tmp_path):
    return Path(run(folders, tmp_path / "straight")["weights"]).read_bytes()


def test_data_that_find_no_room_in_memory_give_the_same_weights(folders, straight, tmp_path):
    mapped = run(folders, tmp_path / "mapped", mem_mb=0.001)
    assert Path(mapped["weights"]).read_bytes() == straight
    made = sorted((tmp_path / "mapped" / "cache").glob("*/images"))
    assert [file.stat().st_size for file in made] == [2 * 16**3 * 4] * 2  # training, validation
    assert not list((tmp_path / "straight").glob("cache"))
    before = [file.stat().st_mtime_ns for file in made]
    cache = {"folder": str(tmp_path / "mapped" / "cache"), "code": "c"}
    again = run(folders, tmp_path / "again", mem_mb=0.001, cache=cache)
    assert Path(again["weights"]).read_bytes() == straight
    assert [file.stat().st_mtime_ns for file in made] == before


@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_is_full_when_a_training_is_written_loses_nothing(
    folders, tmp_path, straight, point, monkeypatch
):
    """Also once Snakemake has removed what the failed job had written."""
    results = tmp_path / "results"

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(point, full)
        with pytest.raises(SystemExit):
            run(folders, results)
    for path in results.glob("models/*"):
        path.unlink()
    state = results / "state" / "last.pt"
    assert torch.load(state, weights_only=True)["step"] == 4
    steps = []
    with monkeypatch.context() as patch:
        batch = "warpline.training.registration.RegistrationObjective.batch"
        patch.setattr(batch, lambda *arguments: steps.append(arguments))
        output = run(folders, results)
    assert steps == []  # no step is taken again
    assert Path(output["weights"]).read_bytes() == straight
    assert len(pd.read_csv(output["history"])) == 12
    assert json.loads(Path(output["sidecar"]).read_text())["epochs"] == 2
    assert not state.parent.exists()


def test_a_state_of_other_scans_or_roles_is_not_taken_up(folders, tmp_path, monkeypatch, capsys):
    """Training and validation changed about, or a scan that was replaced."""

    def interrupted(name: str, **changes) -> tuple[bytes, str]:
        results = tmp_path / name
        with monkeypatch.context() as patch:
            patch.setattr("warpline.training.run.save_weights", lambda *_: 1 / 0)
            with pytest.raises(SystemExit):
                run(folders, results)
        if "scan" in changes:
            write_case(folders["c1"], blob_case("c1", changes.pop("scan")))
        weights = Path(run(folders, results, **changes)["weights"]).read_bytes()
        return weights, capsys.readouterr().out

    about = {"cases": ["c1", "c2"], "validation": [("c0", "c1")]}
    weights, log = interrupted("about", **about)
    assert "learned from other data; what differs: cases, validation" in log
    assert weights == Path(run(folders, tmp_path / "fresh", **about)["weights"]).read_bytes()
    weights, log = interrupted("scan", scan=17)
    assert "learned from other data; what differs: files of c1" in log
    assert weights == Path(run(folders, tmp_path / "new")["weights"]).read_bytes()


def test_what_a_training_learns_from_by_hand(folders, tmp_path):
    initial = tmp_path / "fields"
    for name, shift in (("c0__c1", 0.0), ("c1__c0", 1.0)):
        vectors = np.full((4, 4, 4, 3), shift, np.float32)
        write_field(initial / f"{name}.nii.gz", DisplacementField(vectors, Grid((4, 4, 4))))
    fields = dict.fromkeys(("c0__c1", "c1__c0"), str(initial))
    material = Material(folders, ["c1", "c0"], [("c2", "c0")], {1: "ball"}, [("c0", "c1")], fields)
    source = source_of(material)
    files = source.pop("files")
    assert source == {
        "cases": ["c1", "c0"],
        "pairs": [["c0", "c1"]],
        "validation": [["c2", "c0"]],
        "labels": {"1": "ball"},
        "pretrained": None,
    }
    assert set(files) == {"c0", "c1", "c2", "c0__c1"}  # not the pair that is not used
    assert len(set(files.values())) == 4
    # A field beside it does not count, and the field itself does; so does every file of a case.
    (initial / "c1__c0.nii.gz").write_bytes(b"")
    assert source_of(material)["files"] == files
    (initial / "c0__c1.nii.gz").write_bytes(b"")
    (Path(folders["c2"]) / "landmarks.csv").write_text("id,x,y,z\n")
    later = source_of(material)["files"]
    assert {name for name in files if files[name] != later[name]} == {"c0__c1", "c2"}
    (tmp_path / "w").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert source_of(material, tmp_path / "w")["pretrained"] == known
