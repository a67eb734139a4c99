"""Cross-validation: a dataset's folds, and a recipe that leaves one out."""

from __future__ import annotations

from typing import Any

from warpline.errors import WarplineError
from warpline.plan.catalog import Catalog
from warpline.registry import suggestion


def folds(catalog: Catalog, dataset: str) -> list[str]:
    """The splits of a dataset's cross-validation.

    Raises
    ------
    WarplineError
        If it has none or more than one, names a split that no case has, or pairs a case of one
        fold with a case of another.
    """
    data = catalog.dataset(dataset)
    rules = data.spec["pairs"]
    pooled = [split for split, rule in rules.items() if rule.get("cross_validation")]
    where = f"{data.file}, key"
    if len(pooled) != 1:
        raise WarplineError(
            f"The dataset '{dataset}' has {len(pooled)} splits of a cross-validation.",
            where=f"{where} 'pairs'",
            do="Mark one with 'cross_validation: true'; its 'split' lists the folds.",
        )
    found = rules[pooled[0]]["split"]
    for fold in found:
        if fold not in data.splits:
            raise WarplineError(
                f"The fold '{fold}' is no split of the dataset '{dataset}'.",
                where=f"{where} 'pairs.{pooled[0]}'",
                do=suggestion(fold, data.splits),
            )
    if sorted(data.pairs(pooled[0])) != sorted(p for fold in found for p in data.pairs(fold)):
        raise WarplineError(
            f"The pairs of '{pooled[0]}' are not those of its folds together.",
            where=f"{where} 'pairs.{pooled[0]}'",
            do="Give it and each of its folds the same rule, one that pairs no case of one "
            "fold with a case of another.",
        )
    return found


def without_fold(catalog: Catalog, dataset: str, method: str, held_out: str) -> dict[str, Any]:
    """A recipe trained on the other folds; the one after the held-out fold validates."""
    spec = catalog.method(method)
    known = folds(catalog, dataset)
    if held_out not in known:
        raise WarplineError(
            f"The dataset '{dataset}' has no fold '{held_out}'.",
            where=f"method '{method}'",
            do=suggestion(held_out, known),
        )
    others = [fold for fold in known if fold != held_out]
    validation = dict(spec["training"]["validation"])
    if validation["split"] is not None:
        validation["split"] = known[(known.index(held_out) + 1) % len(known)]
        others.remove(validation["split"])
    if not others:
        raise WarplineError(
            f"With {len(known)} folds, one held out and one for validation, none is left to "
            "train on.",
            where=f"method '{method}', dataset '{dataset}'",
            do="Set training.validation.split to null, or make more folds.",
        )
    training = {**spec["training"], "splits": others, "validation": validation}
    return {**spec, "training": training}
