"""How a result came to be: code, versions, machine, settings; kept beside the result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from warpline import __version__

LIBRARIES = (
    "snakemake",
    "torch",
    "SimpleITK",
    "antspyx",
    "itk-elastix",
    "numpy",
    "scipy",
    "pandas",
)


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Installed versions of this package, Python and the named libraries."""
    found = {"warpline": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision(folder: str | os.PathLike = Path(__file__).parent) -> str:
    """The code's git revision, with ``+changes`` where files differ from it; or ``unknown``."""
    command = ["git", "-C", os.fspath(folder), "describe", "--always", "--dirty=+changes"]
    try:
        head = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip()


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        pass
    # Elsewhere than on Linux; there it would count the parent that started this process too.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


def record(device: str, seconds: float, **more: Any) -> dict[str, Any]:
    """A provenance record of the running job."""
    entries: Mapping[str, Any] = {
        "code": revision(),
        "versions": versions(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "device": device},
        "seconds": round(seconds, 3),
        "peak_memory_mib": round(peak_memory(), 1),
    }
    return {**entries, **more}
