"""A rehearsal: published grids and networks on generated images, each training two steps long.

It is what one runs before the real thing, to see that the published scale starts at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of a dataset at scale demo, what says that its files are generated, and which.
GENERATED = ("phantom", "folder", "archives", "per_case", "scans", "pairs")
CASES, STEPS = 3, 2
# A synthetic pair takes as long as a step, and one has the patches of two steps: more would be made
# for nothing. It is one whose moving image is deformed, too.
ONE_PAIR = {"fields": 1, "in_memory": 1}
# Pairs that go by patients need both scans of each.
WHOLE_PATIENTS = 4


def rehearsed(kind: str, own: Mapping[str, Any], demo: Mapping[str, Any]) -> dict[str, Any]:
    """A file of config/<kind> for a rehearsal.

    Parameters
    ----------
    own
        As it is at the run's scale.
    demo
        As it is at scale demo, whose images are generated.
    """
    value = dict(own)
    if kind == "papers":
        return dict(demo)  # without the rows of test sets, whose labels nobody generates
    if kind == "datasets":
        value |= {key: demo[key] for key in GENERATED if key in demo}
        if demo.get("cases"):
            rules = demo.get("pairs", {}).values()
            patients = any(rule["from"] in ("patient", "sheet") for rule in rules)
            most = WHOLE_PATIENTS if patients else CASES
            value["cases"] = {split: min(n, most) for split, n in demo["cases"].items()}
    if kind == "methods" and "training" in value:
        value["training"] = _two_steps(value["training"])
    return value


def _two_steps(training: Mapping[str, Any]) -> dict[str, Any]:
    """A training of two full batches, as three cases may be fewer than one batch has."""
    sampling = training.get("sampling")
    # Where an epoch goes through pairs of cases it has one step; examples of a case can be more.
    epochs, steps = (STEPS, 1) if sampling is None else (1, STEPS)
    changed = {
        "epochs": epochs,
        "steps_per_epoch": steps,
        "validation": {**training.get("validation", {}), "every": epochs, "pairs": 1},
    }
    if training.get("objective") == "synthetic":
        changed["sampling"] = {**sampling, **ONE_PAIR}
    elif sampling is not None:
        enough = STEPS * training.get("batch_size", 1)
        changed["sampling"] = {**sampling, "crops": max(sampling.get("crops", 1), enough)}
    return {**training, **changed}
