"""The configuration of the five papers' smallest run: papers.yaml, one epoch, no row twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from warpline.plan.config import merge

ROOT = Path(__file__).parents[1]


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def trains(path: Path) -> bool:
    """Whether a method file, or the one that it extends, is a network's recipe."""
    method = read(path)
    if "extends" in method:
        return trains(path.with_name(f"{method['extends']}.yaml"))
    return method["kind"] == "network"


def of_one_dataset(paper: dict[str, Any]) -> dict[str, Any]:
    """Hansen & Heinrich's paper on 4D-CT alone, without rows that only repeat what others do.

    Each fold of a method that learns takes up to four jobs, and starting them is what takes time.
    """
    for table in paper["tables"].values():
        table["rows"] = [
            row
            for row in table["rows"]
            if "method" not in row
            or (row["set"] == "4D-CT" and row["id"] in ("initial", "voxelmorph", "ours-512"))
        ]
    kept = {row.get("method") for table in paper["tables"].values() for row in table["rows"]}
    for figure in paper["figures"].values():
        figure["experiments"] = [
            {**row, "dataset": "dirlab-4dct"}
            for row in figure["experiments"]
            if row["method"] in kept
        ]
    return {kind: paper[kind] for kind in ("tables", "figures")}


def without_tools(paper: dict[str, Any]) -> dict[str, Any]:
    """Hu et al.'s paper without rows of elastix and ANTs, which another paper's rows run already.

    Loading either takes longer than all else of this paper's.
    """
    left_out = ("hu2020-elastix", "hu2020-syn")
    for table in paper["tables"].values():
        table["rows"] = [row for row in table["rows"] if row["method"] not in left_out]
    for figure in paper["figures"].values():
        figure["experiments"] = [
            row for row in figure.get("experiments", []) if row["method"] not in left_out
        ]
    return {kind: paper[kind] for kind in ("tables", "figures")}


def five_papers() -> dict[str, Any]:
    """What papers.yaml says, with what follows from the files of config/."""
    config = ROOT / "config"
    one_epoch = {
        path.stem: {"training": {"epochs": 1, "batch_size": 1 if "bouabid" in path.stem else 3}}
        for path in sorted((config / "methods").glob("*.yaml"))
        if trains(path)
    }
    papers = {
        "hansen2020": of_one_dataset(read(config / "papers/hansen2020.yaml")),
        "hu2020": without_tools(read(config / "papers/hu2020.yaml")),
    }
    follows = {"override": {"methods": one_epoch, "papers": papers}}
    return merge(read(Path(__file__).with_name("papers.yaml")), follows)
