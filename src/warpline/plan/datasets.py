"""The datasets, those made of others included."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.dataset import Dataset
from warpline.plan.loading import ConfigFiles
from warpline.plan.methods import Methods
from warpline.plan.pairs import MEMBER
from warpline.plan.sheets import first_of_each, read_case_sheet, refuse_shared_scans
from warpline.plan.sources import BY_PATH, BY_PATTERN
from warpline.registry import suggestion

# What an override can set to null, in words.
LEFT_OUT = {"archives": "archive", "per_case": "file per case", "pairs": "rule of pairs for"}


class Datasets:
    """The datasets, each read when asked for and checked when read."""

    def __init__(self, files: ConfigFiles, methods: Methods):
        self.files, self.methods = files, methods
        self._datasets: dict[str, Dataset] = {}

    def get(self, name: str) -> Dataset:
        """A dataset by the name of its file."""
        if name not in self._datasets:
            spec = self.files.load("datasets", name, "dataset")
            if "members" in spec:
                self._datasets[name] = self._merged(name, spec)
                return self._datasets[name]
            for key in LEFT_OUT:
                spec[key] = self._left_in(name, key, spec[key])
            if spec["cases"]:
                spec["cases"] = {split: n for split, n in spec["cases"].items() if n is not None}
            file = self.files.told("datasets", name)
            sheet = self._sheet(spec)
            for rule in spec["pairs"].values():
                if "file" in rule:
                    # Relative, so that the project may move without being trained anew.
                    rule["file"] = os.path.relpath(self.files.places.find(rule["file"], "datasets"))
            dataset = Dataset(name, spec, read_case_sheet(sheet, spec["cases"]), file)
            if spec["folder"] and spec["format"] in (*BY_PATH, *BY_PATTERN):
                refuse_shared_scans(read_case_sheet(sheet), spec["folder"], sheet)
            self._check_per_case(name, spec["per_case"], sheet)
            self._datasets[name] = dataset  # before others are asked for, which may ask for this
            if spec["prealign"]:
                other = spec["prealign"]["dataset"]
                if other not in (None, name):
                    where = f"{self.files.told('datasets', name)}, key 'prealign.dataset'"
                    self.files.path("datasets", other, where)
                (dataset if other in (None, name) else self.get(other)).row(
                    spec["prealign"]["reference"]
                )
            if spec["atlas"] or any(rule["from"] == "atlas" for rule in spec["pairs"].values()):
                dataset.atlas_candidates()
        return self._datasets[name]

    def _sheet(self, spec: Mapping[str, Any]) -> Path:
        return self.files.places.find(spec["case_sheet"], "datasets")

    def _merged(self, name: str, spec: dict[str, Any]) -> Dataset:
        """A dataset made of others' cases, each called <dataset>.<case>."""
        file = self.files.told("datasets", name)
        spec["members"] = {key: value for key, value in spec["members"].items() if value}
        rows = []
        for member, splits in spec["members"].items():
            where = f"{file}, key 'members.{member}'"
            if "members" in self.files.alone("datasets", member, where):
                raise WarplineError(
                    f"The dataset '{member}' is itself made of others.",
                    where=where,
                    do="Name what it is made of.",
                )
            data = self.get(member)
            known = {split: own for own, given in splits.items() for split in given or ()}
            listed = {row["split"] for row in read_case_sheet(self._sheet(data.spec))}
            for split in known:
                if split not in listed:  # one that only this run has no case of will do
                    raise WarplineError(
                        f"The dataset '{member}' has no split '{split}'.",
                        where=where,
                        do=suggestion(split, listed),
                    )
            rows += [
                row
                | {"split": known[row["split"]]}
                | {key: f"{member}{MEMBER}{row[key]}" for key in ("case", "patient")}
                for row in data.cases
                if row["split"] in known
            ]
        spec["case_sheet"] = file
        merged = Dataset(name, spec, tuple(first_of_each(rows, spec["cases"], file)), file)
        noisy = spec["noisy_labels"]
        if noisy:
            where = f"{file}, key 'noisy_labels"
            self.files.path("datasets", noisy["dataset"], f"{where}.dataset'")
            self.files.path("methods", noisy["method"], f"{where}.method'")
            self.methods.check_objective(noisy["method"], "segmentation", f"{where}.method'")
        return merged

    def _check_per_case(self, name: str, files: Mapping[str, Any], sheet: Path) -> None:
        """Refuse files for a split that no case has, be it limited to none in this run or not."""
        named = {kind: set(entry["splits"]) for kind, entry in files.items() if entry["splits"]}
        known = {row["split"] for row in read_case_sheet(sheet)} if named else set()
        for kind, splits in named.items():
            for split in sorted(splits - known):
                raise WarplineError(
                    f"The dataset '{name}' has no split '{split}'.",
                    where=f"{self.files.told('datasets', name)}, key 'per_case.{kind}.splits'",
                    do=suggestion(split, known),
                )

    def _left_in(self, name: str, key: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        """A dataset's archives, files or pairs, without what an override or a scale took out."""
        known = self.files.alone("datasets", name).get(key) or {}
        for entry, value in entries.items():
            if value is None and entry not in known:
                raise WarplineError(
                    f"There is no {LEFT_OUT[key]} '{entry}' to leave out of the dataset '{name}'.",
                    where=f"key 'override.datasets.{name}.{key}' of the configuration",
                    do=suggestion(entry, known),
                )
        return {entry: value for entry, value in entries.items() if value is not None}
