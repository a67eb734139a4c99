"""The arena's records as tables: one a dataset, one of all, failures, curves and worst pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from warpline.evaluation.attempts import REASONS
from warpline.evaluation.metrics.depth import band
from warpline.evaluation.records import FAILED, SEED, SKIPPED
from warpline.plan.kinds import UNREGISTERED
from warpline.tables.build import LABEL, build, pair_values
from warpline.tables.curves import area, frontier, pareto
from warpline.tables.entry import Column, RowEntry, TableEntry
from warpline.tables.ranking import Scores
from warpline.tables.table import Table

FAILURE = "failure"  # beside `FAILED`: worse than unregistered, too
NAMES = {"dice": ("Dice", 3, ""), "tre": ("TRE", 2, "mm")}
# Columns of the table of all datasets, by those of the tables of one.
SHOWN = {
    "folds": "folds",
    "sdlogj": "sdlogj",
    "inverse_consistency_mm": "inverse",
    "seconds": "seconds",
    "cpu_seconds": "cpu",
    "peak_memory_mib": "memory",
    "failures": "failures",
}
# mm that landmarks lie apart before registration.
DISTANCES = (0.0, 5.0, 10.0, 20.0, np.inf)
DEPTHS = (0.0, 2.5, 5.0, 10.0, np.inf)  # mm from the mask's surface


@dataclass(frozen=True)
class Contestant:
    """A cell that was run: `name` is the method without its `strength`, `own` if it has its own."""

    dataset: str
    method: str
    split: str
    name: str
    title: str
    strength: float | None

    @property
    def own(self) -> bool:
        """Whether it is the method as its file has it."""
        return self.method == self.name


@dataclass(frozen=True)
class Ring:
    """A dataset of the arena: who met on it, and by what they are judged."""

    dataset: str
    title: str
    metric: str
    better: str
    contestants: tuple[Contestant, ...]

    @property
    def own(self) -> list[Contestant]:
        """The methods as their files have them."""
        return [each for each in self.contestants if each.own]

    @property
    def unregistered(self) -> Contestant:
        """Who moves nothing."""
        (each,) = [one for one in self.contestants if one.method == UNREGISTERED]
        return each

    @property
    def sign(self) -> float:
        """What makes more of the metric better."""
        return 1.0 if self.better == "higher" else -1.0

    def column(self) -> Column:
        """The column of the metric."""
        title, decimals, unit = NAMES[self.metric]
        return _column(title, self.metric, self.better, decimals, unit, judged=True)

    def row(self, contestant: Contestant) -> RowEntry:
        """A contestant's row."""
        place = contestant.dataset, contestant.method, contestant.split
        return RowEntry(contestant.method, contestant.title, "", *place, None, None, {})

    def among(self, records: pd.DataFrame) -> pd.DataFrame:
        """The records of the dataset: they are searched for every contestant and metric."""
        return records[records["dataset"] == self.dataset]

    def values(self, records: pd.DataFrame, contestant: Contestant, metric: str) -> pd.Series:
        """The values that are not gaps, indexed as by `warpline.tables.build.pair_values`."""
        column = _column("", metric, "none", 3)
        values = pair_values(records, self.row(contestant), column)
        return values[np.isfinite(values)]

    def means(self, records: pd.DataFrame, contestant: Contestant, metric: str) -> pd.Series:
        """The mean over labels of every pair, by (fixed, moving)."""
        values = self.values(records, contestant, metric)
        return values.groupby(level=["fixed", "moving"]).mean()


def rings(records: pd.DataFrame, contest: Mapping[str, Any]) -> list[Ring]:
    """The datasets with those methods that ran; see `warpline.plan.inputs.arena.contest`."""
    skipped = records[records["metric"] == SKIPPED]
    absent = set(zip(skipped["dataset"], skipped["method"], strict=True))
    found = []
    for name, part in contest["datasets"].items():
        here = tuple(
            Contestant(**cell)
            for cell in contest["cells"]
            if cell["dataset"] == name and (name, cell["method"]) not in absent
        )
        found.append(Ring(name, part["title"], part["metric"], part["better"], here))
    return found


