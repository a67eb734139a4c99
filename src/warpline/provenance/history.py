"""How results came to be: their own records and those of all that they were made from."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from warpline.errors import WarplineError
from warpline.provenance.record import FOLDER, record_path, state

LARGEST_HASHED = 1 << 28  # bytes: of a larger file only the size is compared


@dataclass
class Result:
    """One file or folder of a run.

    Attributes
    ----------
    path
        As seen from the folder of all results.
    record
        What `warpline.provenance.record.keep` has kept of the job that made it; empty if nothing.
    problems
        Why it may not be what the record says; empty if it is.
    """

    path: str
    record: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> list[str]:
        return list(self.record.get("inputs", ()))

    @property
    def seconds(self) -> float:
        return float(self.record.get("seconds", 0))


@dataclass
class History:
    """A result and all that it was made from.

    Attributes
    ----------
    target
        Path of the result asked for, as seen from the folder `results`.
    all
        Every result by its path: the target first, each before what it was made from.
    """

    results: Path
    target: str
    all: dict[str, Result]

    @property
    def problems(self) -> dict[str, list[str]]:
        """What does not fit, by path."""
        return {path: found.problems for path, found in self.all.items() if found.problems}

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Every job's record once, however many outputs it has."""
        seen = set()
        for result in self.all.values():
            outputs = tuple(result.record.get("outputs", ()))
            if outputs and outputs not in seen:
                seen.add(outputs)
                yield result.record

    def archives(self) -> dict[str, list[dict[str, Any]]]:
        """The archives that the data came in, by dataset: name, digests, size in bytes, source."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self.jobs():
            for archive in record.get("archives", ()):
                found.setdefault(record["wildcards"]["dataset"], []).append(archive)
        return {name: sorted(found[name], key=lambda a: a["name"]) for name in sorted(found)}

    def own_files(self) -> dict[str, dict[str, Any]]:
        """Files from outside the results that cases were read from, with their digests."""
        return {
            path: known
            for record in self.jobs()
            if record["rule"] in ("prepare", "prepare_aligned")
            for path, known in record["inputs"].items()
            if path.startswith("../") or PurePosixPath(path).is_absolute()
        }

    def generated(self) -> dict[str, dict[str, Any]]:
        """What the generated datasets were made from, by dataset."""
        return {
            record["wildcards"]["dataset"]: record["settings"]["phantom"]
            for record in self.jobs()
            if record["rule"] == "phantom"
        }

    def recipes(self) -> dict[str, dict[str, Any]]:
        """Settings of every method that registered or was trained, by dataset and method."""
        found = {}
        for record in self.jobs():
            settings = record.get("settings", {})
            method = settings.get("recipe") or settings.get("method")
            if method:
                names = record["wildcards"]
                found[f"{names['dataset']}/{names['method']}"] = method
        return dict(sorted(found.items()))

    def summary(self) -> dict[str, Any]:
        """What all jobs have in common and what they took together."""
        jobs = list(self.jobs())
        versions: dict[str, set[str]] = {}
        for job in jobs:
            for name, version in job["versions"].items():
                versions.setdefault(name, set()).add(version)
        return {
            "jobs": dict(Counter(job["rule"] for job in jobs)),
            "code": sorted({job["code"] for job in jobs}),
            "versions": {name: sorted(found) for name, found in versions.items()},
            "systems": sorted({job["machine"]["system"] for job in jobs}),
            "devices": sorted({job["machine"]["device"] for job in jobs}),
            "seeds": {
                name: method["seed"] for name, method in self.recipes().items() if "seed" in method
            },
            "seconds": round(sum(job["seconds"] for job in jobs), 1),
            "peak_memory_mib": max((job["peak_memory_mib"] for job in jobs), default=0),
            "first": min((job["started"] for job in jobs), default=""),
            "last": max((job["started"] for job in jobs), default=""),
            "generated": self.generated(),
            "archives": self.archives(),
            "own_files": self.own_files(),
        }


def history(path: str | os.PathLike) -> History:
    """Everything known of how a file or folder of the results came to be.

    Parameters
    ----------
    path
        A table, figure, model, record file, report, or anything else that a job has made; also a
        file inside a folder that a job has made.

    Raises
    ------
    WarplineError
        If there is no such file, it lies in no folder of results, or no record of it is kept.
    """
    path = Path(os.path.abspath(path))
    if not path.exists():
        raise WarplineError(
            "There is no such file or folder.", where=path, do="Make it with the workflow first."
        )
    results = _results_of(path)
    target = _recorded(results, path)
    found: dict[str, Result] = {}
    states: dict[str, dict[str, Any]] = {}
    waiting = [target]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = _result(results, name, states)
            waiting += found[name].inputs
    return History(results, target, found)


def _results_of(path: Path) -> Path:
    """The folder of all results that a path lies in."""
    for folder in path.parents:
        if (folder / FOLDER).is_dir() and folder / FOLDER not in (path, *path.parents):
            return folder
    raise WarplineError(
        "This lies in no folder of results that keeps records of how they came to be.",
        where=path,
        do=f"Name a file below a folder that has '{FOLDER}' beside the papers; results of an "
        "older version have none until the workflow has made them again.",
    )


def _recorded(results: Path, path: Path) -> str:
    """The path itself or the nearest folder around it that a record is kept of."""
    relative = path.relative_to(results)
    for candidate in (relative, *relative.parents[:-1]):
        if record_path(results, candidate).is_file():
            return candidate.as_posix()
    inside = sorted((results / FOLDER / relative).rglob("*.json")) if path.is_dir() else []
    example = inside[0].relative_to(results / FOLDER).with_suffix("") if inside else None
    raise WarplineError(
        "No record is kept of how this came to be"
        + (", only of what lies in it." if example else "."),
        where=path,
        do=f"Name what a job has made, such as {results / example}."
        if example
        else "Only what the workflow's jobs make has one; make it again if it had.",
    )


def _result(results: Path, name: str, states: dict[str, dict[str, Any]]) -> Result:
    """What is known of one path; `states` are those that were looked at before."""

    def now(path: str) -> dict[str, Any]:
        if path not in states:
            states[path] = _state(results, path)
        return states[path]

    file = record_path(results, name)
    if not file.is_file():
        inside = not name.startswith("../") and not PurePosixPath(name).is_absolute()
        return Result(name, {}, ["no record of how it came to be is kept"] * inside)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        outputs, inputs = record["outputs"], record["inputs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WarplineError(
            f"The record of a result cannot be read ({type(error).__name__}: {error}).",
            where=file,
            do="Delete it, and have the workflow make the result again.",
        ) from error
    problems = []
    if not (results / name).exists():
        problems.append("is no longer there")
    elif _differs(outputs.get(name, {}), now(name)):
        problems.append("has changed since it was made")
    problems += [
        f"was made from an earlier {path}"
        for path, before in inputs.items()
        if (results / path).exists() and _differs(before, now(path))
    ]
    return Result(name, record, problems)


def _state(results: Path, path: str) -> dict[str, Any]:
    full = results / path
    if full.is_file() and full.stat().st_size > LARGEST_HASHED:
        return {"bytes": full.stat().st_size}
    return state(full, results)


def _differs(before: dict[str, Any], now: dict[str, Any]) -> bool:
    return any(now[key] != value for key, value in before.items() if key in now)
