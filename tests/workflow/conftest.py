"""A copy of the project in an empty folder, and Snakemake run in it as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "scripts", "src", "workflow")


def trains(path: Path) -> bool:
    """Whether a method file, or the one that it extends, is a network's recipe."""
    method = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "extends" in method:
        return trains(path.with_name(f"{method['extends']}.yaml"))
    return method["kind"] == "network"


# The demo with fewer cases and one epoch: every rule, no learning worth the name.
TINY = {
    "scale": "demo",
    "papers": ["estienne2020", "bouabid2019", "sokooti2017", "hansen2020", "hu2020"],
    "threads": 1,
    "memory_mb": 1000,
    "override": {
        "datasets": {
            "hippocampus": {"cases": {"train": 3, "val": 2}, "cases_per_job": 3},
            "abdomen": {
                "cases": {"train": 3, "val": 2},
                "cases_per_job": 5,
                "phantom": {"kind": "abdomen", "seed": 2020, "parameters": {"coarser": 10}},
                "prepare": [
                    {"orient": {}},
                    {"pad_crop": {"shape": [24, 16, 20], "fill": "minimum"}},
                ],
            },
            "tcia-pancreas": {"cases": {"train": 1, "val": 1}, "cases_per_job": 2},
            "abdomen-annotated": {
                "members": dict.fromkeys(("msd-liver", "msd-pancreas", "msd-spleen", "kits19"))
            },
            "abdomen-public": {"members": {"msd-hepaticvessel": None}},
            "msd-colon": {"cases": {"train": 1}, "cases_per_job": 1},
            # Nobody learns to segment in one epoch.
            "abdomen-noisy": {"noisy_labels": {"limits": {"dropped": 11}}, "cases_per_job": 3},
            "oasis": {"cases": {"train": 2}, "cases_per_job": 2},
            "luna16": {
                "phantom": {
                    "kind": "luna16",
                    "seed": 2019,
                    "parameters": {"size": 32, "spacing_xy": [11.0, 12.5]},
                },
                "cases": {"train": 3, "test": 2},
                "cases_per_job": 5,
                "prepare": [
                    {"orient": {}},
                    {"clip_background": {}},
                    {"resample": {"spacing": [8, 8, 8]}},
                    {"resize": {"shape": [16, 16, 16]}},
                    {"zscore": {}},
                    {"unit_frame": {}},
                ],
            },
            "followup": {
                "phantom": {
                    "kind": "followup",
                    "seed": 2017,
                    "parameters": {"spacing": [8, 8, 10], "landmarks": 20},
                },
                "cases": {"train": 2, "val": 2, "test": 2},
                "prepare": [
                    {"segment_lungs": {}},
                    {"orient": {}},
                    {"clip_background": {}},
                    {"resample": {"spacing": [8, 8, 8]}},
                ],
            },
            "dirlab-4dct": {
                "phantom": {
                    "kind": "dirlab-4dct",
                    "seed": 2009,
                    "parameters": {"diaphragm": [15, 25], "landmarks": 20},
                },
                "scans": {
                    case: {"size": [40, 36, 32], "spacing": [8, 8, 8]}
                    for case in ("case1", "case2", "case6", "case7")
                },
            },
            "chest": {
                "phantom": {
                    "kind": "subjects",
                    "seed": 2020,
                    "parameters": {"spacing": [12, 12, 12]},
                },
                "cases": {"train": 4, "test": 2},
                "cases_per_job": 6,
                "prepare": [
                    {"labels_of_mask": {}},
                    {"orient": {}},
                    {"clip_background": {}},
                    {"window": {"low": -1000, "high": 500}},
                ],
                "prealign": {
                    "shape": [28, 20, 28],
                    "parameters": {
                        "NumberOfResolutions": 1,
                        "ImagePyramidSchedule": [1, 1, 1],
                        "MaximumNumberOfIterations": 20,
                    },
                },
            },
        },
        "methods": {
            path.stem: {"training": {"epochs": 1, "batch_size": 1 if "bouabid" in path.stem else 3}}
            for path in sorted((ROOT / "config" / "methods").glob("*.yaml"))
            if trains(path)
        },
    },
}
BOX = [{"crop_to_mask": {"margin": 6}}, {"resize": {"shape": [16, 16, 16]}}]
TWO_LEVELS = {"encoder": [4, 4], "decoder": [4, 4, 4, 4, 4], "levels": 2}
TINY["override"]["methods"]["hansen2020-features"] |= {
    "prepare": BOX,
    "network": {"parameters": {"encoder": [4, 4, 4], "decoder": [4, 4]}},
}
TINY["override"]["methods"]["hansen2020-features"]["training"]["sampling"] = {
    "crop": 8, "crops": 2
}  # fmt: skip
TINY["override"]["methods"]["hansen2020-voxelmorph"] |= {
    "initial": "identity",  # loading elastix takes longer than all else of this paper's
    "prepare": [*BOX, {"clip": {"low": -1000, "high": 400}}, {"rescale": {}}],
    "network": {"parameters": TWO_LEVELS},
}
TINY["override"]["methods"]["hansen2020-512"] = {
    "embedding": {
        "keypoints": 40, "erosion": 0, "components": 8, "radius": 2, "shape": [32, 28, 32]
    }
}  # fmt: skip
for method in ("hu2020-voxelmorph", "hu2020-landmarks"):
    TINY["override"]["methods"][method] |= {
        "network": {"parameters": {"encoder": [4, 4], "decoder": [4, 4, 4, 4, 4]}},
        "samples": 2,
    }
