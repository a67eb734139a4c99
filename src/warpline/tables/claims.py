"""What a paper claims, held against the numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from warpline.evaluation.records import SEED
from warpline.tables.build import PAIR, pair_values, sample_of
from warpline.tables.entry import Column, RowEntry, TableEntry
from warpline.tables.intervals import paired_interval

HOLDS = "holds"
NOT_SURE = "holds, but not beyond chance"
FAILS = "does not hold"
UNMEASURED = "cannot be told"


@dataclass(frozen=True)
class Claim:
    """That rows of a table come in an order, or are alike, in one of its columns.

    Attributes
    ----------
    set
        The rows' heading in the table.
    order
        Ids of rows, the best first; each is compared with the next one.
    alike
        None, or by how much of the column's unit neighbours may differ at the most instead.
    """

    text: str
    table: str
    column: str
    set: str
    order: tuple[str, ...]
    alike: float | None

    @classmethod
    def of(cls, claim: Mapping[str, Any]) -> Claim:
        """From one of a paper's ``claims``."""
        return cls(
            text=claim["text"],
            table=claim["table"],
            column=claim["column"],
            set=claim["set"],
            order=tuple(claim["order"]),
            alike=claim["alike"],
        )


@dataclass(frozen=True)
class Step:
    """Two neighbours: `first` is better than `second` by `difference` [`low`, `high`].

    The difference is of pairs' means and positive where the claim is right; of rows that are to be
    alike it is `first` less `second`.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Finding:
    """What came of a claim: `values` are (row's title, mean) in the claim's order.

    `relation` is what stands between two rows' titles in the sentence.
    """

    text: str
    verdict: str
    relation: str
    column: str
    unit: str
    decimals: int
    values: tuple[tuple[str, float], ...]
    steps: tuple[Step, ...]

    def as_data(self) -> dict[str, Any]:
        """For a JSON file, with `sentence`."""
        return {**asdict(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """The numbers in one sentence."""
        if self.verdict == UNMEASURED:
            return "This run has no values for it."
        unit = f" {self.unit}" if self.unit else ""
        values = ", ".join(f"{title} {self._text(value)}" for title, value in self.values)
        steps = "; ".join(
            f"{step.first} {self.relation} {step.second} by {self._signed(step.difference)}"
            f" [{self._signed(step.low)}, {self._signed(step.high)}]"
            for step in self.steps
        )
        pairs = min(step.pairs for step in self.steps)
        return f"{self.column}{unit}: {values}. {steps} (n = {pairs})."

    def _text(self, value: float) -> str:
        return f"{value:.{self.decimals}f}"

    def _signed(self, value: float) -> str:
        return signed(value, self.decimals)


def signed(value: float, decimals: int) -> str:
    """A difference as it is printed."""
    if not np.isfinite(value):
        return "–"
    return f"{value:+.{decimals}f}".replace("-", "−")


def check_claim(claim: Claim, table: TableEntry, records: pd.DataFrame) -> Finding:
    """Hold a claim against a run's records.

    It holds if every row is ahead of the next one by an interval (95 %, which draws cases and
    seeds) that leaves out zero; not beyond chance, if each is ahead in the mean alone. Rows that
    are to be alike must have intervals within the limits, or not beyond chance means within them.

    Parameters
    ----------
    table
        The entry that the claim names. A row without a method of its own, or without any common
        pair with the next one, cannot be told.
    records
        Tidy records of the table's experiments.
    """
    column = table.columns[claim.column]
    rows = [_row(table, claim.set, name) for name in claim.order]
    relation = "ahead of" if claim.alike is None else "differs from"
    head = (relation, column.title, column.unit, column.decimals)
    if any(row is None for row in rows):
        return Finding(claim.text, UNMEASURED, *head, (), ())
    means = [_means(records, row, column) for row in rows]
    sign = -1.0 if column.better == "lower" and claim.alike is None else 1.0
    steps = []
    for k in range(len(rows) - 1):
        first, second = _common(means[k], means[k + 1])
        if first.empty or second.empty:
            return Finding(claim.text, UNMEASURED, *head, (), ())
        both = [sign * part for part in (first, second)]
        difference, low, high = paired_interval(*map(sample_of, both))
        pairs = len(first.groupby(level=PAIR).size())
        steps.append(Step(rows[k].title, rows[k + 1].title, difference, low, high, pairs))
    values = tuple((row.title, float(part.mean())) for row, part in zip(rows, means, strict=True))
    return Finding(claim.text, _verdict(steps, claim.alike), *head, values, tuple(steps))


def _verdict(steps: Sequence[Step], alike: float | None) -> str:
    if alike is None:
        sure = [step.low > 0 for step in steps]
        likely = [step.difference > 0 for step in steps]
    else:
        sure = [-alike <= step.low and step.high <= alike for step in steps]
        likely = [abs(step.difference) <= alike for step in steps]
    if all(sure):
        return HOLDS
    return NOT_SURE if all(likely) else FAILS


def _row(table: TableEntry, heading: str, name: str) -> RowEntry | None:
    """The row of a set that was run here, if there is one."""
    for row in table.rows:
        if (row.set, row.id) == (heading, name) and row.method is not None and not row.single:
            return row
    return None


def _means(records: pd.DataFrame, row: RowEntry, column: Column) -> pd.Series:
    values = pair_values(records, row, column)
    return values[np.isfinite(values)].groupby(level=[*PAIR, SEED]).mean()


def _common(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Of both the pairs that both have; of different methods, of the same dataset."""
    pairs = [part.index.droplevel(SEED) for part in (first, second)]
    return first[pairs[0].isin(pairs[1])], second[pairs[1].isin(pairs[0])]
