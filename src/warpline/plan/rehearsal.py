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
        validation = {**value["training"].get("validation", {}), "every": 1, "pairs": 1}
        value["training"] = {
            **value["training"],
            "epochs": 1,
            "steps_per_epoch": STEPS,
            "validation": validation,
        }
        if value["training"].get("objective") == "synthetic":
            value["training"]["sampling"] = {**value["training"]["sampling"], **ONE_PAIR}
    return value
