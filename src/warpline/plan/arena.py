"""The arena: which methods meet on which datasets, as their own files say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.kinds import UNREGISTERED
from warpline.plan.marks import STRENGTH, TUNED, marked, unmarked
from warpline.plan.pairs import ATLAS, Pair
from warpline.plan.trainings import given, network_method
from warpline.registry import suggestion

HIGHER = {"dice": "higher", "tre": "lower"}


@dataclass(frozen=True, order=True)
class Cell:
    """One method on a dataset's pairs.

    `method` may carry a strength of its regularisation, or what is added to its seed.
    """

    dataset: str
    method: str
    split: str

    @property
    def name(self) -> str:
        """The method without either."""
        return unmarked(self.method)[0].partition(STRENGTH)[0]

    @property
    def row(self) -> str:
        """The method of the row that it is part of: all seeds are one."""
        return unmarked(self.method)[0]

    @property
    def seed(self) -> int:
        """What is added to the method's seed."""
        return unmarked(self.method)[2]


@remembered
def datasets(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The datasets that take part, and how."""
    return _taking_part(catalog, "datasets", catalog.config["arena"]["datasets"])


@remembered
def methods(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The methods that take part, and how; unregistered pairs are always there to compare with."""
    asked = catalog.config["arena"]["methods"]
    found = _taking_part(
        catalog, "methods", None if asked is None else list(dict.fromkeys([UNREGISTERED, *asked]))
    )
    if asked is None:
        found = {name: part for name, part in found.items() if not part["slow"]}
    if catalog.config["arena"]["tune"]:
        for name in list(found):
            if catalog.tune(name):
                part = {key: value for key, value in found[name].items() if key != "strength"}
                found[name + TUNED] = part
    return dict(sorted(found.items(), key=lambda item: item[0] != UNREGISTERED))


def _taking_part(catalog: Catalog, kind: str, asked: list[str] | None) -> dict[str, dict[str, Any]]:
    found = {}
    for name in catalog.known(kind) if asked is None else asked:
        part = catalog.arena(kind, name)
        if part is not None:
            found[name] = part
        elif asked is not None:
            raise WarplineError(
                f"'{name}' takes no part in the arena.",
                where=f"key 'arena.{kind}' of the configuration",
                do="Give its file the key 'arena'. "
                + suggestion(name, [n for n in catalog.known(kind) if catalog.arena(kind, n)]),
            )
    return found


@remembered
def cells(catalog: Catalog) -> list[Cell]:
    """All that is measured, the methods' other strengths included."""
    settings, found = catalog.config["arena"], []
    for dataset, place in datasets(catalog).items():
        for method, part in methods(catalog).items():
            trained_on = part.get("trained_on", dataset)
            kind = catalog.method(method)["kind"]
            # What needs an atlas or an embedding of its own is at home there alone.
            if trained_on != dataset and (kind != "network" or not settings["elsewhere"]):
                continue
            if method.endswith(TUNED) and place["tune"] is None:
                continue
            network = network_method(catalog, method)
            trainings = settings["seeds"] if network and not given(catalog, network) else 1
            for seed in range(trainings):
                found.append(Cell(dataset, marked(method, "", seed), place["split"]))
            asked = settings["strengths"]
            if "strength" in part and (method in asked if isinstance(asked, list) else asked):
                own = strength(catalog, method, part["strength"]["key"])
                found += [
                    Cell(dataset, f"{method}{STRENGTH}{value:g}", place["split"])
                    for value in part["strength"]["values"]
                    if value != own
                ]
    return found


def strength(catalog: Catalog, method: str, key: str) -> float | None:
    """The strength of a method; None where its tool has a default that is not said."""
    value: Any = catalog.method(method)
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else float(value)


def trained_on(catalog: Catalog, cell: Cell) -> str:
    """The dataset on which a cell's network is trained."""
    return methods(catalog)[cell.name].get("trained_on", cell.dataset)


def pairs(catalog: Catalog, dataset: str, split: str) -> list[Pair]:
    """The pairs that every method registers: the first ones of the split."""
    found = catalog.dataset(dataset).pairs(split)
    return [pair for pair in found if ATLAS not in pair][: catalog.config["arena"]["pairs"]]


def title(catalog: Catalog, cell: Cell) -> str:
    """A cell's method as it stands in tables; marked where it was trained on other data."""
    found = catalog.method(cell.method)["title"]
    other = trained_on(catalog, cell)
    if other != cell.dataset:
        found += f" (trained on {other})"
    return found


def names(catalog: Catalog) -> dict[str, str]:
    """The methods' titles, as they stand where datasets are together.

    Those that share theirs are told apart by the dataset that they learned from.
    """
    titles = {name: catalog.method(name)["title"] for name in methods(catalog)}
    often = Counter(titles.values())
    return {
        name: f"{title} ({part['trained_on']})"
        if often[title] > 1 and "trained_on" in part
        else title
        for (name, title), part in zip(titles.items(), methods(catalog).values(), strict=True)
    }