TINY["override"]["methods"]["estienne2020-task3-segmenter"]["training"]["sampling"] = {
    "crop": 16, "crops": 1
}  # fmt: skip
FEW_PATCHES = {"fields": 1, "patches": 4, "validation_patches": 4, "in_memory": 1, "block": 1}
for method in TINY["override"]["methods"]:
    if method.startswith("sokooti"):
        TINY["override"]["methods"][method]["training"]["sampling"] = FEW_PATCHES
for stage in ("affine", "bspline-1r", "bspline-3r"):
    TINY["override"]["methods"][f"sokooti2017-{stage}"] = {
        "parameters": {"MaximumNumberOfIterations": 20}
    }


def of_one_dataset(path: Path) -> dict:
    """Hansen & Heinrich's paper on 4D-CT alone, without rows that only repeat what others do.

    Each fold of a method that learns takes up to four jobs, and starting them is what takes time.
    """
    paper = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def without_tools(path: Path) -> dict:
    """Hu et al.'s paper without rows of elastix and ANTs, which another paper's rows run already.

    Loading either takes longer than all else of this paper's.
    """
    paper = yaml.safe_load(path.read_text(encoding="utf-8"))
    left_out = ("hu2020-elastix", "hu2020-syn")
    for table in paper["tables"].values():
        table["rows"] = [row for row in table["rows"] if row["method"] not in left_out]
    for figure in paper["figures"].values():
        figure["experiments"] = [
            row for row in figure["experiments"] if row["method"] not in left_out
        ]
    return {kind: paper[kind] for kind in ("tables", "figures")}


TINY["override"]["papers"] = {
    "hansen2020": of_one_dataset(ROOT / "config" / "papers" / "hansen2020.yaml"),
    "hu2020": without_tools(ROOT / "config" / "papers" / "hu2020.yaml"),
}


@dataclass
class Project:
    """A working copy of the project."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        # Only the copy's own library may be found, and no user's settings.
        return {**os.environ, "XDG_CACHE_HOME": str(self.folder / ".cache")}

    def snakemake(self, *arguments: str, ok: bool = True) -> str:
        """Run Snakemake; its whole output. `ok` says whether it must succeed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output[-6000:]
        return output

    def start(self, *arguments: str, **options: object) -> subprocess.Popen:
        """Snakemake in the background, without its output."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )

    def write(self, name: str, value: object) -> Path:
        """Write a YAML file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
        return path


def copy_project(folder: Path) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(source, folder / part)
    project = Project(folder)
    project.write("tiny.yaml", TINY)
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny demo of all papers, run to its end once for all tests; tests must not change it."""
    project = copy_project(tmp_path_factory.mktemp("finished") / "warpline")
    project.log = project.snakemake("--configfile", "tiny.yaml")
    return project


@pytest.fixture(scope="session")
def new_project(tmp_path_factory) -> Callable[[str], Project]:
    """Makes fresh copies, for tests that look at one run together."""
    return lambda name: copy_project(tmp_path_factory.mktemp(name) / "warpline")


@pytest.fixture
def project(tmp_path) -> Project:
    """A fresh copy."""
    return copy_project(tmp_path / "warpline")


@pytest.fixture
def copy(finished, tmp_path) -> Project:
    """A copy of the finished run, with its times, to change."""
    target = tmp_path / "warpline"
    shutil.copytree(finished.folder, target, symlinks=True)
    return Project(target)
