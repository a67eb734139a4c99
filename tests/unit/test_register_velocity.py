"""The script that registers, with a network of velocities: what lies beside the fields."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.evaluation.records import read_records
from warpline.fields.io import read_field
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.networks.weights import save_weights

SCRIPTS = Path(__file__).parents[2] / "scripts"
GRID = Grid((14, 12, 16), (2.0, 3.0, 2.5), (5.0, -7.0, 9.0), (0, -1, 0, 0.6, 0, -0.8, 0.8, 0, 0.6))
NETWORK = {
    "name": "hu2020",
    "parameters": {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]},
}


def script(name: str):
    specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


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


@pytest.mark.parametrize("steps", [[], [{"resize": {"shape": [8, 8, 8]}}]])
def test_spread_and_inverse_consistency_go_into_files_and_records(pair, steps):
    folders, folder = pair
    recipe = {"kind": "network", "network": NETWORK, "prepare": steps, "samples": 4, "seed": 0}
    arguments = (recipe, folders, [("f", "m")], str(folder / "fields"))
    more = {"device": "cpu", "threads": 1, "network": recipe}
    script("register").main(*arguments, **more, weights=str(folder / "weights.safetensors"))
    field = read_field(folder / "fields" / "f__m.nii.gz")
    spread = read_image(folder / "fields" / "f__m-spread.nii.gz")
    assert spread.grid.close_to(field.grid)
    assert spread.grid.close_to(GRID)
    assert 0.1 < np.median(spread.array) < 10
    kept = pd.read_csv(folder / "fields" / "registrations.csv").iloc[0]
    assert 0 < kept["inverse_consistency"] < np.linalg.norm(field.vectors, axis=-1).max()
    target = str(folder / "records.parquet")
    experiment = {"dataset": "d", "method": "hu", "split": "test"}
    fields = {"f__m": str(folder / "fields")}
    script("evaluate").main(experiment, folders, fields, [("f", "m")], {}, target, 1)
    records = read_records(target).set_index("metric")
    for name, unit in (("inverse_consistency", "mm"), ("seconds", "s"), ("peak_memory", "MiB")):
        assert records.loc[name, "unit"] == unit
        assert records.loc[name, "value"] == pytest.approx(kept[name])
    assert records.loc["seconds", "label"] == "cpu"
    assert not {"fixed", "device"} & set(records.index)


def test_without_samples_no_map_is_drawn(pair):
    folders, folder = pair
    recipe = {"kind": "network", "network": NETWORK, "seed": 0}
    arguments = (recipe, folders, [("f", "m")], str(folder / "fields"))
    more = {"device": "cpu", "threads": 1, "network": recipe}
    script("register").main(*arguments, **more, weights=str(folder / "weights.safetensors"))
    files = {path.name for path in (folder / "fields").iterdir()}
    assert files == {"f__m.nii.gz", "registrations.csv"}
