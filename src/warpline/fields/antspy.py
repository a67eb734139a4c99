"""The package ants without its parts for pictures and learning.

It loads them for whoever imports it, and with them matplotlib and scikit-learn: half of the two
seconds that a job with ANTs takes to start.
"""

from __future__ import annotations

import sys
from types import ModuleType

LEFT_OUT = ("plotting", "learn", "contrib", "deeplearn")


def load_ants() -> ModuleType:
    """``ants`` for registration, transforms and images; as it is if it has been imported before."""
    names = [] if "ants" in sys.modules else [f"ants.{part}" for part in LEFT_OUT]
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        import ants
    finally:
        for name in names:
            del sys.modules[name]  # who asks for one by its name gets it
    return ants
