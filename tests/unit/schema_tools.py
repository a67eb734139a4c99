"""Settings and entries as their files leave them: the rest is the schema's default."""

from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.phantoms.providers.request import Phantom
from warpline.plan.config import read_yaml, validate
from warpline.plan.inputs.acquire import FORMAT_KEYS
from warpline.tables.entry import TableEntry

SCHEMAS = Path(__file__).parents[2] / "workflow/schemas"
SCHEMA, PAPER, DATASET = (
    read_yaml(SCHEMAS / f"{name}.schema.yaml") for name in ("method", "paper", "dataset")
)


def sampling_of(objective: str, **changes) -> dict:
    """``training.sampling`` of a recipe with an objective."""
    training = {"epochs": 1, "objective": objective, "sampling": changes}
    spec = {"title": "t", "kind": "network", "training": training}
    return validate(spec, SCHEMA, "a test")["training"]["sampling"]


def augmentation_of(**changes) -> dict:
    """``training.augmentation`` of a recipe."""
    training = {"epochs": 1, "augmentation": changes}
    spec = {"title": "t", "kind": "network", "training": training}
    return validate(spec, SCHEMA, "a test")["training"]["augmentation"]


def limits_of(**changes) -> dict:
    """``noisy_labels.limits`` of a dataset made of others."""
    noisy = {"dataset": "d", "method": "m", "limits": changes}
    spec = {"title": "t", "labels": {}, "members": {"a": {"train": ["train"]}}}
    return validate(spec | {"noisy_labels": noisy}, DATASET, "a test")["noisy_labels"]["limits"]


def embedding_of(components: int, **changes) -> dict:
    """``embedding`` of a method of that kind."""
    embedding = {"components": components, **changes}
    spec = {"title": "t", "kind": "embedding", "embedding": embedding}
    return validate(spec, SCHEMA, "a test")["embedding"]


def warpline_of(**changes) -> dict:
    """``warpline`` of a method of that kind."""
    spec = {"title": "t", "kind": "warpline", "warpline": changes}
    return validate(spec, SCHEMA, "a test")["warpline"]


def table_of(table: dict) -> TableEntry:
    """A paper's table."""
    return TableEntry.of(table_spec(table))


def table_spec(table: dict) -> dict:
    """The same with its defaults; rows of single pairs are as the plan makes them."""
    pair = ("fixed", "moving")
    own = [{key: value for key, value in row.items() if key not in pair} for row in table["rows"]]
    tables = {"t": {**table, "rows": own}}
    paper = {"title": "t", "citation": "c", "tables": tables}
    checked = validate(paper, PAPER, "a test")["tables"]["t"]
    for row, given in zip(checked["rows"], table["rows"], strict=True):
        row.update({key: given[key] for key in pair if key in given})
    return checked


def told_of(**keys) -> dict:
    """What a format is told of a dataset; ``patients`` and the places of files are of no file."""
    places = ("patients", "per_case_folder", "per_case_digests", "own")
    spec = {"title": "t", "format": "folder", "labels": {}, "case_sheet": "sheet", "prepare": []}
    spec |= {key: value for key, value in keys.items() if key not in places}
    checked = validate(spec, DATASET, "a test")
    told = {key: checked[key] for key in FORMAT_KEYS}
    told |= {"patients": [], "per_case": {}, "own": False}
    return told | {key: keys[key] for key in (*places, "per_case") if key in keys}


def files_of(**keys) -> DatasetFiles:
    """The same as formats get it."""
    return DatasetFiles.of(told_of(**keys))


def asked(**keys) -> Phantom:
    """A phantom as its provider gets it."""
    return Phantom.of(phantom_of(**keys))


def phantom_of(scans: dict | None = None, **phantom) -> dict:
    """A phantom of a dataset file and its scans."""
    told = told_of(phantom={"kind": "k", **phantom}, scans=scans or {})
    return {**told["phantom"], "scans": told["scans"]}
