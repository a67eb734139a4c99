"""What the rules of the arena ask."""

from __future__ import annotations

from typing import Any

from warpline.plan import arena
from warpline.plan.arena import Cell
from warpline.plan.colours import arena_colours
from warpline.plan.inputs.cases import batches_with, case_folders, cases_of
from warpline.plan.inputs.evaluate import labels, labels_outside
from warpline.plan.inputs.register import (
    cases_read,
    method_device,
    network_recipe,
    parameter_files,
    registration_code,
    trained_weights,
)
from warpline.plan.kinds import REGISTRARS
from warpline.plan.rivals import missing
from warpline.plan.run import Run


def cell_cases(run: Run, dataset: str, method: str, split: str) -> list[str]:
    """The cases that a cell reads."""
    return cases_read(run, method, arena.pairs(run.catalog, dataset, split))


def cell_batches(run: Run, dataset: str, method: str, split: str) -> list[str]:
    """The batches that hold them."""
    return batches_with(run, dataset, cell_cases(run, dataset, method, split))


def cell_weights(run: Run, dataset: str, method: str, split: str) -> str | list[str]:
    """The weights of a cell's network, of the dataset that it was trained on."""
    return trained_weights(run, arena.trained_on(run.catalog, Cell(dataset, method, split)), method)


def initial_files(run: Run, method: str) -> list[str]:
    """elastix' parameter files of the registration before a method's own."""
    initial = run.catalog.method(method)["initial"]
    return parameter_files(run, initial) if initial else []


def cell_settings(run: Run, dataset: str, method: str, split: str) -> dict[str, Any]:
    """All that a cell's values come from, apart from files."""
    catalog, settings = run.catalog, run.catalog.config["arena"]
    spec = catalog.method(method)
    initial = catalog.method(spec["initial"]) if spec["initial"] else None
    codes = [registration_code(run, name) for name in (method, spec["initial"]) if name]
    return {
        "experiment": {"dataset": dataset, "method": method, "split": split},
        "method": spec,
        "network": network_recipe(run, method),
        "initial": initial,
        "missing": missing(spec),
        "pairs": arena.pairs(catalog, dataset, split),
        "folders": case_folders(run, dataset, cell_cases(run, dataset, method, split)),
        "labels": labels(run, dataset),
        "outside": labels_outside(run, dataset),
        "device": method_device(run, method),
        "keep_fields": settings["keep_fields"],
        # Of the method as it is; its other strengths are for the curves alone.
        "both_directions": settings["both_directions"] and arena.STRENGTH not in method,
        "limit": settings["limit"],
        "code": [*codes, run.code("arena_cell.py", REGISTRARS[spec["kind"]])],
    }


def all_records(run: Run) -> list[str]:
    """The records of every cell."""
    return [
        run.layout.arena_cell(cell.dataset, cell.method, cell.split)
        for cell in arena.cells(run.catalog)
    ]


def contest(run: Run) -> dict[str, Any]:
    """What is told of the cells where they are compared."""
    catalog, settings = run.catalog, run.catalog.config["arena"]
    found, names = arena.cells(catalog), arena.names(catalog)
    return {
        "datasets": {
            name: {**part, "title": catalog.dataset(name).spec["title"]}
            | {key: catalog.dataset(name).spec[key] for key in ("licence", "citation")}
            | {"better": arena.HIGHER[part["metric"]]}
            for name, part in arena.datasets(catalog).items()
        },
        "cells": [
            {
                "dataset": cell.dataset,
                "method": cell.row,
                "split": cell.split,
                "name": cell.name,
                "title": arena.title(catalog, cell),
                "strength": _strength(run, cell),
            }
            for cell in found
            if not cell.seed
        ],
        # Of each of the cells' files, in their order.
        "seeds": [cell.seed for cell in found],
        "methods": {
            name: {
                "title": names[name],
                "cite": part["cite"],
                "colour": arena_colours(catalog)[name],
            }
            for name, part in arena.methods(catalog).items()
        },
        "regularity": settings["regularity"],
        "resamples": settings["resamples"],
        "scale": catalog.scale,
        "device": catalog.device,
        "fields": {
            f"{cell.dataset}/{cell.method}": run.layout.arena_fields(
                cell.dataset, cell.method, cell.split
            )
            for cell in found
            if settings["keep_fields"]
        },
        "folders": {
            name: case_folders(run, name, cases_of(arena.pairs(catalog, name, part["split"])))
            for name, part in arena.datasets(catalog).items()
        },
    }


def _strength(run: Run, cell: Cell) -> float | None:
    part = arena.methods(run.catalog)[cell.name].get("strength")
    return None if part is None else arena.strength(run.catalog, cell.method, part["key"])


def case_batches(run: Run) -> list[str]:
    """The batches of all datasets' cases, for pictures."""
    return sorted(
        {
            batch
            for cell in arena.cells(run.catalog)
            for batch in cell_batches(run, cell.dataset, cell.method, cell.split)
        }
    )


def code(run: Run) -> str:
    """Fingerprint of the comparison."""
    return run.code("arena.py")
