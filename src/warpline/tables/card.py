"""The card of a model: what it was trained on and how, and how well it does on held-out cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from warpline.tables.intervals import Sample, case_interval

# Of the machine and of the training, not of the registrations.
NO_SCORES = ("seconds", "peak_memory", "training_epochs")


def model_card(
    training: Mapping[str, Any],
    about: Mapping[str, Any],
    records: pd.DataFrame | None,
    weights_sha256: str,
) -> dict[str, Any]:
    """What a model's users need to know of it.

    Parameters
    ----------
    training
        What the training kept of itself: recipe, seed, code, versions, machine, seconds.
    about
        ``name``, ``about``, ``dataset`` and ``scored`` (method and split), of the configuration.
    records
        Tidy records of cases that nothing was trained on; None where nothing is measured.
    weights_sha256
        Of the file that is kept, which is in half precision.
    """
    own = {key: value for key, value in training.items() if key != "weights_sha256"}
    return {
        **about,
        "precision": "float16",
        "weights_sha256": weights_sha256,
        "scores": [] if records is None else scores(records),
        **own,
    }


def scores(records: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean and 95 % interval, which draws cases, of every metric of an experiment's records.

    A pair's value is the mean over its labels.

    Returns
    -------
    list of dict
        ``metric``, ``unit``, ``mean``, ``low``, ``high`` (None where the cases tell nothing of a
        spread), ``pairs``, ``cases``.
    """
    found = []
    for metric, rows in records.groupby("metric", sort=True):
        if metric in NO_SCORES:
            continue
        pairs = rows.groupby(["fixed", "moving"])["value"].mean().dropna().reset_index()
        if pairs.empty:
            continue
        values = pairs["value"].to_numpy(float)
        low, high = case_interval(Sample.of(values, pairs["fixed"], pairs["moving"]))
        found.append(
            {
                "metric": metric,
                "unit": str(rows["unit"].iloc[0]),
                "mean": _rounded(values.mean()),
                "low": _rounded(low),
                "high": _rounded(high),
                "pairs": len(pairs),
                "cases": len({*pairs["fixed"], *pairs["moving"]}),
            }
        )
    return found


def _rounded(value: float) -> float | None:
    """To five significant digits; None for what is not finite."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
