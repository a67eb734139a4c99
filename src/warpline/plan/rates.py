"""What is known of sizes and rates: config/budget.yaml, and what was measured on this machine.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.config import merge, read_yaml
from warpline.plan.layout import Layout
from warpline.registry import suggestion

NAME = "budget.yaml"
OPEN = 1  # so deep keys are those of the project's file; below, datasets and methods are anybody's


@remembered
def known(catalog: Catalog) -> dict[str, Any]:
    """The project's file, over it ``budget.yaml`` of one's own folder, over both what was measured.

    Raises
    ------
    WarplineError
        If a file that is laid over has a key that there is not, or something else than a number.
    """
    found = read_yaml(catalog.places.root / "config" / NAME)
    for path in (*(folder / NAME for folder in catalog.places.owns), measured_file(catalog)):
        if path.is_file():
            over = read_yaml(path)
            check(over, found, path)
            found = merge(found, over)
    return found


def measured_file(catalog: Catalog) -> Path:
    """Where ``warpline budget --measure`` keeps what it has measured: with the results."""
    return Path(Layout(catalog.config["results"]).rates)


def check(
    over: Mapping[str, Any], found: Mapping[str, Any], path: Path, within: tuple[str, ...] = ()
) -> None:
    """Refuse what cannot be laid over what is found: other keys, and what is no number.

    Parameters
    ----------
    path
        The file that `over` is of, for errors.
    within
        The keys that lead to it.
    """
    for key, value in over.items():
        place = (*within, str(key))
        if key not in found and len(within) < OPEN:
            raise WarplineError(
                f"There is no key '{key}'.", where=path, do=suggestion(str(key), list(found))
            )
        before = found.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping | None):
            check(value, before or {}, path, place)
        elif isinstance(before, Mapping) or not _is_number(value):
            raise WarplineError(
                f"'{'.'.join(place)}' is {value!r}.",
                where=path,
                do="Write it as config/budget.yaml of the project has it: numbers, or null.",
            )


def _is_number(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(
        v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values
    )
