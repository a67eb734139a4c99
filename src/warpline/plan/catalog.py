"""What a run consists of: the configuration, its datasets, methods, papers and experiments.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.config import at_scale, merge, read_yaml, validate
from warpline.plan.datasets import Dataset
from warpline.plan.pairs import ATLAS, MEMBER, Pair, pair_batches
from warpline.plan.sheets import first_of_each, read_case_sheet
from warpline.registry import suggestion

STUDY_COLUMNS = {
    "dice": {"title": "Dice", "metric": "dice", "better": "higher"},
    "hd95": {"title": "HD95", "metric": "hd95", "better": "lower", "decimals": 2, "unit": "mm"},
    "tre": {"title": "TRE", "metric": "tre", "better": "lower", "decimals": 2, "unit": "mm"},
    "cc": {"title": "CC", "metric": "cc", "better": "higher"},
    "sdlogj": {"title": "SD log J", "metric": "sdlogj", "better": "lower"},
    "folds": {"title": "Folds", "metric": "folding_fraction", "better": "lower", "decimals": 5},
    "seconds": {
        "title": "Time",
        "metric": "seconds",
        "better": "lower",
        "decimals": 2,
        "unit": "s",
    },
}

# Of a row's split: not its pairs, but pairs made of its cases by fields that are known.
SYNTHETIC = "-synthetic"
# Of a row's split: not its pairs, but the organs of its cases as a segmenter finds them.
SEGMENTED = "-segmented"
_ERROR = {"better": "lower", "decimals": 2, "unit": "mm", "over": "labels"}


def _between(above: float, at_most: float) -> dict[str, Any]:
    """Patches whose true displacement has a length between these, mm."""
    return {"metric": "displacement", "above": above, "at_most": at_most}


# What a method must be trained for, by the suffix of its row's split.
CASE_SUFFIXES = {SYNTHETIC: "synthetic", SEGMENTED: "segmentation"}

SYNTHETIC_COLUMNS = {
    "mae": {"title": "MAE", "metric": "mae"} | _ERROR,
    "identity": {"title": "MAE of no displacement", "metric": "mae_identity"}
    | _ERROR
    | {"better": "none"},
    "mae_x": {"title": "MAE x", "metric": "mae_x"} | _ERROR,
    "mae_y": {"title": "MAE y", "metric": "mae_y"} | _ERROR,
    "mae_z": {"title": "MAE z", "metric": "mae_z"} | _ERROR,
    "small": {"title": "MAE up to 1.5 mm", "metric": "mae", "within": _between(0, 1.5)} | _ERROR,
    "medium": {"title": "MAE 1.5–4 mm", "metric": "mae", "within": _between(1.5, 4)} | _ERROR,
    "large": {"title": "MAE 4–8 mm", "metric": "mae", "within": _between(4, 8)} | _ERROR,
}
# Between a recipe and the fold that it is not trained on: <recipe>@<fold> is a method of its own.
HELD_OUT = "@"
NEEDED_KEYS = {
    "network": ("network", "loss", "training"),
    "through_atlas": ("method",),
    "embedding": ("method", "embedding"),
}
# What may differ between embeddings of which one is the beginning of the other.
AFTER_THE_SEARCH = ("components", "neighbours", "strength", "temperature", "corrections")


@dataclass(frozen=True, order=True)
class Experiment:
    """One method on one split of one dataset."""

    dataset: str
    method: str
    split: str


class Catalog:
    """Everything that a run's configuration names, read when asked for and checked when read.

    Parameters
    ----------
    config
        The merged configuration (files and command line).
    root
        The project's folder, with ``config/`` and ``workflow/schemas/``.
    """

    def __init__(self, config: Mapping[str, Any], root: str | os.PathLike = "."):
        self.root = Path(root)
        self._schemas: dict[str, dict[str, Any]] = {}
        self.config = validate(config, self._schema("config"), "config/config.yaml and --config")
        self.scale: str = self.config["scale"]
        for kind, changes in self.config["override"].items():
            for name in changes:
                self._path(kind, name, f"key 'override.{kind}' of the configuration")
        for name in self.config["studies"]:
            if name in self._known("papers"):
                raise WarplineError(
                    f"The study '{name}' has the name of a paper.",
                    where="key 'studies' of the configuration",
                    do="Give it another name.",
                )
        self._datasets: dict[str, Dataset] = {}
        self._methods: dict[str, dict[str, Any]] = {}
        self._papers: dict[str, dict[str, Any]] = {}
        # Asked for once a job or more often, and as long as a cohort.
        self._names: dict[str, dict[Experiment, list[tuple[str, str]]]] = {}
        self._batches: dict[Experiment, dict[str, list[Pair]]] = {}

    def _schema(self, name: str) -> dict[str, Any]:
        if name not in self._schemas:
            path = self.root / "workflow" / "schemas" / f"{name}.schema.yaml"
            self._schemas[name] = read_yaml(path)
        return self._schemas[name]

    def _known(self, kind: str) -> list[str]:
        return sorted(path.stem for path in (self.root / "config" / kind).glob("*.yaml"))

    def _path(self, kind: str, name: str, where: object = None) -> Path:
        """The file of config/<kind> with this name; `where` is what names it, for the error."""
        path = self.root / "config" / kind / f"{name}.yaml"
        if not path.exists():
            raise WarplineError(
                f"There is no '{name}' in config/{kind}.",
                where=where or path,
                do=suggestion(name, self._known(kind)),
            )
        return path

    def _read(self, kind: str, name: str, children: tuple[str, ...] = ()) -> dict[str, Any]:
        """A file of config/<kind> laid over the one that it extends, under this run's override."""
        if name in children:
            raise WarplineError(
                f"The key 'extends' goes in a circle: {' → '.join([*children, name])}.",
                where=self._path(kind, name),
            )
        child = self._path(kind, children[-1]) if children else None
        raw = read_yaml(self._path(kind, name, where=child))
        if "extends" in raw:
            raw = merge(self._read(kind, raw["extends"], (*children, name)), raw)
        return _overridden(raw, self.config["override"][kind].get(name) or {})

    def _load(self, kind: str, name: str, schema: str) -> dict[str, Any]:
        """A file of config/<kind> validated as it is at this run's scale."""
        raw = self._read(kind, name)
        if "extends" in raw:
            self._load(
                kind, raw["extends"], schema
            )  # so that its own file is blamed for its errors
        where = f"config/{kind}/{name}.yaml (scale {self.scale})"
        checked = validate(raw, self._schema(schema), where)
        for other in checked["scales"]:
            place = f"config/{kind}/{name}.yaml (scale {other})"
            validate(at_scale(raw, other), self._schema(schema), place)
        value = validate(at_scale(raw, self.scale), self._schema(schema), where)
        value.pop("scales", None)
        value.pop("extends", None)
        return value

    def dataset(self, name: str) -> Dataset:
        """A dataset by the name of its file."""
        if name not in self._datasets:
            spec = self._load("datasets", name, "dataset")
            if "members" in spec:
                self._datasets[name] = self._merged(name, spec)
                return self._datasets[name]
            for key in ("archives", "per_case"):
                spec[key] = self._left_in(name, key, spec[key])
            sheet = self.root / spec["case_sheet"]
            for rule in spec["pairs"].values():
                if "file" in rule:
                    rule["file"] = str(self.root / rule["file"])
            dataset = Dataset(name, spec, read_case_sheet(sheet, spec["cases"]))
            self._check_per_case(name, spec["per_case"], sheet)
            self._datasets[name] = dataset  # before others are asked for, which may ask for this
            if spec["prealign"]:
                other = spec["prealign"]["dataset"]
                if other not in (None, name):
                    where = f"config/datasets/{name}.yaml, key 'prealign.dataset'"
                    self._path("datasets", other, where)
                (dataset if other in (None, name) else self.dataset(other)).row(
                    spec["prealign"]["reference"]
                )
            if spec["atlas"] or any(rule["from"] == "atlas" for rule in spec["pairs"].values()):
                dataset.atlas_candidates()
        return self._datasets[name]

    def _merged(self, name: str, spec: dict[str, Any]) -> Dataset:
        """A dataset made of others' cases, each called <dataset>.<case>."""
        file = f"config/datasets/{name}.yaml"
        spec["members"] = {key: value for key, value in spec["members"].items() if value}
        rows = []
        for member, splits in spec["members"].items():
            where = f"{file}, key 'members.{member}'"
            self._path("datasets", member, where)
            if "members" in read_yaml(self._path("datasets", member)):
                raise WarplineError(
                    f"The dataset '{member}' is itself made of others.",
                    where=where,
                    do="Name what it is made of.",
                )
            data = self.dataset(member)
            known = {split: own for own, given in splits.items() for split in given}
            for split in known:
                if split not in data.splits:
                    raise WarplineError(
                        f"The dataset '{member}' has no split '{split}'.",
                        where=where,
                        do=suggestion(split, data.splits),
                    )
            rows += [
                row
                | {"split": known[row["split"]]}
                | {key: f"{member}{MEMBER}{row[key]}" for key in ("case", "patient")}
                for row in data.cases
                if row["split"] in known
            ]
        spec["case_sheet"] = file
        merged = Dataset(name, spec, tuple(first_of_each(rows, spec["cases"], file)))
        noisy = spec["noisy_labels"]
        if noisy:
            where = f"{file}, key 'noisy_labels"
            self._path("datasets", noisy["dataset"], f"{where}.dataset'")
            self._path("methods", noisy["method"], f"{where}.method'")
            self._check_objective(noisy["method"], "segmentation", f"{where}.method'")
        return merged

    def _check_objective(self, method: str, objective: str, where: str) -> None:
        """Refuse a method that is not trained for `objective`."""
        if self.method(method).get("training", {}).get("objective") != objective:
            raise WarplineError(
                f"The method '{method}' is not trained for '{objective}'.",
                where=where,
                do=f"Name a recipe with 'objective: {objective}'.",
            )

    def _check_per_case(self, name: str, files: Mapping[str, Any], sheet: Path) -> None:
        """Refuse files for a split that no case has, be it limited to none in this run or not."""
        named = {kind: set(entry["splits"]) for kind, entry in files.items() if entry["splits"]}
        known = {row["split"] for row in read_case_sheet(sheet)} if named else set()
        for kind, splits in named.items():
            for split in sorted(splits - known):
                raise WarplineError(
                    f"The dataset '{name}' has no split '{split}'.",
                    where=f"config/datasets/{name}.yaml, key 'per_case.{kind}.splits'",
                    do=suggestion(split, known),
                )

    def _left_in(self, name: str, key: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        """A dataset's archives or files, without those that an override or a scale took out."""
        known = read_yaml(self._path("datasets", name)).get(key) or {}
        what = "archive" if key == "archives" else "file per case"
        for entry, value in entries.items():
            if value is None and entry not in known:
                raise WarplineError(
                    f"There is no {what} '{entry}' to leave out of the dataset '{name}'.",
                    where=f"key 'override.datasets.{name}.{key}' of the configuration",
                    do=suggestion(entry, known),
                )
        return {entry: value for entry, value in entries.items() if value is not None}

    def method(self, name: str) -> dict[str, Any]:
        """A method by the name of its file; a recipe that leaves out a fold is still the recipe."""
        name = name.partition(HELD_OUT)[0]
        if name not in self._methods:
            spec = self._load("methods", name, "method")
            for key in NEEDED_KEYS.get(spec["kind"], ()):
                if key not in spec:
                    raise WarplineError(
                        f"A method of kind '{spec['kind']}' needs the key '{key}'.",
                        where=f"config/methods/{name}.yaml",
                    )
            if "method" in spec and self.method(spec["method"])["kind"] != "network":
                raise WarplineError(
                    f"The method '{spec['method']}' is no trained network.",
                    where=f"config/methods/{name}.yaml, key 'method'",
                )
            self._check_initial(spec, name)
            self._check_learned_by(spec, name)
            self._methods[name] = {**spec, "seed": spec["seed"] + self.config["seed"]}
        return self._methods[name]

    def _check_initial(self, spec: Mapping[str, Any], name: str) -> None:
        """Refuse an initial registration that is no baseline, or has one of its own."""
        if spec["initial"] is None:
            return
        where = f"config/methods/{name}.yaml, key 'initial'"
        if spec["kind"] == "through_atlas":
            raise WarplineError("This method can have no initial registration.", where=where)
        self._path("methods", spec["initial"], where)
        initial = self._load("methods", spec["initial"], "method")
        if "network" in initial or "method" in initial or initial["initial"] is not None:
            raise WarplineError(
                f"The initial registration '{spec['initial']}' is no baseline of a single step.",
                where=where,
                do="Name one of kind affine or elastix, such as sokooti2017-affine.",
            )

    def _check_learned_by(self, spec: Mapping[str, Any], name: str) -> None:
        """Refuse the embedding of a method that searches otherwise or has too few components."""
        if "learned_by" not in spec:
            return
        where = f"config/methods/{name}.yaml, key 'learned_by'"
        other = self.method(spec["learned_by"])
        if spec["kind"] != "embedding" or other["kind"] != "embedding" or "learned_by" in other:
            raise WarplineError(
                f"The method '{spec['learned_by']}' learns no embedding that this one could use.",
                where=where,
                do="Both must be of kind embedding, and the other one learn its own.",
            )
        own, theirs = (_search(s["embedding"]) | {"method": s["method"]} for s in (spec, other))
        different = sorted(key for key in own | theirs if own.get(key) != theirs.get(key))
        if own != theirs:
            raise WarplineError(
                f"The search of '{spec['learned_by']}' is another one: {', '.join(different)}.",
                where=where,
                do="Give both the same values, or take this key out.",
            )
        most, asked = (s["embedding"]["components"] for s in (other, spec))
        if asked > most:
            raise WarplineError(
                f"The embedding of '{spec['learned_by']}' has {most} components, not {asked}.",
                where=where,
                do="Ask for fewer, or take this key out.",
            )

    def paper(self, name: str) -> dict[str, Any]:
        """A paper by the name of its file, or a study of the configuration in the same form."""
        if name not in self._papers:
            if name in self.config["studies"]:
                paper = self._study(name)
            else:
                paper = self._load("papers", name, "paper")
                for kind in ("tables", "figures"):
                    paper[kind] = {k: v for k, v in paper[kind].items() if v is not None}
                for table in paper["tables"].values():
                    table["rows"] += self._extra_rows(table["rows"])
                    if table["each_pair"]:
                        table["rows"] = [*self._pair_rows(table["rows"]), *table["rows"]]
            _check_names(paper, name)
            self._check_single(paper, name)
            for key, figure in paper["figures"].items():
                if "method" in figure:
                    self.method(figure["method"])
                if figure["kind"] == "noisy_labels":
                    self._check_labelled(figure["dataset"], f"'{name}', key 'figures.{key}'")
                if figure["kind"] == "exploration":
                    self._check_explored(figure["dataset"], f"'{name}', key 'figures.{key}'")
                for row in figure["experiments"]:
                    row.setdefault("title", self.method(row["method"])["title"])
            self._papers[name] = paper
        return self._papers[name]

    def _check_labelled(self, dataset: str, where: str) -> None:
        """Refuse a figure of noisy labels of a dataset that has none."""
        self._path("datasets", dataset, where)
        if not self.labelled_by(dataset):
            raise WarplineError(
                f"The dataset '{dataset}' has no noisy labels to show.",
                where=where,
                do=f"Give config/datasets/{dataset}.yaml the key 'noisy_labels'.",
            )

    def _check_explored(self, dataset: str, where: str) -> None:
        """Refuse a figure of a dataset whose cases are not described when they are prepared."""
        self._path("datasets", dataset, where)
        if not self.dataset(dataset).spec["explore"]:
            raise WarplineError(
                f"The figure explores the dataset '{dataset}', which is not described.",
                where=where,
                do=f"Set 'explore: true' in config/datasets/{dataset}.yaml.",
            )

    def _check_single(self, paper: Mapping[str, Any], name: str) -> None:
        """Refuse measurements on single cases of no split, or by a method not made for them."""
        for key, table in paper["tables"].items():
            for row in table["rows"]:
                if "method" not in row:
                    continue
                where = f"'{name}', key 'tables.{key}.rows', row '{row['id']}'"
                split, suffix = _single(row["split"])
                if not suffix:
                    self._check_registers(row["method"], where)
                    continue
                splits = self.dataset(row["dataset"]).splits
                if split not in splits:
                    raise WarplineError(
                        f"The dataset '{row['dataset']}' has no split '{split}'.",
                        where=where,
                        do=suggestion(split, splits),
                    )
                self._check_objective(row["method"], CASE_SUFFIXES[suffix], where)

    def _check_registers(self, method: str, where: str) -> None:
        """Refuse a network that is trained for something else than fields of pairs."""
        objective = self.method(method).get("training", {}).get("objective")
        if objective in ("descriptors", "segmentation"):
            raise WarplineError(
                f"The method '{method}' registers nothing: it is trained for '{objective}'.",
                where=where,
                do=f"Measure it on single cases: write the split with '{SEGMENTED}' after it."
                if objective == "segmentation"
                else "Name a method of kind embedding that uses it.",
            )

    @property
    def papers(self) -> list[str]:
        """The papers and studies of this run."""
        return [*self.config["papers"], *self.config["studies"]]

    def _extra_rows(self, rows: list[dict]) -> Iterable[dict]:
        """Rows for the configuration's extra methods on every dataset and split of a table."""
        runs = [row for row in rows if "method" in row and not _single(row["split"])[1]]
        places = dict.fromkeys((row["dataset"], row["split"], row["set"]) for row in runs)
        present = {(row["method"], row["dataset"], row["split"]) for row in runs}
        return [
            {
                "id": f"{method}-{dataset}-{split}",
                "title": self.method(method)["title"],
                "set": name,
                "dataset": dataset,
                "method": method,
                "split": split,
                "published": {},
            }
            for dataset, split, name in places
            for method in self.config["extra_methods"]
            if (method, dataset, split) not in present
        ]

    def _pair_rows(self, rows: list[dict]) -> Iterable[dict]:
        """Every row for one pair after the other; those that are only published stand as such."""
        pairs = [
            self.dataset(row["dataset"]).pairs(row["split"]) if "method" in row else []
            for row in rows
        ]
        published = [row.get("published_pairs", {}) for row in rows]
        number = max(
            *map(len, pairs),
            *(len(values) for columns in published for values in columns.values()),
            0,
        )
        for i in range(number):
            for row, own, columns in zip(rows, pairs, published, strict=True):
                values = {name: column[i] for name, column in columns.items() if i < len(column)}
                entry = {"id": row["id"], "title": row["title"], "published": values}
                entry["set"] = f"Pair {i + 1}"
                if i < len(own):
                    entry |= {key: row[key] for key in ("dataset", "method", "split")}
                    entry["fixed"], entry["moving"] = own[i]
                if i < len(own) or values:
                    yield entry

    def _study(self, name: str) -> dict[str, Any]:
        """A study of any methods on any datasets, in the form of a paper."""
        study = self.config["studies"][name]
        synthetic = study["split"].endswith(SYNTHETIC)
        columns = SYNTHETIC_COLUMNS if synthetic else STUDY_COLUMNS
        counted = "images" if synthetic else "pairs"
        tables, figures = {}, {}
        for dataset in study["datasets"]:
            spec = self.dataset(dataset).spec
            suffix = f"_{dataset}" if len(study["datasets"]) > 1 else ""
            rows = [
                {
                    "id": method,
                    "title": self.method(method)["title"],
                    "set": study["split"],
                    "dataset": dataset,
                    "method": method,
                    "split": study["split"],
                }
                for method in study["methods"]
            ]
            tables[f"table{suffix}"] = {
                "title": spec["title"],
                "caption": f"Split {study['split']}, n = {{n}} {counted}, scale {{scale}}, "
                "device {device}.",
                "reference": study["reference"],
                # What a dataset has no annotation for, its table has no column for.
                "columns": {k: {**c, "optional": True} for k, c in columns.items()},
                "rows": rows,
            }
            if synthetic:  # its fields are not kept
                continue
            experiments = [
                {key: row[key] for key in ("dataset", "method", "split", "title")} for row in rows
            ]
            figures[f"registrations{suffix}"] = {
                "kind": "registration",
                "title": f"{spec['title']}: one pair, every method",
                "experiments": experiments,
            }
            if spec["labels"]:
                figures[f"dice{suffix}"] = {
                    "kind": "boxplot",
                    "title": f"{spec['title']}: Dice of every pair",
                    "experiments": experiments,
                    "metric": "dice",
                    "axis": "Dice",
                }
            elif any(row["landmarks"] for row in self.dataset(dataset).cases):
                figures[f"tre{suffix}"] = {
                    "kind": "boxplot",
                    "title": f"{spec['title']}: landmarks of every pair",
                    "experiments": experiments,
                    "metric": "tre",
                    "by": "pair",
                    "axis": "TRE (mm)",
                }
        paper = {
            "title": study.get("title", name),
            "citation": "Own study",
            "tables": tables,
            "figures": figures,
        }
        return validate(paper, self._schema("paper"), f"study '{name}' of the configuration")

    def experiments(self, paper: str) -> list[Experiment]:
        """The registrations that a paper's tables and figures need, each once."""
        return [e for e in self._named(paper) if not _single(e.split)[1]]

    def synthetic_experiments(self, paper: str) -> list[Experiment]:
        """The measurements on synthetic pairs that a paper's tables need, each once."""
        return [e for e in self._named(paper) if e.split.endswith(SYNTHETIC)]

    def segmentation_experiments(self, paper: str) -> list[Experiment]:
        """The measurements of segmenters on single cases that a paper's tables need, each once."""
        return [e for e in self._named(paper) if e.split.endswith(SEGMENTED)]

    def _named(self, paper: str) -> list[Experiment]:
        return list(self.names(paper))

    def names(self, paper: str) -> dict[Experiment, list[tuple[str, str]]]:
        """Each experiment with the (method, split) of the rows, of tables or figures, it serves."""
        if paper not in self._names:
            spec = self.paper(paper)
            rows = [row for table in spec["tables"].values() for row in table["rows"]]
            rows += [row for figure in spec["figures"].values() for row in figure["experiments"]]
            found: dict[Experiment, dict[tuple[str, str], None]] = {}
            for row in rows:
                if "method" in row:
                    for experiment in self.experiments_of(row):
                        found.setdefault(experiment, {})[row["method"], row["split"]] = None
            self._names[paper] = {experiment: list(names) for experiment, names in found.items()}
        return self._names[paper]

    def experiments_of(self, row: Mapping[str, Any]) -> list[Experiment]:
        """The experiments behind a row: one, or one a fold if a trained method is cross-validated.

        A method that learns nothing registers all the folds in one.
        """
        dataset, method, split = row["dataset"], row["method"], row["split"]
        if HELD_OUT in method:
            raise WarplineError(
                f"A row names a recipe, not what it is without a fold ('{method}').",
                do=f"Write '{method.partition(HELD_OUT)[0]}', and the split of all folds.",
            )
        rule = self.dataset(dataset).spec["pairs"].get(split, {})
        network = self.network_method(method)
        if not rule.get("cross_validation") or network is None:
            return [Experiment(dataset, method, split)]
        if self.method(network)["training"]["pairing"] == "atlas":
            raise WarplineError(
                f"The method '{method}' learns with an atlas and cannot be cross-validated.",
                where=f"split '{split}' of the dataset '{dataset}'",
                do="The atlas would be of a patient held out: choose a split of its own.",
            )
        return [
            Experiment(dataset, f"{method}{HELD_OUT}{fold}", fold) for fold in self.folds(dataset)
        ]

    def folds(self, dataset: str) -> list[str]:
        """The splits of a dataset's cross-validation.

        Raises
        ------
        WarplineError
            If it has none or more than one, names a split that no case has, or pairs a case of one
            fold with a case of another.
        """
        data = self.dataset(dataset)
        rules = data.spec["pairs"]
        pooled = [split for split, rule in rules.items() if rule.get("cross_validation")]
        where = f"config/datasets/{dataset}.yaml, key"
        if len(pooled) != 1:
            raise WarplineError(
                f"The dataset '{dataset}' has {len(pooled)} splits of a cross-validation.",
                where=f"{where} 'pairs'",
                do="Mark one with 'cross_validation: true'; its 'split' lists the folds.",
            )
        folds = rules[pooled[0]]["split"]
        for fold in folds:
            if fold not in data.splits:
                raise WarplineError(
                    f"The fold '{fold}' is no split of the dataset '{dataset}'.",
                    where=f"{where} 'pairs.{pooled[0]}'",
                    do=suggestion(fold, data.splits),
                )
        if sorted(data.pairs(pooled[0])) != sorted(p for fold in folds for p in data.pairs(fold)):
            raise WarplineError(
                f"The pairs of '{pooled[0]}' are not those of its folds together.",
                where=f"{where} 'pairs.{pooled[0]}'",
                do="Give it and each of its folds the same rule, one that pairs no case of one "
                "fold with a case of another.",
            )
        return folds

    def registration_batches(self, experiment: Experiment) -> dict[str, list[Pair]]:
        """The jobs of an experiment: batch name to its (fixed, moving) pairs."""
        if experiment not in self._batches:
            pairs = self.dataset(experiment.dataset).pairs(experiment.split)
            size = self.method(experiment.method)["pairs_per_job"]
            self._batches[experiment] = pair_batches(pairs, size)
        return self._batches[experiment]

    def recipe(self, dataset: str, method: str) -> dict[str, Any]:
        """A method as it is trained on a dataset.

        ``<recipe>@<fold>`` trains on the dataset's other folds. If the recipe has a validation
        split, the fold after the one held out, in a circle, takes its place and trains nothing.
        With ``pairing: split`` the key ``training.pairs`` has the pairs of the training splits.
        """
        spec = self.method(method)
        _, marked, held_out = method.partition(HELD_OUT)
        if marked:
            spec = self._without_fold(dataset, method, held_out)
        if spec.get("training", {}).get("pairing") == "split":
            data, splits = self.dataset(dataset), spec["training"]["splits"]
            pairs = [pair for split in splits for pair in data.pairs(split)]
            spec = {**spec, "training": {**spec["training"], "pairs": pairs}}
        return spec

    def _without_fold(self, dataset: str, method: str, held_out: str) -> dict[str, Any]:
        spec = self.method(method)
        folds = self.folds(dataset)
        if held_out not in folds:
            raise WarplineError(
                f"The dataset '{dataset}' has no fold '{held_out}'.",
                where=f"method '{method}'",
                do=suggestion(held_out, folds),
            )
        others = [fold for fold in folds if fold != held_out]
        validation = dict(spec["training"]["validation"])
        if validation["split"] is not None:
            validation["split"] = folds[(folds.index(held_out) + 1) % len(folds)]
            others.remove(validation["split"])
        if not others:
            raise WarplineError(
                f"With {len(folds)} folds, one held out and one for validation, none is left to "
                "train on.",
                where=f"method '{method}', dataset '{dataset}'",
                do="Set training.validation.split to null, or make more folds.",
            )
        training = {**spec["training"], "splits": others, "validation": validation}
        return {**spec, "training": training}

    def training_cases(self, dataset: str, method: str) -> tuple[list[str], list[Pair]]:
        """Training case ids and validation (fixed, moving) pairs of a recipe on a dataset.

        What learns from single cases validates on pairs of a case and itself.
        """
        data, training = self.dataset(dataset), self.recipe(dataset, method)["training"]
        validation = training["validation"]
        pairs: list[Pair] = []
        if training["objective"] != "registration":
            if validation["split"] in data.splits:
                pairs = [(case, case) for case in data.split(validation["split"])]
        elif validation["split"] is not None and validation["split"] in data.spec["pairs"]:
            pairs = data.pairs(validation["split"])[: validation["pairs"]]
        cases = data.split(*training["splits"])
        if training["pairing"] == "atlas":
            data.atlas_candidates()
            cases.append(ATLAS)
        return cases, pairs

    def labelled_by(self, dataset: str) -> tuple[str, str] | None:
        """(dataset, method) of the segmenter that gives a dataset its noisy labels, if any."""
        noisy = self.dataset(dataset).spec["noisy_labels"]
        return (noisy["dataset"], noisy["method"]) if noisy else None

    def initial_experiments(self, dataset: str, method: str) -> list[Experiment]:
        """The initial registrations of the pairs that a recipe is given to learn from, if any."""
        recipe = self.recipe(dataset, method)
        if recipe["initial"] is None or recipe["training"]["pairing"] != "split":
            return []
        splits = recipe["training"]["splits"]
        found = (self.initial_experiment(Experiment(dataset, method, split)) for split in splits)
        return list(dict.fromkeys(found))

    def initial_experiment(self, experiment: Experiment) -> Experiment | None:
        """The registration before a method's own, if any.

        Of a cross-validation, that of all folds together, which serves each.
        """
        initial = self.method(experiment.method)["initial"]
        if initial is None:
            return None
        split = experiment.split
        if HELD_OUT in experiment.method:
            rules = self.dataset(experiment.dataset).spec["pairs"]
            (split, *_) = (name for name, rule in rules.items() if rule.get("cross_validation"))
        return Experiment(experiment.dataset, initial, split)

    def network_method(self, method: str) -> str | None:
        """The method whose trained weights a method uses: itself, another or none.

        What leaves out a fold uses weights that left it out too.
        """
        spec = self.method(method)
        if spec["kind"] == "network" or "method" not in spec:
            return method if spec["kind"] == "network" else None
        return spec["method"] + method.removeprefix(method.partition(HELD_OUT)[0])

    def embedding_method(self, method: str) -> str:
        """The method whose embedding a method of kind embedding uses: its own or another's."""
        name, mark, fold = method.partition(HELD_OUT)
        return self.method(method).get("learned_by", name) + mark + fold

    def embedding_settings(self, method: str) -> dict[str, Any]:
        """What an embedding is learned with: its search and its number of components."""
        settings = self.method(method)["embedding"]
        return {**_search(settings), "components": settings["components"]}

    def embedding_pairs(self, dataset: str, method: str) -> list[Pair]:
        """The pairs that an embedding is learned on: those of the splits its network trains on.

        Raises
        ------
        WarplineError
            If the dataset pairs none of these splits.
        """
        data = self.dataset(dataset)
        splits = self.recipe(dataset, self.network_method(method))["training"]["splits"]
        paired = [split for split in splits if split in data.spec["pairs"]]
        if not paired:
            raise WarplineError(
                f"The dataset '{dataset}' has no pairs to learn the embedding '{method}' on.",
                where=f"config/datasets/{dataset}.yaml, key 'pairs'",
                do=f"Add pairs for: {', '.join(splits)}.",
            )
        return [pair for split in paired for pair in data.pairs(split)]

    def pretraining(self, dataset: str, method: str) -> tuple[str, str] | None:
        """(dataset, method) whose weights a recipe starts from, if any.

        What leaves out a fold starts from weights that left it out too.
        """
        pretrain = self.method(method)["pretrain"]
        if pretrain is None:
            return None
        before = pretrain.get("dataset", dataset)
        fold = method.removeprefix(method.partition(HELD_OUT)[0]) if before == dataset else ""
        return before, pretrain["method"] + fold

    @cached_property
    def device(self) -> str:
        """``cpu`` or ``cuda``: ``auto`` is the GPU at paper scale only, never a silent choice."""
        device = self.config["device"]
        if device == "auto":
            return "cuda" if self.scale == "paper" else "cpu"
        return device


def _overridden(raw: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """A file under an override, which wins over the file's own scales too."""
    plain = {key: value for key, value in override.items() if key != "scales"}
    scales = {name: merge(part, plain) for name, part in (raw.get("scales") or {}).items()}
    return merge({**raw, **({"scales": scales} if scales else {})}, override)


def _single(split: str) -> tuple[str, str]:
    """A row's split, and the suffix that asks for its cases instead of its pairs; may be empty."""
    suffix = next((s for s in CASE_SUFFIXES if split.endswith(s)), "")
    return split.removesuffix(suffix), suffix


def _search(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in AFTER_THE_SEARCH}


def _check_names(paper: Mapping[str, Any], name: str) -> None:
    """Refuse, before anything is computed, a table or figure that names what is not there."""
    for key, table in paper["tables"].items():
        ids = [row["id"] for row in table["rows"]]
        places = [(row["set"], row["id"]) for row in table["rows"]]
        twice = sorted({place for place in places if places.count(place) > 1})
        if twice:
            raise WarplineError(
                f"The row id '{twice[0][1]}' stands twice in one set.",
                where=f"'{name}', key 'tables.{key}.rows'",
            )
        if table["reference"] is not None and table["reference"] not in ids:
            raise WarplineError(
                f"The reference '{table['reference']}' is no row of its table.",
                where=f"'{name}', key 'tables.{key}.reference'",
                do=suggestion(table["reference"], ids),
            )
        columns = table["columns"]
        for column in columns.values():
            if "spread" in column and column["spread"] not in columns:
                raise WarplineError(
                    f"The spread '{column['spread']}' is no column of its table.",
                    where=f"'{name}', key 'tables.{key}.columns'",
                    do=suggestion(column["spread"], columns),
                )
    for key, figure in paper["figures"].items():
        places = {(row["dataset"], row["split"]) for row in figure["experiments"]}
        if len(places) > 1:
            raise WarplineError(
                "A figure shows one dataset and split.",
                where=f"'{name}', key 'figures.{key}.experiments'",
                do="Make a figure for each.",
            )
        methods = [row["method"] for row in figure["experiments"]]
        if "before" in figure and figure["before"] not in methods:
            raise WarplineError(
                f"The method '{figure['before']}' is none of the figure's experiments.",
                where=f"'{name}', key 'figures.{key}.before'",
                do=suggestion(figure["before"], methods),
            )
        table = figure.get("table")
        if table is not None and table not in paper["tables"]:
            raise WarplineError(
                f"The figure names the table '{table}', which is not there.",
                where=f"'{name}', key 'figures.{key}.table'",
                do=suggestion(table, paper["tables"]),
            )
