"""Searches of a method's settings: on which pairs, and never on those that a table reports."""

from __future__ import annotations

from typing import Any

from warpline.errors import WarplineError
from warpline.plan.arena import HIGHER
from warpline.plan.arena import pairs as arena_pairs
from warpline.plan.catalog import Catalog, remembered
from warpline.plan.experiments import registrations
from warpline.plan.marks import TUNED, unmarked
from warpline.plan.pairs import ATLAS
from warpline.registry import suggestion


@remembered
def search(catalog: Catalog, dataset: str, method: str) -> dict[str, Any] | None:
    """How a method's settings are searched on a dataset; None if they are those of its file.

    Returns
    -------
    dict
        ``split``, its ``pairs``, ``settings`` with the values that are tried, the ``metric`` and
        which of it is ``better``, and the run's ``candidates``, ``seconds`` and ``resolution``.

    Raises
    ------
    WarplineError
        If the split has a case that a table reports, or two splits are asked for.
    """
    name = unmarked(method)[0]
    tune = catalog.tune(name)
    split = tune and (_asked(catalog, dataset) if name.endswith(TUNED) else tune["split"])
    if not split:
        return None
    spec = catalog.dataset(dataset)
    how = catalog.config["tune"]
    if split not in spec.spec["pairs"]:
        raise WarplineError(
            f"The dataset '{dataset}' has no pairs '{split}', on which '{method}' is to be tuned.",
            where=f"{spec.file}, key 'pairs'",
            do=suggestion(split, list(spec.spec["pairs"])),
        )
    pairs = [pair for pair in spec.pairs(split) if ATLAS not in pair][: how["pairs"]]
    reported = _reported(catalog, dataset)
    both = sorted({case for pair in pairs for case in pair} & set(reported))
    if both:
        raise WarplineError(
            f"'{method}' would be tuned on the pairs '{split}' of '{dataset}', and "
            f"{reported[both[0]]} reports the case '{both[0]}'.",
            where=f"method '{name}', key 'tune.split', or key 'tune' of the study or dataset",
            do="Name pairs of other cases, such as training ones (key 'pairs' of the dataset).",
        )
    part = catalog.arena("datasets", dataset) or {}
    metric = part.get("metric") or ("dice" if spec.spec["labels"] else "tre")
    return {
        "split": split,
        "pairs": pairs,
        "settings": tune["settings"],
        "metric": metric,
        "better": HIGHER[metric],
        **{key: how[key] for key in ("candidates", "seconds", "resolution")},
    }


def _asked(catalog: Catalog, dataset: str) -> str:
    """The pairs of a dataset that studies and the arena name for searches."""
    found = {
        study["tune"]["split"]: f"the study '{name}'"
        for name, study in catalog.config["studies"].items()
        if "tune" in study and dataset in study["datasets"]
    }
    if catalog.config["arena"]["tune"]:
        part = catalog.arena("datasets", dataset) or {}
        if part.get("tune"):
            found.setdefault(part["tune"], "the arena")
    if len(found) != 1:
        named = " and ".join(f"{who} ('{split}')" for split, who in found.items())
        raise WarplineError(
            f"Settings for '{dataset}' are to be searched on "
            + (f"different pairs by {named}." if named else "pairs that nothing names."),
            where="key 'tune' of the studies, or 'arena.tune' of the dataset",
            do="Name the same pairs everywhere.",
        )
    return next(iter(found))


@remembered
def _reported(catalog: Catalog, dataset: str) -> dict[str, str]:
    """The cases of a dataset that tables report, and which."""
    found: dict[str, str] = {}
    data = catalog.dataset(dataset)
    part = catalog.arena("datasets", dataset)
    if part:
        for pair in arena_pairs(catalog, dataset, part["split"]):
            found |= dict.fromkeys(pair, "the arena")
    for paper in catalog.papers:
        splits = {e.split for e in registrations(catalog, paper) if e.dataset == dataset}
        for split in splits:
            for pair in data.pairs(split):
                found |= dict.fromkeys(pair, f"'{paper}'")
    found.pop(ATLAS, None)
    return found