def with_failures(records: pd.DataFrame, found: Sequence[Ring]) -> pd.DataFrame:
    """The records and, as metric `FAILURE`, which pairs failed or are worse than unregistered."""
    frames = [records]
    for ring in found:
        here = ring.among(records)
        before = ring.means(here, ring.unregistered, ring.metric)
        for each in ring.contestants:
            levels = ["fixed", "moving", SEED]
            after = ring.values(here, each, ring.metric).groupby(level=levels).mean()
            places = after.index.droplevel(SEED)
            worse = ring.sign * (after.to_numpy() - before.reindex(places).to_numpy()) < 0
            failed = ring.values(here, each, FAILED).groupby(level=levels).mean()
            failed = (failed.reindex(after.index) > 0).to_numpy()
            rows = pd.DataFrame(index=after.index).reset_index()
            rows = rows.assign(
                dataset=each.dataset, method=each.method, split=each.split, metric=FAILURE
            ).assign(label="", value=(worse | failed).astype(float), unit="")
            frames.append(rows[list(records.columns)])
    return pd.concat(frames, ignore_index=True)


def scores(records: pd.DataFrame, ring: Ring) -> Scores:
    """The methods of a ring on its pairs, so that more is better."""
    here = ring.among(records)
    values = {each.method: ring.sign * ring.means(here, each, ring.metric) for each in ring.own}
    return Scores(pd.DataFrame(values).dropna())


def table(records: pd.DataFrame, ring: Ring, values: Mapping[str, str]) -> Table:
    """The table of a dataset; `values` are what its caption may quote."""
    columns = {
        ring.metric: ring.column(),
        "folds": _column("Folds", "folding_fraction", "lower", 5),
        "folded": _column("Folded volume", "non_diffeomorphic_volume", "lower", 5),
        "sdlogj": _column("SD log J", "sdlogj", "lower", 3),
        "inverse": _column("Inverse consistency", "inverse_consistency", "lower", 2, "mm"),
        "seconds": _column("Time", "seconds", "lower", 2, "s"),
        "cpu": _column("CPU", "cpu_seconds", "lower", 2, "s"),
        "memory": _column("Memory", "peak_memory", "lower", 0, "MiB"),
        "failures": _column("Failures", FAILURE, "lower", 2),
    }
    entry = TableEntry(
        title=ring.title,
        caption="n = {n} pairs, scale {scale}. Failures: share of pairs that crashed, took too "
        "long or are worse than unregistered; they count as unregistered in all other columns.",
        reference=None,
        columns=columns,
        rows=tuple(ring.row(each) for each in ring.own),
    )
    return Table(build(ring.among(records), entry), entry, values)


def overview(found: Mapping[str, tuple[Ring, Table]], time: str) -> pd.DataFrame:
    """All datasets in one table, a row a dataset and method.

    `time` is the column by which the Pareto front is told, in column ``front``: ``seconds``, or
    ``cpu_seconds``, which other work on the machine does not change.
    """
    frames = []
    for name, (ring, made) in found.items():
        frame = made.frame
        part = pd.DataFrame({"dataset": name, "method": frame["row"], "title": frame["title"]})
        part = part.assign(n=frame["n"], cases=frame["cases"], metric=ring.metric)
        for column, key in {"value": ring.metric, **SHOWN}.items():
            part[column] = frame.get(key, np.nan)
        part["low"], part["high"] = (frame[f"{ring.metric}_ci_{end}"] for end in ("low", "high"))
        part["front"] = pareto(part[time], ring.sign * part["value"])
        frames.append(part)
    return pd.concat(frames, ignore_index=True)


def failures(records: pd.DataFrame, found: Sequence[Ring]) -> pd.DataFrame:
    """How many pairs of each method failed, and why; what was skipped, with its reason."""
    rows = []
    for ring in found:
        here = ring.among(records)
        for each in ring.own:
            failed = ring.values(here, each, FAILED)
            reasons = failed[failed > 0].index.get_level_values("label").value_counts()
            bad = ring.values(here, each, FAILURE).sum()
            counts = {reason: int(reasons.get(reason, 0)) for reason in REASONS}
            rows.append(
                {"dataset": ring.dataset, "method": each.method, **counts}
                | {"worse": int(bad) - sum(counts.values()), "skipped": ""}
            )
    skipped = records[records["metric"] == SKIPPED]
    for entry in skipped[["dataset", "method", "label"]].to_dict("records"):
        rows.append(
            {"dataset": entry["dataset"], "method": entry["method"]} | {"skipped": entry["label"]}
        )
    columns = ["dataset", "method", *REASONS, "worse", "skipped"]
    return pd.DataFrame(rows, columns=columns)


def worst_pairs(records: pd.DataFrame, found: Sequence[Ring]) -> pd.DataFrame:
    """Of each method the pair on which it does worst."""
    rows = []
    for ring in found:
        here = ring.among(records)
        for each in ring.own:
            means = ring.means(here, each, ring.metric)
            fixed, moving = (ring.sign * means).idxmin()
            rows.append([ring.dataset, each.method, fixed, moving, means[fixed, moving]])
    return pd.DataFrame(rows, columns=["dataset", "method", "fixed", "moving", "value"])


