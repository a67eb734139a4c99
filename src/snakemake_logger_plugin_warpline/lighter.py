"""Snakemake without what it does for nothing."""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Any

from snakemake.persistence import PersistenceBase


def without_pandas() -> None:
    """Let parameters be compared without loading pandas: before it is, no value can be of it."""
    whole = PersistenceBase._serialize_param_pandas
    if hasattr(whole, "whole"):
        return

    def serialize(self: PersistenceBase, value: Any) -> Any:
        if "pandas" in sys.modules:
            return whole(self, value)
        return self._serialize_param_builtin(value)

    serialize.whole = whole
    PersistenceBase._serialize_param_pandas = serialize


def end_quickly() -> None:
    """Let Python, when it ends, not look through all that is loaded for what it could free."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
