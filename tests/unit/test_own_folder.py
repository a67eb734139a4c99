"""A folder of one's own: what lies there is read beside the project's files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from warpline.errors import WarplineError
from warpline.plan import fingerprint
from warpline.plan.catalog import Catalog
from warpline.plan.fingerprint import code_version
from warpline.plan.models import Models
from warpline.plan.places import Places, installed, project_folder
from warpline.plan.run import Run
from warpline.registry import NETWORKS

ROOT = Path(__file__).parents[2]
DATASET = {
    "title": "Mine",
    "format": "folder",
    "folder": "scans",
    "case_sheet": "cases.tsv",
    "labels": {1: "organ"},
    "pairs": {"test": {"from": "all"}},
    "prepare": [],
}
SHEET = "case\tsplit\timage\n007\ttest\t007.nii.gz\n1.2\ttest\t1.2.nii.gz\n"


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A folder with a dataset, a method and a study; the working directory of the test."""
    folder = tmp_path / "Müller's scans"
    write(folder, "datasets/mine.yaml", DATASET)
    write(folder, "methods/mine.yaml", {"title": "Mine", "kind": "identity"})
    write(folder, "studies/first.yaml", {"datasets": ["mine"], "methods": ["mine", "syn"]})
    (folder / "cases.tsv").write_text(SHEET, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, name: str, content: dict) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def here() -> Places:
    return Places.here(ROOT)


def refusal(call, *arguments) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments)
    return str(error.value)


def test_its_files_are_read_beside_the_projects(own):
    catalog = Catalog({"papers": []}, here())
    assert catalog.dataset("mine").ids == ["007", "1.2"]
    assert catalog.method("mine")["title"] == "Mine"
    assert catalog.method("syn")["kind"] == "syn"  # the project's
    assert catalog.papers == ["first"]
    rows = catalog.paper("first")["tables"]["table"]["rows"]
    assert [row["method"] for row in rows] == ["mine", "syn"]


def test_it_may_have_them_under_config_as_snakedeploy_writes_them(own):
    (own / "config").mkdir()
    for kind in ("datasets", "methods", "studies"):
        (own / kind).rename(own / "config" / kind)
    catalog = Catalog({"papers": []}, here())
    assert catalog.papers == ["first"]
    assert catalog.dataset("mine").file == "config/datasets/mine.yaml"
    assert catalog.method("mine")["title"] == "Mine"


def test_its_configuration_stands_in_place_of_the_projects(own):
    assert here().config_file == ROOT / "config" / "config.yaml"
    (own / "config.yaml").write_text("papers: []\n", encoding="utf-8")
    assert here().config_file == own / "config.yaml"


def test_in_the_project_itself_nothing_is_ones_own(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert here() == Places(ROOT)
    assert here().config_file == ROOT / "config" / "config.yaml"
    assert here().networks() == []


def test_a_file_of_the_same_name_stands_in_place_of_the_projects(own):
    write(own, "methods/syn.yaml", {"title": "My SyN", "kind": "syn"})
    assert Catalog({"papers": []}, here()).method("syn")["title"] == "My SyN"


@pytest.mark.parametrize("place", ["cases.tsv", "datasets/cases.tsv", "scans/cases.tsv"])
def test_a_case_sheet_may_lie_anywhere_in_it(own, place):
    (own / place).parent.mkdir(exist_ok=True)
    (own / "cases.tsv").rename(own / place)
    named = "cases.tsv" if place.startswith("datasets") else place
    write(own, "datasets/mine.yaml", {**DATASET, "case_sheet": named})
    assert Catalog({"papers": []}, here()).dataset("mine").ids == ["007", "1.2"]


def test_a_case_sheet_may_lie_outside(own, tmp_path):
    (own / "cases.tsv").rename(tmp_path / "cases.tsv")
    for named in (str(tmp_path / "cases.tsv"), "../cases.tsv"):
        write(own, "datasets/mine.yaml", {**DATASET, "case_sheet": named})
        assert Catalog({"papers": []}, here()).dataset("mine").ids == ["007", "1.2"]


def test_errors_name_its_files(own):
    write(own, "datasets/mine.yaml", {**DATASET, "foramt": "folder"})
    message = refusal(Catalog({"papers": []}, here()).dataset, "mine")
    assert "where: datasets/mine.yaml" in message
    assert "did you mean 'format'" in message
    message = refusal(Catalog({"papers": []}, here()).dataset, "mien")
    assert "There is no 'mien' in datasets or the project's." in message
    assert "Did you mean 'mine'" in message
    write(own, "studies/first.yaml", {"datasets": ["mine"], "method": ["syn"]})
    message = refusal(Catalog, {"papers": []}, here())
    assert "studies/first.yaml" in message
    assert "did you mean 'methods'" in message


def test_what_a_project_method_names_is_found_in_the_project(own):
    run = Run({"papers": []}, here())
    found = run.named_file("config/methods/elastix-bspline.txt", "methods")
    assert Path(found) == ROOT / "config/methods/elastix-bspline.txt"
    (own / "methods" / "own.txt").write_text("x", encoding="utf-8")
    # Of one's own folder relative, so that it may move.
    assert run.named_file("own.txt", "methods") == "methods/own.txt"


def test_models_that_are_made_lie_in_it(own):
    known = Models(here())
    assert "abdomen-generated-sym" in known.known()
    assert known.file("abdomen-generated-sym", "json").parent == ROOT / "models"
    # Even of a name that the project has: its own file is not written over.
    assert known.new_file("abdomen-generated-sym", "json").parent == own / "models"


NETWORK = """
from warpline.networks import RegistrationNetwork


class Network(RegistrationNetwork):
    def __init__(self, width=1):
        super().__init__()
        self.width = width
"""


def test_a_network_beside_its_recipe_is_found_by_the_jobs(own):
    (own / "methods" / "mynet.py").write_text(NETWORK, encoding="utf-8")
    environment = {NETWORKS: os.pathsep.join(map(str, here().networks()))}
    code = (
        "from warpline.networks import build, names\n"
        "assert {'mynet', 'hu2020'} <= set(names())\n"
        "print(build('mynet', {'width': 3}).width)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == "3"


def test_a_changed_network_of_ones_own_is_trained_anew(own, monkeypatch):
    monkeypatch.setenv(NETWORKS, str(own / "methods"))

    def version(text: str) -> str:
        (own / "methods" / "mynet.py").write_text(text, encoding="utf-8")
        for remembered in (fingerprint._path, fingerprint._parsed, fingerprint._definition):
            remembered.cache_clear()
        return code_version(None, "warpline.networks.mynet")

    first = version(NETWORK)
    assert version(NETWORK.replace("width=1", "width=2")) != first
    assert version(f"# a remark\n{NETWORK}") == first
    fingerprint._path.cache_clear()


def test_a_network_by_the_name_of_one_of_the_projects_is_refused(own):
    (own / "methods" / "hu2020.py").write_text(NETWORK, encoding="utf-8")
    message = refusal(here().networks)
    assert "The project itself has a network 'hu2020'" in message
    assert "methods/hu2020.py" in message


def test_a_snakefile_from_a_server_is_that_of_the_installed_project():
    assert installed(ROOT) == ROOT
    assert installed("https://example.org/warpline/raw") == project_folder() == ROOT
