"""How a result came to be: code, versions, machine, settings; kept with the result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warpline import __version__
from warpline.files import checksum, write_json
from warpline.jobs import job

FOLDER = "provenance"  # in the results: the record of results/a/b is results/provenance/a/b.json

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

_devices: list[str] = []  # what this process has computed on, the CPU apart


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Installed versions of this package, Python and the named libraries."""
    found = {"warpline": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            told = importlib.metadata.distribution(name).read_text("METADATA") or ""
        except importlib.metadata.PackageNotFoundError:
            continue
        # Its own reader takes a hundredth of a second for each: it parses all of the text.
        version = re.search(r"^Version: *(\S+)", told, re.MULTILINE)
        found[name] = version[1] if version else importlib.metadata.version(name)
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


def used(device: str) -> None:
    """Remember that this process computes on a device."""
    if device not in _devices:
        _devices.append(device)


def device() -> str:
    """The devices that this process has computed on: ``cpu``, or the names of cards."""
    return ", ".join(_devices) or "cpu"


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


def record_path(results: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Where the record of an output lies.

    Parameters
    ----------
    results
        The folder of all results.
    path
        The output, relative to it.
    """
    return Path(results) / FOLDER / f"{os.fspath(path)}.json"


@contextmanager
def record_job(snakemake: Any, *settings: str) -> Iterator[dict[str, Any]]:
    """Keep a record of a job for each of its outputs, if the block succeeds.

    With every input stands its state before the job (`state`), so that a record tells which
    results it was made from, and whether those have been made anew since.

    Parameters
    ----------
    snakemake
        What Snakemake tells a script of its job: ``rule``, ``wildcards``, ``input``, ``output``,
        ``params``, ``log``, ``threads``, ``config``.
    settings
        Names of parameters to keep: those that say what was done, not to which files.

    Yields
    ------
    dict
        Further entries of the record, to be filled by the job. The entry ``apart`` is none itself:
        by output it has the ``settings`` and ``inputs`` of an output that has some of its own, and
        None for one that was left as it was, whose record stays too.
    """
    results = Path(snakemake.config.get("results", "results"))
    started, clock = time.time(), time.monotonic()
    inputs = {
        _relative(path, results): state(path, results) for path in dict.fromkeys(snakemake.input)
    }
    more: dict[str, Any] = {}
    yield more
    apart = more.pop("apart", {})
    kept = {path for path, own in apart.items() if own is None}
    outputs = {_relative(path, results): path for path in snakemake.output if path not in kept}
    entries = record(
        device(),
        time.monotonic() - clock,
        rule=snakemake.rule,
        wildcards=dict(snakemake.wildcards.items()),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        threads=snakemake.threads,
        settings={name: snakemake.params[name] for name in settings},
        inputs=inputs,
        outputs={name: content(path) for name, path in outputs.items()},
        log=_relative(snakemake.log[0], results),
        **more,
    )
    for name, path in outputs.items():
        own = dict(apart.get(path) or {})
        if "inputs" in own:
            names = [_relative(source, results) for source in own["inputs"]]
            own["inputs"] = {source: inputs[source] for source in names if source in inputs}
        write_json(record_path(results, name), entries | own)


@contextmanager
def recorded_job(snakemake: Any, *settings: str) -> Iterator[dict[str, Any]]:
    """What a script wraps its work in: the job's log and errors (`jobs.job`), and its record.

    Parameters
    ----------
    snakemake, settings
        See `record_job`.
    """
    with job(snakemake.log[0], snakemake.threads), record_job(snakemake, *settings) as entries:
        yield entries


def state(path: str | os.PathLike, results: str | os.PathLike) -> dict[str, Any]:
    """What tells a file or folder from another one made in its place.

    Returns
    -------
    Its `content`; of a folder and of an empty file, which only stands for something done, also the
    SHA-256 of its own ``record`` if it has one.
    """
    found = content(path)
    own = record_path(results, _relative(path, results))
    return found if "sha256" in found or not own.is_file() else {**found, "record": checksum(own)}


def content(path: str | os.PathLike) -> dict[str, Any]:
    """``sha256`` and ``bytes`` of a file; of a folder the number of its ``files`` and their
    ``bytes``, hidden ones apart; nothing for a file that is empty or does not exist.
    """
    path = Path(path)
    if path.is_dir():
        # Hidden files are Snakemake's and the system's, some of them added when a job has finished.
        files = (file for file in path.rglob("[!.]*") if file.is_file())
        sizes = [file.stat().st_size for file in files]
        return {"files": len(sizes), "bytes": sum(sizes)}
    if path.is_file() and path.stat().st_size:
        return {"sha256": checksum(path), "bytes": path.stat().st_size}
    return {}


def _relative(path: str | os.PathLike, results: str | os.PathLike) -> str:
    """A path as seen from the results, so that the folder may move."""
    return Path(os.path.relpath(path, results)).as_posix()
