"""Configuration files: strict, with defaults, scales and errors that name file, key and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog
from warpline.plan.config import at_scale, merge, read_yaml, validate

ROOT = Path(__file__).parents[2]
METHOD = "estienne2020-task4-baseline"


@pytest.fixture
def root(tmp_path) -> Path:
    """A copy of the project's configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow" / "schemas", tmp_path / "workflow" / "schemas")
    return tmp_path


def change(path: Path, *keys: str | int, value: object) -> None:
    """Set one value inside a YAML file."""
    content = inner = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def load(root: Path, kind: str, name: str, scale: str = "cpu") -> object:
    catalog = Catalog({"scale": scale}, root)
    return {"datasets": catalog.dataset, "methods": catalog.method, "papers": catalog.paper}[kind](
        name
    )


def refusal(call, *arguments, **keywords) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments, **keywords)
    return str(error.value)


# Typos ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "keys", "typo", "known"),
    [
        ("datasets", "hippocampus", (), "case_shet", "case_sheet"),
        ("datasets", "hippocampus", ("pairs", "val"), "form", "from"),
        ("datasets", "hippocampus", ("archives", "Task04_Hippocampus.tar"), "source", "sources"),
        ("methods", METHOD, (), "trianing", "training"),
        ("methods", METHOD, ("training", "optimiser"), "learning_rat", "learning_rate"),
        ("methods", METHOD, ("training", "augmentation"), "flipp", "flip"),
        ("methods", METHOD, ("network",), "parameter", "parameters"),
        ("papers", "estienne2020", (), "figure", "figures"),
        ("papers", "estienne2020", ("tables", "table1"), "colums", "columns"),
        ("papers", "estienne2020", ("tables", "table1", "columns", "dice"), "decimal", "decimals"),
        ("papers", "estienne2020", ("tables", "table1", "rows", 0), "methd", "method"),
        ("papers", "estienne2020", ("figures", "dice"), "metrc", "metric"),
    ],
)
def test_a_misspelt_key_is_refused_with_its_place_and_the_nearest_key(
    root, kind, name, keys, typo, known
):
    load(root, kind, name)
    change(root / "config" / kind / f"{name}.yaml", *keys, typo, value=1)
    message = refusal(load, root, kind, name)
    assert f"config/{kind}/{name}.yaml" in message
    path = ".".join(map(str, (*keys, typo)))
    assert f"{path}: unknown key; did you mean '{known}'?" in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"devise": "cpu"}, "devise: unknown key; did you mean 'device'?"),
        (
            {"studies": {"own": {"datasets": ["a"], "methods": ["b"], "splt": "val"}}},
            "studies.own.splt: unknown key; did you mean 'split'?",
        ),
        (
            {"override": {"dataset": {"hippocampus": {}}}},
            "override.dataset: unknown key; did you mean 'datasets'?",
        ),
        ({"scale": "dmo"}, "scale: 'dmo' is not one of ['demo', 'cpu', 'paper']; did you mean"),
        ({"threads": "two"}, "threads: 'two' is not of type 'integer'"),
        ({"threads": 0}, "threads: 0 is less than the minimum of 1"),
        ({"papers": "estienne2020"}, "papers: 'estienne2020' is not of type 'array'"),
        ({"papers": ["estienne2020"] * 2}, "papers: ['estienne2020', 'estienne2020'] has non-"),
        ({"studies": {"my study": {"datasets": ["a"], "methods": ["b"]}}}, "'my study' does not"),
        ({"override": {"methods": {"identity": "x"}}}, "override.methods.identity: 'x' is not of"),
    ],
)
def test_the_run_s_configuration_is_checked(keys, message):
    text = refusal(Catalog, keys, ROOT)
    assert message in text
    assert "where: config/config.yaml and --config" in text


@pytest.mark.parametrize(
    ("kind", "known", "typo"),
    [("datasets", "hippocampus", "hipocampus"), ("methods", "identity", "identiy")],
)
def test_an_override_of_a_file_that_is_not_there_is_refused(kind, known, typo):
    message = refusal(Catalog, {"override": {kind: {typo: {"title": "x"}}}}, ROOT)
    assert f"There is no '{typo}' in config/{kind}." in message
    assert f"Did you mean '{known}'?" in message
    assert f"override.{kind}" in message


