"""Weights from elsewhere, the whole road: a server, the download, a row of a table."""

import hashlib
import json
import os
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from warpline import networks
from warpline.networks.estienne2020 import authors_names

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from http_server import serve

pytestmark = pytest.mark.long

METHOD = "estienne2020-task4-authors-baseline"
PARAMETERS = {"channels": [4, 8, 16, 32, 64], "convolutions": [1, 2, 3, 2]}


def authors_tensors() -> dict[str, torch.Tensor]:
    """The small random weights of the authors' own network; without them, ours by their names."""
    folder = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "reference/authors")
    if "WARPLINE_REAL_DATA" in os.environ and folder.exists():
        data = np.load(folder / "estienne2020_hippocampus.npz")
        names = [name for name in data.files if name.startswith("weights/")]
        return {name.removeprefix("weights/"): torch.from_numpy(data[name]) for name in names}
    network = networks.build("estienne2020", PARAMETERS)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    own = network.state_dict()
    return {theirs: own[name].clone() for name, theirs in authors_names(network).items()}


def saved(folder: Path) -> bytes:
    """A checkpoint as the authors save theirs."""
    named = OrderedDict((f"module.{k}", v) for k, v in authors_tensors().items())
    content = {"epoch": 599, "val_loss": np.float64(0.2), "state_dict": named, "optizmizer": {}}
    torch.save(content, folder / "checkpoint", _use_new_zipfile_serialization=False)
    return (folder / "checkpoint").read_bytes()


def settings(source: str, checksum: str) -> dict:
    weights = {"sources": [source], "checksums": [checksum], "size": None}
    changes = {"network": {"parameters": PARAMETERS}, "weights": weights}
    return {
        "scale": "demo",
        "papers": [],
        "studies": {
            "given": {
                "datasets": ["hippocampus"],
                "methods": ["identity", METHOD],
                "split": "val",
                "reference": "identity",
            }
        },
        "override": {
            "methods": {METHOD: changes},
            "datasets": {"hippocampus": {"cases": {"val": 2}, "cases_per_job": 2}},
        },
    }


def test_from_a_server_to_a_row(project, tmp_path):
    data = saved(tmp_path)
    checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with serve() as server:
        source = server.add("/Baseline.pth.tar", content=data)
        project.write("wrong.yaml", settings(source, "sha256:" + 64 * "0"))
        output = project.snakemake("--configfile", "wrong.yaml", "--", "given", ok=False)
        assert "No source gives the weights 'Baseline.pth.tar'" in output
        assert "has the checksum" in output
        project.write("given.yaml", settings(source, checksum))
        project.snakemake("--configfile", "given.yaml", "--", "given")
        assert sum(path == "/Baseline.pth.tar" for path, _ in server.requests) >= 2
    table = pd.read_csv(project.folder / "results/given/tables/table.csv").set_index("method")
    assert "authors' weights" in table.loc[METHOD, "title"]
    assert table.loc[METHOD, "n"] == 2
    assert np.isfinite(table.loc[METHOD, "dice"])
    # Random weights move everything about; the identity does not.
    assert table.loc[METHOD, "sdlogj"] > table.loc["identity", "sdlogj"] == pytest.approx(0)
    folder = project.folder / "results/weights" / METHOD
    note = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert (note["epochs"], note["of"]) == (599, "authors")
    assert note["given"]["source"] == source
    assert f"sha256:{note['given']['sha256']}" == checksum
    names = authors_names(networks.build("estienne2020", PARAMETERS))
    kept, given = load_file(folder / "weights.safetensors"), authors_tensors()
    assert {names[name] for name in kept} == set(given)
    assert all(torch.equal(kept[name], given[theirs]) for name, theirs in names.items())
    # Nothing was trained, and the file is not fetched again.
    assert not (project.folder / "results/models").exists()
    again = project.snakemake("--configfile", "given.yaml", "--dry-run", "--", "given")
    assert "Nothing to be done" in again
