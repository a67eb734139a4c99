"""Rows of tables that a paper's file does not name one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from warpline.plan.datasets import Datasets
from warpline.plan.methods import Methods
from warpline.plan.splits import split_and_suffix


def with_extra_rows(rows: list[dict], extra: Sequence[str], methods: Methods) -> list[dict]:
    """The rows with the configuration's extra methods on every dataset and split of a table.

    They come after the last row of their set. Their titles say that no paper has them, and whether
    it is the project's own method.
    """
    runs = [row for row in rows if "method" in row and not split_and_suffix(row["split"])[1]]
    places = dict.fromkeys((row["dataset"], row["split"], row["set"]) for row in runs)
    present = {(row["method"], row["dataset"], row["split"]) for row in runs}
    found = list(rows)
    for dataset, split, name in places:
        own = [
            {
                "id": f"{method}-{dataset}-{split}",
                "title": _marked(methods.get(method)),
                "set": name,
                "dataset": dataset,
                "method": method,
                "split": split,
                "published": {},
            }
            for method in extra
            if (method, dataset, split) not in present
        ]
        last = max(place for place, row in enumerate(found) if row["set"] == name)
        found[last + 1 : last + 1] = own
    return found


def _marked(method: Mapping[str, Any]) -> str:
    own = "ours, " if method["kind"] == "warpline" else ""
    return f"{method['title']} ({own}not in the paper)"


def pair_rows(rows: list[dict], datasets: Datasets) -> Iterator[dict]:
    """Every row for one pair after the other; those that are only published stand as such."""
    pairs = [
        datasets.get(row["dataset"]).pairs(row["split"]) if "method" in row else [] for row in rows
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


def table_rows(paper: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of methods in a paper's tables."""
    return [row for table in paper["tables"].values() for row in table["rows"] if "method" in row]


def rows_shown(paper: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of methods in a paper's tables, then in its figures."""
    figures = [row for figure in paper["figures"].values() for row in figure["experiments"]]
    return [*table_rows(paper), *(row for row in figures if "method" in row)]


def title_of_run(title: str, method: str, methods: Methods) -> str:
    """A row's title, with the weights of its method's losses at this run's scale put in.

    ``{regularisation}`` and ``{dice}`` are those of the method, or of the network that it uses.
    """
    if "{" not in title:
        return title
    spec: Mapping[str, Any] = methods.get(method)
    loss = (spec if "loss" in spec else methods.get(spec["method"]))["loss"]
    weights = {name: in_print(loss[name]["weight"]) for name in ("regularisation", "dice")}
    return title.format(**weights)


def in_print(weight: float) -> str:
    """A number as a paper prints it: ``10⁻⁴``, and ``0.1``, ``5`` or ``2·10⁻⁴``."""
    if weight == 0 or abs(weight) >= 0.01:
        return f"{weight:g}"
    mantissa, _, exponent = f"{weight:e}".partition("e")
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"
