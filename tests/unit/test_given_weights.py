"""Weights from elsewhere: opened without running code, translated, and the authors' own numbers."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from http_server import serve
from safetensors.torch import save_file
from scipy import ndimage

from warpline import networks
from warpline.acquire.patience import Patience
from warpline.acquire.verify import source_of
from warpline.acquire.weights import bring
from warpline.errors import WarplineError
from warpline.fields.sampling import identity_grid
from warpline.networks.estienne2020 import authors_names
from warpline.networks.given import fill, keep_given, read_checkpoint
from warpline.networks.weights import load_weights

NARROW = {"channels": [4, 8, 16, 32, 64], "convolutions": [1, 2, 3, 2]}
KINDS = {
    "hippocampus": ("estienne2020", {"activation": "leaky_relu", "decoder_residual": True}),
    "abdomen": ("estienne2020", {"inputs": 3, "activation": "relu", "decoder_residual": False}),
    "segmenter": ("estienne2020_segmenter", {}),
}
SPEC = {"sources": [], "checksums": [], "size": None, "ask": None, "of": "authors"}


def reference() -> Path:
    folder = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "reference/authors")
    if "WARPLINE_REAL_DATA" not in os.environ or not folder.exists():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with reference/authors")
    return folder


def authors_weights(kind: str) -> dict[str, torch.Tensor]:
    data = np.load(reference() / f"estienne2020_{kind}.npz")
    return {
        name.removeprefix("weights/"): torch.from_numpy(data[name])
        for name in data.files
        if name.startswith("weights/")
    }


def as_authors_save(tensors: dict, path: Path, prefix: str = "module.") -> Path:
    """A checkpoint as torch 1.4 wrote it: before zip files, with a mean loss of numpy's."""
    named = OrderedDict((f"{prefix}{name}", value) for name, value in tensors.items())
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(2)).sum().backward()
    optimiser.step()
    content = {
        "epoch": 599,
        "val_loss": np.float64(0.25),
        "state_dict": named,
        "optizmizer": optimiser.state_dict(),
    }
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def recipe(kind: str, path: Path, **changes) -> dict:
    name, parameters = KINDS[kind]
    weights = SPEC | {"file": path.name, "sources": [f"file:{path}"]} | changes
    return {"network": {"name": name, "parameters": NARROW | parameters}, "weights": weights}


def kept(method: dict, folder: Path) -> Path:
    """The weights of a method by the whole door: the file, its download, the translation."""
    path = bring(method["weights"], folder / "data")
    weights = folder / "w.safetensors"
    keep_given(method, path, source_of(path), weights, folder / "model.json")
    return weights


def loaded(kind: str, tmp_path: Path, **parameters) -> torch.nn.Module:
    """The authors' small network with their weights."""
    source = as_authors_save(authors_weights(kind), tmp_path / f"{kind}.pth.tar")
    method = recipe(kind, source)
    method["network"]["parameters"] |= parameters
    network = networks.build(method["network"]["name"], method["network"]["parameters"])
    load_weights(kept(method, tmp_path), network)
    return network.eval()


@pytest.mark.parametrize("kind", ["hippocampus", "abdomen"])
def test_gradients_grids_and_warped_images_are_the_authors(kind, tmp_path):
    data = np.load(reference() / f"estienne2020_{kind}.npz")
    aligned = loaded(kind, tmp_path)
    as_trained = loaded(kind, tmp_path, aligned_corners=False)
    images = {side: torch.from_numpy(data[f"input/{side}"]) for side in ("moving", "fixed")}
    shape = images["moving"].shape[2:]
    last = torch.tensor(shape).reshape(1, 3, 1, 1, 1) - 1
    for direction, source, target in (
        ("moving_to_fixed", "moving", "fixed"),
        ("fixed_to_moving", "fixed", "moving"),
    ):
        with torch.no_grad():
            found = aligned(images[source], images[target])
            read = as_trained(images[source], images[target])
        np.testing.assert_allclose(found.gradients, data[f"{direction}/gradients"], atol=1e-4)
        # Theirs: −1 … 1 between outermost centres, components (x, y, z).
        grid = 2 * (identity_grid(shape) + found.displacement) / last - 1
        np.testing.assert_allclose(grid.flip(1), data[f"{direction}/grid"], atol=1e-4)
        for level, displacement in enumerate(read.displacements):
            place = (identity_grid(shape) + displacement)[0].numpy()
            warped = [
                ndimage.map_coordinates(channel, place, order=1, mode="grid-constant", cval=0)
                for channel in images[source][0].numpy()
            ]
            np.testing.assert_allclose(
                warped, data[f"{direction}/warped_{level}"][0], atol=1e-4, err_msg=f"level {level}"
            )


