"""The author of a method: new-method.md, from an empty folder to a row beside the others."""

from __future__ import annotations

import csv
import importlib.util

import pytest
import torch
from desk import Desk, blocks

from warpline.networks import Prediction

PAGE = blocks("new-method.md")[:5]


def test_the_network_of_the_page_is_a_network(tmp_path):
    path = tmp_path / "mynet.py"
    path.write_text(PAGE[0].text, encoding="utf-8")
    assert len([line for line in PAGE[0].text.splitlines() if line.strip()]) <= 25
    spec = importlib.util.spec_from_file_location("mynet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network(channels=(4, 8))
    moving, fixed = torch.rand(2, 1, 1, 8, 12, 16)
    forward, backward = network.predict_directions(moving, fixed)
    assert isinstance(forward, Prediction)
    assert forward.displacement.shape == backward.displacement.shape == (1, 3, 8, 12, 16)
    assert network.predict_directions(moving, fixed, backward=False)[1] is None


@pytest.mark.long  # trains the page's network on the demo's images
def test_a_network_of_ones_own(desk: Desk, timed):
    assert [block.file for block in PAGE[:4]] == [
        "methods/mynet.py",
        "methods/mynet.yaml",
        "studies/mine.yaml",
        "config.yaml",
    ]
    desk.follow(PAGE)
    with (desk.folder / "results/mine/tables/table.csv").open(encoding="utf-8") as stream:
        table = {row["title"]: row for row in csv.DictReader(stream)}
    assert set(table) == {"Unregistered", "Affine (ANTs)", "My network"}
    # It has learned to move the images towards each other.
    assert float(table["My network"]["cc"]) > float(table["Unregistered"]["cc"])

    # A change of the file trains anew, a comment does not.
    desk.run("warpline run mine")
    path = desk.folder / "methods/mynet.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"# A remark.\n{text}", encoding="utf-8")
    assert "train" not in desk.run("warpline run mine --dry-run --quiet rules")
    path.write_text(text.replace("LeakyReLU(0.2)", "LeakyReLU(0.1)"), encoding="utf-8")
    assert "rule train" in desk.run("warpline run mine --dry-run")
