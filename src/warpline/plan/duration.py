"""How long a run may take, by the rates of config/budget.yaml, as far as they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from warpline.plan.arena import pairs as pairs_of_cells
from warpline.plan.experiments import WHOLE, networks_of, registration_batches
from warpline.plan.inputs import seconds
from warpline.plan.inputs.cases import as_members, labelled_batches
from warpline.plan.inputs.described import waiting_batches
from warpline.plan.inputs.register import method_gpus
from warpline.plan.layout import LEARNING_CURVES
from warpline.plan.rivals import missing
from warpline.plan.rows import table_rows
from warpline.plan.run import Run
from warpline.plan.splits import SEGMENTED, SYNTHETIC, split_and_suffix
from warpline.plan.trainings import labelled_by
from warpline.plan.wanted import Wanted, experiments_wanted, trainings_wanted

HOUR = 3600
NAMED = 2  # of what is not known


@dataclass
class Duration:
    """Seconds of what is not made yet.

    Attributes
    ----------
    cores
        Seconds of one core, by the kind of work.
    card
        Seconds of a GPU.
    longest
        Seconds of the longest job of a core, which no other core can help with.
    unknown
        What is not counted, by the kind of work: for want of a rate or of a size.
    """

    cores: dict[str, float] = field(default_factory=dict)
    card: float = 0.0
    longest: float = 0.0
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str, spent: float | None, jobs: int, beginning: float) -> None:
        """Jobs of a kind that take so many seconds together, beside their beginnings."""
        if spent is None:
            names = self.unknown.setdefault(kind, [])
            names += [name] * (name not in names)
        self.cores[kind] = self.cores.get(kind, 0.0) + (spent or 0.0) + jobs * beginning
        self.longest = max(self.longest, (spent or 0.0) / max(jobs, 1) + beginning)

    def in_words(self, cores: int | None) -> str:
        """As sentences.

        Parameters
        ----------
        cores
            That it may take at a time; None where that is not known.
        """
        total = sum(self.cores.values())
        if not total and not self.card and not self.unknown:
            return "Cases, networks and measurements are all there."
        shares = ", ".join(f"{kind} {in_words(spent)}" for kind, spent in self.cores.items())
        begun = "What is counted takes" if self.unknown else "It may take"
        said = f"{begun} {in_words(total)} of one core ({shares})"
        if cores is not None and cores > 1:
            said += f", {in_words(max(total / cores, self.longest))} on {cores}"
        if self.card:
            said += f", and {in_words(self.card)} of a GPU"
        unknown = ", ".join(f"{kind} {_some(names)}" for kind, names in self.unknown.items())
        return said + (f". How long is not known: {unknown}." if unknown else ".")


def duration(run: Run, asked: Wanted, datasets: Iterable[str], *, forked: bool = True) -> Duration:
    """How long it takes to make what is asked for and nobody has made yet.

    Counted are cases, trainings, registrations, measurements, pictures and the beginnings of their
    jobs; not downloads, embeddings and the arena's figures.

    Parameters
    ----------
    datasets
        That it needs files of.
    forked
        Whether jobs are begun on this machine, as forks, or elsewhere with a Python of their own.
    """
    found, beginning = Duration(), seconds.jobs(run)["fork" if forked else "beginning"]
    for dataset in datasets:
        if as_members(run, dataset):
            continue
        waiting = waiting_batches(run, dataset)
        if waiting:
            batches = run.catalog.dataset(dataset).batches()
            spent = seconds.preparing(run, dataset, sum(len(batches[name]) for name in waiting))
            found.add("preparation", dataset, spent, len(waiting), beginning)
    _trainings(run, asked, found, beginning)
    _labels(run, asked, found, beginning)
    _registrations(run, asked, found, beginning)
    _cells(run, asked, found, seconds.jobs(run)["beginning"])
    _pictures(run, asked, found, beginning)
    return found


def _trainings(run: Run, asked: Wanted, found: Duration, beginning: float) -> None:
    for dataset, method in trainings_wanted(run, asked):
        if Path(run.layout.weights(dataset, method)).exists():
            continue
        spent = seconds.training(run, dataset, method)
        _by_a_network(run, found, "training", method, spent, 1, beginning)


def _labels(run: Run, asked: Wanted, found: Duration, beginning: float) -> None:
    """Of cases whose missing organs a segmenter finds."""
    datasets = {experiment.dataset for experiment in experiments_wanted(run, asked)}
    for dataset in sorted(datasets | {name for name, _ in trainings_wanted(run, asked)}):
        segmenter = labelled_by(run.catalog, dataset)
        if segmenter is None:
            continue
        batches = run.catalog.dataset(dataset).batches().values()
        folders = labelled_batches(run, dataset)
        waiting = [b for b, f in zip(batches, folders, strict=True) if not Path(f).exists()]
        if waiting:
            cases = sum(map(len, waiting))
            spent = seconds.segmenting(run, dataset, segmenter[1], cases)
            _by_a_network(run, found, "noisy labels", dataset, spent, len(waiting), beginning)


def _by_a_network(
    run: Run,
    found: Duration,
    kind: str,
    name: str,
    spent: float | None,
    jobs: int,
    beginning: float,
) -> None:
    """Add jobs of a core, or of the card that the run has."""
    if run.catalog.device == "cuda":
        found.card += spent or 0.0
        if spent is None:
            found.unknown.setdefault(kind, ["on a GPU"])
    else:
        found.add(kind, name, spent, jobs, beginning)


def _registrations(run: Run, asked: Wanted, found: Duration, beginning: float) -> None:
    for experiment in experiments_wanted(run, asked):
        dataset, method, split = experiment.dataset, experiment.method, experiment.split
        records = (run.layout.records, run.layout.whole_records)
        if any(Path(path(dataset, method, split)).exists() for path in records):
            continue
        name, suffix = split_and_suffix(split)
        if suffix:
            cases = len(run.catalog.dataset(dataset).split(name))
            spent = seconds.measuring(run, dataset, cases)
            if suffix == SEGMENTED:
                seen = seconds.segmenting(run, dataset, method, cases)
                _by_a_network(run, found, "noisy labels", dataset, seen, 0, 0.0)
            if suffix == SYNTHETIC:
                spent = seconds.on_synthetic_pairs(run, dataset, method, cases)
            found.add("measurement", dataset, spent, 1, beginning)
            continue
        batches = registration_batches(run.catalog, experiment)
        pairs = sum(map(len, batches.values()))
        spent = seconds.measuring(run, dataset, pairs)
        found.add("measurement", dataset, spent, int(WHOLE not in batches), beginning)
        if method_gpus(run, method):
            found.unknown.setdefault("registration", ["on a GPU"])
            continue
        spent = seconds.registering(run, dataset, method, pairs)
        found.add("registration", method, spent, len(batches), beginning)


def _cells(run: Run, asked: Wanted, found: Duration, beginning: float) -> None:
    both = 1 + run.catalog.config["arena"]["both_directions"]
    for cell in asked.cells:
        dataset, method = cell.dataset, cell.method
        if Path(run.layout.arena_cell(dataset, method, cell.split)).exists():
            continue
        if method_gpus(run, method):
            found.unknown.setdefault("the arena", ["on a GPU"])
            continue
        if missing(run.catalog.method(method)):
            continue  # it says so, and that is all
        pairs = len(pairs_of_cells(run.catalog, dataset, cell.split)) * both
        found.add("the arena", dataset, seconds.measuring(run, dataset, pairs), 0, beginning)
        spent = seconds.registering(run, dataset, method, pairs)
        found.add("the arena", method, spent, 1, beginning)


def _pictures(run: Run, asked: Wanted, found: Duration, beginning: float) -> None:
    """Tables and figures; and the report and the explorer, where these are asked for."""
    rates = seconds.jobs(run)["pictures"]
    for paper in asked.papers:
        figures = [*run.catalog.paper(paper)["figures"]]
        figures += [LEARNING_CURVES] * bool(networks_of(run.catalog, paper))
        waiting = sum(not Path(run.layout.figure(paper, f, "png")).exists() for f in figures)
        if waiting:
            found.add("pictures", paper, waiting * rates["figure"], 1, beginning)
        if not Path(run.layout.claims(paper)).exists():
            found.add("pictures", paper, rates["tables"], 1, beginning)
        if asked.pages and not Path(run.layout.explored_paper(paper)).exists():
            found.add("pictures", paper, _explored(run, paper), 1, beginning)
    if asked.pages and asked.papers and not Path(run.layout.report).exists():
        found.add("pictures", "report", len(asked.papers) * rates["report"], 2, beginning)


def _explored(run: Run, paper: str) -> float | None:
    """Seconds of a core for a paper's pages of the explorer."""
    kept, spent = _kept(run.catalog.config["explorer"]["pairs"]), 0.0
    rows = table_rows(run.catalog.paper(paper))
    for dataset, _, split in {(row["dataset"], row["method"], row["split"]) for row in rows}:
        if split_and_suffix(split)[1]:
            continue
        pairs = min(kept, len(run.catalog.dataset(dataset).pairs(split)))
        one = seconds.exploring(run, dataset, pairs)
        if one is None:
            return None
        spent += one
    return spent


def _kept(rule: str) -> float:
    """How many pairs of a method the explorer keeps: of ``worst 3, median, best`` five."""
    parts = [part.split() for part in rule.split(",")]
    return math.inf if ["all"] in parts else sum(int(n) for _, n in ([*p, "1"][:2] for p in parts))


def in_words(spent: float) -> str:
    """Seconds as minutes, hours or days."""
    if spent < 1.5 * HOUR:
        return f"{max(1, round(spent / 60))} min"
    if spent < 48 * HOUR:
        return f"{spent / HOUR:.2g} h"
    return f"{spent / 24 / HOUR:,.0f} days"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