def curve_points(records: pd.DataFrame, found: Sequence[Ring], metric: str) -> pd.DataFrame:
    """Of every method and strength the mean alignment and irregularity."""
    rows = []
    for ring in found:
        here = ring.among(records)
        for each in ring.contestants:
            values = [ring.means(here, each, m).mean() for m in (metric, ring.metric)]
            rows.append([ring.dataset, each.name, each.method, each.strength, *values])
    columns = ["dataset", "name", "method", "strength", "irregularity", "value"]
    return pd.DataFrame(rows, columns=columns)


def curve_lines(points: pd.DataFrame, found: Sequence[Ring]) -> pd.DataFrame:
    """The frontiers of the methods with several strengths: steps to the right of (x, y)."""
    frames = []
    for ring in found:
        here = points[points["dataset"] == ring.dataset]
        start = float(here.loc[here["method"] == UNREGISTERED, "value"].iloc[0])
        for name, own in here.groupby("name", sort=False):
            if len(own) > 1:
                values = [ring.sign * value for value in (start, *own["value"])]
                steps = frontier([0.0, *own["irregularity"]], values)
                line = pd.DataFrame({"x": steps[:, 0], "y": ring.sign * steps[:, 1]})
                frames.append(line.assign(dataset=ring.dataset, name=name))
    return pd.concat(frames) if frames else pd.DataFrame(columns=["x", "y", "dataset", "name"])


def areas(points: pd.DataFrame, found: Sequence[Ring], most: float) -> pd.DataFrame:
    """The area under each method's curve, from no registration on, in units of the metric."""
    rows = []
    for ring in found:
        here = points[points["dataset"] == ring.dataset]
        (start,) = here.loc[here["method"] == UNREGISTERED, "value"]
        for each in ring.own:
            own = here[here["name"] == each.method]
            x, y = [0.0, *own["irregularity"]], [start, *own["value"]]
            under = ring.sign * area(x, [ring.sign * v for v in y], most)
            rows.append([ring.dataset, each.method, len(own), most, under])
    return pd.DataFrame(rows, columns=["dataset", "method", "strengths", "most", "area"])


def by_part(records: pd.DataFrame, found: Sequence[Ring]) -> pd.DataFrame:
    """Where methods differ: by label, by how far apart landmarks were (mm), by depth.

    Depth is the distance from a boundary: of the fixed labels, where the value is the share of
    voxels with a wrong label, or of the mask, where it is the error of landmarks.
    """
    frames = []

    def add(ring: Ring, each: Contestant, by: str, values: pd.Series, part: pd.Categorical) -> None:
        groups = values.groupby(part, observed=True)
        frame = groups.agg(["mean", "std", "size"]).rename_axis("part").reset_index()
        frame = frame.astype({"part": str})
        frames.append(frame.assign(dataset=ring.dataset, method=each.method, by=by))

    def names(values: pd.Series) -> pd.Categorical:
        labels = values.index.get_level_values("label")
        return pd.Categorical(labels, categories=labels.unique())

    for ring in found:
        here = ring.among(records)
        before = ring.values(here, ring.unregistered, ring.metric)
        before = before.groupby(level=LABEL).mean()
        for each in ring.own:
            values = ring.values(here, each, ring.metric).groupby(level=LABEL).mean()
            if ring.metric == "tre":
                depth = ring.values(here, each, "depth").groupby(level=LABEL).mean()
                parts = ("displacement", before, DISTANCES), ("depth", depth, DEPTHS)
                for by, of, edges in parts:
                    of_values = of.reindex(values.index).to_numpy()
                    bands = [band(*ends) for ends in pairwise(edges)]
                    cut = pd.cut(of_values, edges, right=False, labels=bands)
                    add(ring, each, by, values, cut)
            else:
                add(ring, each, "label", values, names(values))
                wrong = ring.values(here, each, "error_by_depth")
                add(ring, each, "depth", wrong, names(wrong))
    found_columns = ["dataset", "method", "by", "part", "mean", "std", "size"]
    return pd.concat(frames, ignore_index=True)[found_columns]


def _column(
    title: str, metric: str, better: str, decimals: int, unit: str = "", judged: bool | None = None
) -> Column:
    return Column(
        title=title,
        metric=metric,
        label=None,
        within=None,
        statistic="mean",
        q=None,
        over="pairs",
        better=better,
        judged=judged,
        decimals=decimals,
        published_decimals=0,
        unit=unit,
        spread=None,
        optional=True,
    )