def test_both_directions_at_once_are_the_authors_too(tmp_path):
    data = np.load(reference() / "estienne2020_hippocampus.npz")
    network = loaded("hippocampus", tmp_path)
    images = [torch.from_numpy(data[f"input/{side}"]) for side in ("moving", "fixed")]
    with torch.no_grad():
        forward, backward = network.predict_directions(*images)
    for found, name in ((forward, "moving_to_fixed"), (backward, "fixed_to_moving")):
        np.testing.assert_allclose(found.gradients, data[f"{name}/gradients"], atol=1e-4)


def test_the_segmenter_s_probabilities_are_the_authors(tmp_path):
    data = np.load(reference() / "estienne2020_segmenter.npz")
    network = loaded("segmenter", tmp_path)
    # Theirs is given what its window leaves of a CT, between 0 and 1.
    image = torch.from_numpy(data["input/image"])
    ((centre, width),) = network.windows
    assert 0 <= image.min() <= image.max() <= 1
    with torch.no_grad():
        found = network((image - 0.5) * width + centre)
    np.testing.assert_allclose(found, data["output/probabilities"], atol=1e-4)


@pytest.mark.parametrize("kind", list(KINDS))
def test_names_and_shapes_at_full_size(kind):
    known = json.loads((reference() / "estienne2020_state_dicts.json").read_text())[kind]
    name, parameters = KINDS[kind]
    full = {"channels": [32, 64, 128, 256, 512], "convolutions": [1, 2, 3, 2]}
    with torch.device("meta"):
        network = networks.build(name, full | parameters)
    module = __import__(f"warpline.networks.{name}", fromlist=["authors_names"])
    own = network.state_dict()
    shapes = {theirs: list(own[key].shape) for key, theirs in module.authors_names(network).items()}
    assert shapes == known["tensors"]
    assert networks.parameter_count(network) == known["parameters"]


# Without the authors' numbers -------------------------------------------------------------------


def small() -> torch.nn.Module:
    torch.manual_seed(1)
    network = networks.build("estienne2020", {"channels": [2, 4, 4], "convolutions": [1, 2]})
    torch.nn.init.normal_(network.last.weight)
    return network


def named_by_authors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    own = network.state_dict()
    return {theirs: own[key] for key, theirs in authors_names(network).items()}


def method(path: Path, **changes) -> dict:
    parameters = {"channels": [2, 4, 4], "convolutions": [1, 2]}
    weights = SPEC | {"file": path.name, "sources": [f"file:{path}"]} | changes
    return {"network": {"name": "estienne2020", "parameters": parameters}, "weights": weights}


def weights_by(spec: dict, folder: Path) -> dict:
    network = networks.build("estienne2020", spec["network"]["parameters"])
    load_weights(kept(spec, folder), network)
    return network.state_dict()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_of_the_authors_form(tmp_path, prefix):
    network = small()
    path = as_authors_save(named_by_authors(network), tmp_path / "a.pth.tar", prefix)
    found = weights_by(method(path), tmp_path)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)
    note = json.loads((tmp_path / "model.json").read_text())
    assert note["epochs"] == 599
    assert note["of"] == "authors"
    assert note["given"]["sha256"]
    assert (tmp_path / "data/a.pth.tar").exists()


@pytest.mark.parametrize("form", ["safetensors", "state dict", "under state_dict"])
def test_the_same_door_takes_a_checkpoint_of_one_s_own(tmp_path, form):
    own = small().state_dict()
    path = tmp_path / ("own.safetensors" if form == "safetensors" else "own.pt")
    if form == "safetensors":
        save_file({name: value.contiguous() for name, value in own.items()}, path)
    else:
        torch.save(own if form == "state dict" else {"state_dict": own}, path)
    found = weights_by(method(path, of=None), tmp_path)
    assert all(torch.equal(found[key], value) for key, value in own.items())
    assert json.loads((tmp_path / "model.json").read_text())["epochs"] is None


