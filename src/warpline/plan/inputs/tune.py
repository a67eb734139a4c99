"""What the rule that searches a method's settings asks, and who waits for it."""

from __future__ import annotations

from typing import Any

from warpline.errors import WarplineError
from warpline.plan import tuning
from warpline.plan.inputs.cases import batches_with, case_folders, cases_of
from warpline.plan.inputs.evaluate import labels, labels_outside
from warpline.plan.inputs.register import (
    method_device,
    network_recipe,
    registration_code,
)
from warpline.plan.kinds import REGISTRARS
from warpline.plan.rivals import missing
from warpline.plan.run import Run


def tuned_file(run: Run, dataset: str, method: str) -> str | list[str]:
    """The settings that a method registers a dataset by, if they are searched."""
    found = tuning.search(run.catalog, dataset, method)
    # A rival that is not installed is skipped, and nothing is searched for it.
    if found is None or missing(run.catalog.method(method)):
        return []
    return run.layout.tuned(dataset, method)


def search(run: Run, dataset: str, method: str) -> dict[str, Any]:
    """The search of a method's settings on a dataset."""
    found = tuning.search(run.catalog, dataset, method)
    if found is None:
        raise WarplineError(
            f"The settings of '{method}' are not searched on '{dataset}'.",
            do="Give the method 'tune' with a split, or a study or the arena 'tune'.",
        )
    return found


def search_batches(run: Run, dataset: str, method: str) -> list[str]:
    """The batches that hold the cases on which is searched."""
    return batches_with(run, dataset, cases_of(search(run, dataset, method)["pairs"]))


def search_settings(run: Run, dataset: str, method: str) -> dict[str, Any]:
    """All that a search depends on, apart from files."""
    catalog, found = run.catalog, search(run, dataset, method)
    spec = catalog.method(method)
    codes = [registration_code(run, name) for name in (method, spec["initial"]) if name]
    return {
        "dataset": dataset,
        "search": found,
        "method": spec,
        "network": network_recipe(run, method),
        "initial": catalog.method(spec["initial"]) if spec["initial"] else None,
        "pairs": found["pairs"],
        "folders": case_folders(run, dataset, cases_of(found["pairs"])),
        "labels": labels(run, dataset),
        "outside": labels_outside(run, dataset),
        "device": method_device(run, method),
        "code": [*codes, run.code("tune.py", REGISTRARS[spec["kind"]])],
    }
