"""A method with settings that were searched (`warpline.evaluation.tuning`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def with_settings(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A method's file with other values, by their places in it (``parameters.smoothing``)."""
    changed = dict(spec)
    for place, value in changes.items():
        part, _, key = place.partition(".")
        changed[part] = {**changed[part], key: value}
    return changed


def tuned(spec: Mapping[str, Any], file: str | os.PathLike | None) -> dict[str, Any]:
    """A method's file as a search left it; as it is where there is no file of one."""
    if not file:
        return dict(spec)
    return with_settings(spec, json.loads(Path(file).read_text(encoding="utf-8"))["settings"])