@pytest.mark.parametrize(
    ("kind", "name", "typo", "known"),
    [
        ("datasets", "hippocampus", "cases_per_jop", "cases_per_job"),
        ("methods", METHOD, "sed", "seed"),
    ],
)
def test_a_typo_inside_a_scale_is_refused_whatever_scale_runs(root, kind, name, typo, known):
    change(root / "config" / kind / f"{name}.yaml", "scales", "demo", typo, value=1)
    for scale in ("paper", "demo"):
        message = refusal(load, root, kind, name, scale)
        assert f"{typo}: unknown key; did you mean '{known}'?" in message
        assert f"config/{kind}/{name}.yaml (scale demo)" in message


def test_an_unknown_scale_in_a_file_is_refused(root):
    change(root / "config/datasets/hippocampus.yaml", "scales", "dem", value={})
    message = refusal(load, root, "datasets", "hippocampus")
    assert "scales.dem: unknown key; did you mean 'demo'?" in message


def test_all_violations_are_told_at_once(root):
    path = root / "config" / "methods" / f"{METHOD}.yaml"
    change(path, "kind", value="netwrk")
    change(path, "training", "epochs", value="many")
    change(path, "training", "bach_size", value=2)
    change(path, "loss", "similarity", "name", value="local_nc")
    message = refusal(load, root, "methods", METHOD)
    assert "kind: 'netwrk' is not one of" in message
    assert "did you mean 'network'?" in message
    assert "training.epochs: 'many' is not of type 'integer'" in message
    assert "training.bach_size: unknown key; did you mean 'batch_size'?" in message
    assert "loss.similarity.name: 'local_nc' is not one of" in message
    assert "did you mean 'local_ncc'?" in message
    assert "docs/reference/configuration.md" in message


@pytest.mark.parametrize("value", [0, -1, 1.5, "0", "one"])
def test_a_label_is_a_positive_integer(root, value):
    change(root / "config/datasets/hippocampus.yaml", "labels", value={value: "head"})
    assert "labels: " in refusal(load, root, "datasets", "hippocampus")


def test_a_label_may_be_written_as_a_number_or_as_text(root):
    change(root / "config/datasets/hippocampus.yaml", "labels", value={1: "head", "12": "tail"})
    assert load(root, "datasets", "hippocampus").spec["labels"] == {1: "head", "12": "tail"}


def test_a_rule_from_a_sheet_needs_its_file(root):
    change(root / "config/datasets/hippocampus.yaml", "pairs", "val", value={"from": "sheet"})
    message = refusal(load, root, "datasets", "hippocampus")
    assert "pairs.val: 'file' is a required property" in message


def test_a_row_with_a_method_needs_its_dataset_and_split(root):
    path = root / "config/papers/estienne2020.yaml"
    change(path, "tables", "table1", "rows", value=[{"id": "a", "title": "A", "method": "x"}])
    message = refusal(load, root, "papers", "estienne2020")
    assert "tables.table1.rows.0: 'dataset' is a dependency of 'method'" in message
    assert "tables.table1.rows.0: 'split' is a dependency of 'method'" in message


def test_a_box_plot_needs_its_metric(root):
    path = root / "config/papers/estienne2020.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["figures"]["dice"]
    del spec["metric"]
    change(path, "figures", "dice", value=spec)
    message = refusal(load, root, "papers", "estienne2020")
    assert "figures.dice: 'metric' is a required property" in message


# Defaults ---------------------------------------------------------------------------------------


def test_defaults_are_filled_in_at_every_depth():
    config = Catalog({}, ROOT).config
    assert config["scale"] == "demo"
    assert config["device"] == "auto"
    assert config["papers"] == ["estienne2020"]
    assert config["override"] == {"datasets": {}, "methods": {}, "papers": {}}
    training = Catalog({"scale": "paper"}, ROOT).method(METHOD)["training"]
    assert training["splits"] == ["train"]
    assert training["optimiser"]["weight_decay"] == 0
    validation = {"split": "val", "every": 5, "pairs": None, "measure": "loss"}
    assert training["validation"] == validation
    assert training["patience"] is None


def test_defaults_do_not_change_what_was_given_and_are_not_shared():
    schema = {"properties": {"a": {"default": []}, "b": {"default": 1}}}
    given = {"b": 2}
    first, second = validate(given, schema, "x"), validate(given, schema, "x")
    first["a"].append(1)
    assert second == {"a": [], "b": 2}
    assert given == {"b": 2}
    assert schema["properties"]["a"]["default"] == []


# Merging ----------------------------------------------------------------------------------------


