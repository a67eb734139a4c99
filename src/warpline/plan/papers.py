"""Papers and studies: tables and figures whose every name is known to be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.config import validate
from warpline.plan.datasets import Datasets
from warpline.plan.loading import ConfigFiles
from warpline.plan.methods import Methods
from warpline.plan.rows import pair_rows, rows_shown, title_of_run, with_extra_rows
from warpline.plan.splits import CASE_SUFFIXES, SEGMENTED, split_and_suffix
from warpline.plan.studies import study_as_paper
from warpline.registry import suggestion


class Papers:
    """The papers and the studies of the configuration, in one form."""

    def __init__(self, files: ConfigFiles, datasets: Datasets, methods: Methods):
        self.files, self.datasets, self.methods = files, datasets, methods
        self._papers: dict[str, dict[str, Any]] = {}

    def get(self, name: str) -> dict[str, Any]:
        """A paper by the name of its file, or a study of the configuration in the same form."""
        if name not in self._papers:
            if name in self.files.config["studies"]:
                study = self.files.config["studies"][name]
                raw = study_as_paper(name, study, self.datasets, self.methods)
                place = f"study '{name}' of the configuration"
                paper = validate(raw, self.files.schema("paper"), place)
            else:
                paper = self.files.load("papers", name, "paper")
                changed = "tables" in (self.files.config["override"]["papers"].get(name) or {})
                _check_claims(paper, name, rows_are_the_files=not changed)
                for kind in ("tables", "figures"):
                    paper[kind] = {k: v for k, v in paper[kind].items() if v is not None}
                for table in paper["tables"].values():
                    # A folded table is not one of results.
                    extra = [] if table["folded"] else self.files.config["extra_methods"]
                    own = self._of_this_run(table["rows"])
                    table["rows"] = with_extra_rows(own, extra, self.methods)
                    if table["each_pair"]:
                        table["rows"] = [*pair_rows(table["rows"], self.datasets), *table["rows"]]
            _check_names(paper, name)
            self._check_single(paper, name)
            for key, figure in paper["figures"].items():
                if "method" in figure:
                    self.methods.get(figure["method"])
                if figure["kind"] == "noisy_labels":
                    self._check_labelled(figure["dataset"], f"'{name}', key 'figures.{key}'")
                if figure["kind"] == "exploration":
                    self._check_explored(figure["dataset"], f"'{name}', key 'figures.{key}'")
                for row in figure["experiments"]:
                    row.setdefault("title", self.methods.get(row["method"])["title"])
            for row in rows_shown(paper):  # by the weights that run, not by those published
                row["title"] = title_of_run(row["title"], row["method"], self.methods)
            self._papers[name] = paper
        return self._papers[name]

    def _of_this_run(self, rows: list[dict]) -> list[dict]:
        """The rows that are to stand at this scale; without given weights if none are wanted."""
        # A rehearsal has no rows of test sets, whose labels nobody generates.
        scale = "demo" if self.files.config["rehearse"] else self.files.scale
        kept = [row for row in rows if scale in row.pop("scales", [scale])]
        if self.files.config["given_weights"]:
            return kept
        return [
            row
            for row in kept
            if "method" not in row
            or not (self.methods.get(row["method"]).get("weights") or {}).get("file")
        ]

    def _check_labelled(self, dataset: str, where: str) -> None:
        """Refuse a figure of noisy labels of a dataset that has none."""
        self.files.path("datasets", dataset, where)
        if not self.datasets.get(dataset).spec["noisy_labels"]:
            raise WarplineError(
                f"The dataset '{dataset}' has no noisy labels to show.",
                where=where,
                do=f"Give {self.datasets.get(dataset).file} the key 'noisy_labels'.",
            )

    def _check_explored(self, dataset: str, where: str) -> None:
        """Refuse a figure of a dataset whose cases are not described when they are prepared."""
        self.files.path("datasets", dataset, where)
        if not self.datasets.get(dataset).spec["explore"]:
            raise WarplineError(
                f"The figure explores the dataset '{dataset}', which is not described.",
                where=where,
                do=f"Set 'explore: true' in {self.datasets.get(dataset).file}.",
            )

    def _check_single(self, paper: Mapping[str, Any], name: str) -> None:
        """Refuse measurements on single cases of no split, or by a method not made for them."""
        for key, table in paper["tables"].items():
            for row in table["rows"]:
                if "method" not in row:
                    continue
                where = f"'{name}', key 'tables.{key}.rows', row '{row['id']}'"
                split, suffix = split_and_suffix(row["split"])
                if not suffix:
                    self._check_registers(row["method"], where)
                    continue
                splits = self.datasets.get(row["dataset"]).splits
                if split not in splits:
                    raise WarplineError(
                        f"The dataset '{row['dataset']}' has no split '{split}'.",
                        where=where,
                        do=suggestion(split, splits),
                    )
                self.methods.check_objective(row["method"], CASE_SUFFIXES[suffix], where)

    def _check_registers(self, method: str, where: str) -> None:
        """Refuse a network that is trained for something else than fields of pairs."""
        objective = self.methods.get(method).get("training", {}).get("objective")
        if objective in ("descriptors", "segmentation"):
            raise WarplineError(
                f"The method '{method}' registers nothing: it is trained for '{objective}'.",
                where=where,
                do=f"Measure it on single cases: write the split with '{SEGMENTED}' after it."
                if objective == "segmentation"
                else "Name a method of kind embedding that uses it.",
            )


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


def _check_claims(paper: dict[str, Any], name: str, rows_are_the_files: bool) -> None:
    """Refuse a claim of a table, column or row that is not there; of tables left out drop them.

    A row that stands at other scales alone, or that a run's own rows leave out, makes a claim that
    cannot be told.
    """
    for number, claim in enumerate(paper["claims"]):
        where = f"'{name}', key 'claims[{number}]'"
        if claim["table"] not in paper["tables"]:
            raise WarplineError(
                f"The claim names the table '{claim['table']}', which is not there.",
                where=where,
                do=suggestion(claim["table"], paper["tables"]),
            )
        table = paper["tables"][claim["table"]]
        if table is None:
            continue
        ids = {row["id"] for row in table["rows"] if row["set"] == claim["set"]}
        asked = [("column", claim["column"], table["columns"])]
        if rows_are_the_files:
            asked += [("row", row, ids) for row in claim["order"]]
        for what, word, known in asked:
            if word not in known:
                raise WarplineError(
                    f"The claim's {what} '{word}' is no {what} of '{claim['table']}'"
                    + (f" in the set '{claim['set']}'." if what == "row" else "."),
                    where=where,
                    do=suggestion(word, known),
                )
    paper["claims"] = [c for c in paper["claims"] if paper["tables"][c["table"]] is not None]
