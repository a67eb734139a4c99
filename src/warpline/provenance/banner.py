"""What a reader has to know of a run before its first number."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.provenance.record import revision

SCALES = {
    "demo": "Images are generated; networks are small and trained for minutes, or models of the "
    "house that were trained on other generated cases. The run shows that every step works, and "
    "what small networks learn; only scale paper can be held against the published numbers.",
    "cpu": "Real images where the datasets are, but smaller networks and shorter trainings than "
    "published.",
    "paper": "The published setting.",
}


def banner(run: Mapping[str, Any]) -> dict[str, str]:
    """Scale, data, date, code and machine, in words.

    Parameters
    ----------
    run
        ``scale``, ``device``, and ``generated``: whether each dataset of the run is generated.
    """
    return {
        "title": f"scale {run['scale']}",
        "means": SCALES[run["scale"]],
        "data": _data(run["generated"]),
        **here(run["device"]),
    }


def here(device: str) -> dict[str, str]:
    """Date, code and machine of this moment."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "code": revision(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, device {device}",
    }


def _data(generated: Mapping[str, bool]) -> str:
    real = [title for title, made in generated.items() if not made]
    if not real:
        return "generated images only"
    if len(real) == len(generated):
        return "real images"
    return f"real images of {', '.join(real)}; all else generated"


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