class Runs:
    """What a file must not do when it is opened."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("form", ["zip", "before zip", "pickle"])
def test_a_file_that_runs_code_is_refused(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    content = {"state_dict": small().state_dict(), "more": Runs()}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WarplineError, match="without running code"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"<html>not here</html>")
    with pytest.raises(WarplineError, match="or is damaged"):
        read_checkpoint(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(WarplineError, match="holds no tensors"):
        read_checkpoint(path)
    whole = as_authors_save(named_by_authors(small()), tmp_path / "whole.pth.tar")
    path.write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(WarplineError, match="or is damaged"):
        read_checkpoint(path)


def test_weights_that_do_not_fit_name_the_tensor_as_the_file_does(tmp_path):
    tensors = named_by_authors(small())
    path = as_authors_save(tensors, tmp_path / "a.pth.tar")
    given = read_checkpoint(path)
    other = networks.build(
        "estienne2020", {"inputs": 3, "channels": [2, 4, 4], "convolutions": [1, 2]}
    )
    with pytest.raises(WarplineError) as error:
        fill(other, "estienne2020", given, "authors", path)
    assert "1 tensors differ" in error.value.what
    assert (
        "encoder.input.add_conv.weight is 2 × 1 × 3 × 3 × 3 instead of 2 × 3 × 3 × 3 × 3"
        in error.value.what
    )
    with pytest.raises(WarplineError, match=r"absent"):
        fill(small(), "estienne2020", given, None, path)
    hansen = networks.build("hansen2020", {})
    with pytest.raises(WarplineError, match="no names of 'authors'"):
        fill(hansen, "hansen2020", given, "authors", path)


# Where they come from ---------------------------------------------------------------------------


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def spec(*sources: str, **changes) -> dict:
    return SPEC | {"file": "a.pth.tar", "sources": list(sources)} | changes


def test_a_file_must_have_a_known_checksum_or_the_next_source_is_asked(tmp_path):
    for name, data in (("one", b"wrong"), ("two", b"right")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.pth.tar").write_bytes(data)
    sources = [f"file:{tmp_path}/{name}/a.pth.tar" for name in ("one", "two")]
    path = bring(spec(*sources, checksums=[sha256(b"right")]), tmp_path / "data")
    assert path.read_bytes() == b"right"
    with pytest.raises(WarplineError) as error:
        bring(spec(sources[0], checksums=[sha256(b"right")]), tmp_path / "other")
    assert "has the checksum" in error.value.what
    with pytest.raises(WarplineError, match="have no source"):
        bring(spec(), tmp_path / "other")


@pytest.fixture
def server():
    with serve() as running:
        yield running


def published(server, data: bytes) -> str:
    """A record of Zenodo's on this machine with the file in it; the source that names it."""
    url = server.add("/files/a.pth.tar", content=data)
    checksum = f"md5:{hashlib.md5(data).hexdigest()}"
    entry = {"key": "a.pth.tar", "links": {"self": url}, "checksum": checksum, "size": len(data)}
    record = json.dumps({"id": 5762347, "files": [entry]}).encode()
    server.add("/api/5762347", content=record, headers={"Content-Type": "application/json"})
    return f"zenodo:5762347@{server.url}/api"


def test_a_record_s_file_is_taken_by_its_own_checksum_and_the_log_says_what_it_is(
    server, tmp_path, capsys
):
    data = as_authors_save(named_by_authors(small()), tmp_path / "a.pth.tar").read_bytes()
    source = published(server, data)
    quick = Patience(attempts=1, backoff=0.01)
    path = bring(spec(source, checksums=[sha256(data)]), tmp_path / "same", patience=quick)
    assert path.read_bytes() == data
    assert capsys.readouterr().out == ""
    # Another file than the one whose checksum is known: of about its size, and it says so.
    other = spec(source, checksums=[sha256(b"known")], size=len(data) + 60)
    bring(other, tmp_path / "other", patience=quick)
    assert sha256(data) in capsys.readouterr().out
    with pytest.raises(WarplineError, match="The record's file is another one"):
        bring(other | {"size": 2 * len(data)}, tmp_path / "third", patience=quick)
    # A server that is no record has to give the known file; the record is then asked.
    plain = server.add("/plain/a.pth.tar", content=data)
    both = spec(plain, source, checksums=[sha256(b"known")])
    assert bring(both, tmp_path / "fourth", patience=quick).read_bytes() == data
    with pytest.raises(WarplineError, match="has the checksum"):
        bring(spec(plain, checksums=[sha256(b"known")]), tmp_path / "fifth", patience=quick)
