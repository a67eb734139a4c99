"""A table's entry of a paper file, as the schema leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Within:
    """Only labels whose value of another measurement is above so much and at most so much.

    `method` is whose measurement, None for the row's own; None as `above` is no lower limit.
    """

    metric: str
    at_most: float
    above: float | None
    method: str | None

    @classmethod
    def of(cls, within: Mapping[str, Any]) -> Within:
        """From ``within`` of a column."""
        return cls(within["metric"], within["at_most"], within.get("above"), within.get("method"))


@dataclass(frozen=True)
class Column:
    """What a column measures, aggregates and prints; None stands where the schema has no default.

    Attributes
    ----------
    metric, label, within
        What of the records counts: a metric, of one label alone, or of those that another
        measurement chooses.
    statistic, q, over
        ``mean``, ``median``, ``std`` or ``quantile`` of order `q`, over ``pairs`` or ``labels``.
    better
        ``higher``, ``lower`` or ``none``.
    judged
        See `warpline.tables.build.is_judged`.
    spread
        The column that stands in this one's cells, after ±.
    optional
        Whether it is left out if nothing measured it.
    """

    title: str
    metric: str
    label: str | None
    within: Within | None
    statistic: str
    q: float | None
    over: str
    better: str
    judged: bool | None
    decimals: int
    published_decimals: int
    unit: str
    spread: str | None
    optional: bool

    @classmethod
    def of(cls, column: Mapping[str, Any]) -> Column:
        """From one of a table's ``columns``."""
        return cls(
            title=column["title"],
            metric=column["metric"],
            label=column.get("label"),
            within=Within.of(column["within"]) if "within" in column else None,
            statistic=column["statistic"],
            q=column.get("q"),
            over=column["over"],
            better=column["better"],
            judged=column["judged"],
            decimals=column["decimals"],
            published_decimals=column["published_decimals"],
            unit=column["unit"],
            spread=column.get("spread"),
            optional=column["optional"],
        )


@dataclass(frozen=True)
class RowEntry:
    """A method on a dataset's split; without a method a row that stands as published.

    Attributes
    ----------
    id
        What the table's reference names.
    set
        The heading under which it stands, with its own reference.
    fixed, moving
        Of a row of this pair alone.
    published
        Column to what the paper prints.
    """

    id: str
    title: str
    set: str
    dataset: str | None
    method: str | None
    split: str | None
    fixed: str | None
    moving: str | None
    published: Mapping[str, float]

    @property
    def single(self) -> bool:
        """Whether it is of one pair alone."""
        return self.fixed is not None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RowEntry:
        """From one of a table's ``rows``."""
        place = {key: row.get(key) for key in ("dataset", "method", "split", "fixed", "moving")}
        return cls(row["id"], row["title"], row["set"], **place, published=row["published"])


@dataclass(frozen=True)
class TableEntry:
    """A table: its `columns` by id, and its `rows`; `reference` is the id of a row, or None."""

    title: str
    caption: str
    reference: str | None
    columns: Mapping[str, Column]
    rows: tuple[RowEntry, ...]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> TableEntry:
        """From one of a paper's ``tables``."""
        return cls(
            title=table["title"],
            caption=table["caption"],
            reference=table["reference"],
            columns={name: Column.of(column) for name, column in table["columns"].items()},
            rows=tuple(map(RowEntry.of, table["rows"])),
        )