def test_merge_goes_key_by_key_and_replaces_everything_else():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    over = {"a": {"y": [3]}, "b": {"new": 1}, "c": None}
    merged = merge(base, over)
    assert merged == {"a": {"x": 1, "y": [3]}, "b": {"new": 1}, "c": None}
    merged["a"]["y"].append(4)
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    assert over["a"]["y"] == [3]


def test_a_scale_is_laid_over_the_published_setting():
    value = {"a": {"x": 1, "y": 2}, "scales": {"demo": {"a": {"x": 9}}, "cpu": None}}
    assert at_scale(value, "demo") == {"a": {"x": 9, "y": 2}}
    assert at_scale(value, "cpu") == {"a": {"x": 1, "y": 2}}
    assert at_scale(value, "paper") == {"a": {"x": 1, "y": 2}}


# YAML -------------------------------------------------------------------------------------------


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice", "line 3"),
        ("a: {b: 1, c: 2, b: 1}\n", "the key 'b' stands twice", "line 1"),
        ("a: [1, 2\nb: 3\n", "not valid YAML", "line 2"),
        ("a: {{b}}\n", "unhashable key", "line 1"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(tmp_path, text, message, line):
    path = write(tmp_path, text)
    text = refusal(read_yaml, path)
    assert message in text
    assert line in text
    assert f"where: {path}" in text


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "word\n"])
def test_a_file_without_a_mapping_is_refused(tmp_path, text):
    assert "must hold a mapping" in refusal(read_yaml, write(tmp_path, text))


def test_text_that_is_not_utf8_is_refused(tmp_path):
    assert "not UTF-8" in refusal(read_yaml, write(tmp_path, "a: \xe9".encode("latin-1")))


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    assert "cannot be read" in refusal(read_yaml, tmp_path)


def test_a_missing_file_is_named_with_its_nearest_neighbour(tmp_path):
    write(tmp_path, "a: 1")
    message = refusal(read_yaml, tmp_path / "fiel.yaml")
    assert "does not exist" in message
    assert "Did you mean 'file.yaml'?" in message
    assert "Check the name." in refusal(read_yaml, tmp_path / "nowhere" / "file.yaml")


def test_a_mapping_within_itself_is_no_endless_search(tmp_path):
    value = read_yaml(write(tmp_path, "a: &a {b: [*a]}\n"))
    assert value["a"]["b"][0] is value["a"]


def test_merge_keys_may_be_overridden(tmp_path):
    text = "z: &z {p: 1}\na: &a {<<: *z, p: 2, q: 0}\nb: {<<: *a, q: 3}\n"
    value = read_yaml(write(tmp_path, text))
    assert value == {"z": {"p": 1}, "a": {"p": 2, "q": 0}, "b": {"p": 2, "q": 3}}


def test_a_typo_is_told_of_the_file_where_it_stands():
    """Not of the file that an override is laid over, nor of the whole configuration."""
    override = {"methods": {"affine": {"titel": "A"}}}
    sources = {"config/config.yaml": {"papers": []}, "mine.yaml": {"override": override}}
    own = {"papers": [], "override": override}
    catalog = Catalog(own, ROOT, sources)
    text = refusal(catalog.method, "affine")
    assert "titel: unknown key; did you mean 'title'?" in text
    assert "where: key 'override.methods.affine' of mine.yaml, over config/methods/affine.y" in text
    sources = {"config/config.yaml": {"papers": []}, "mine.yaml": {"sceds": 3}, "--config": {}}
    text = refusal(Catalog, {"papers": [], "sceds": 3}, ROOT, sources)
    assert "where: mine.yaml" in text


def test_a_file_s_own_typo_is_not_told_of_an_override_over_it(root):
    file = root / "config" / "methods" / "affine.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "titel: A\n", encoding="utf-8")
    override = {"methods": {"affine": {"title": "B"}}}
    sources = {"mine.yaml": {"override": override}}
    text = refusal(Catalog({"override": override}, root, sources).method, "affine")
    assert "titel: unknown key" in text
    assert "where: config/methods/affine.yaml" in text


def test_a_typo_in_an_extended_file_is_told_of_that_file(root):
    (root / "config" / "methods" / "one.yaml").write_text("extends: affine\n", encoding="utf-8")
    file = root / "config" / "methods" / "affine.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "titel: A\n", encoding="utf-8")
    override = {"methods": {"one": {"title": "B"}}}
    text = refusal(Catalog({"override": override}, root).method, "one")
    assert "where: config/methods/affine.yaml" in text
