"""The history of a result, told on a terminal or as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from warpline.provenance.history import History, Result

WIDTH = 14  # characters of a heading
MANY = 4  # jobs of one kind side by side, from which on they are told as one
DATA = ("data", "phantom")  # folders of what is done once for a dataset


def as_data(found: History) -> dict[str, Any]:
    """Everything, as plain values: the target, a summary, what does not fit, all records."""
    return {
        "target": found.target,
        "results": str(found.results),
        "summary": found.summary(),
        "problems": found.problems,
        "recipes": found.recipes(),
        "records": {path: result.record for path, result in found.all.items()},
    }


def as_text(found: History, *, full: bool = False) -> str:
    """A page of text: the result, a summary, its data, what does not fit, the jobs behind it.

    Parameters
    ----------
    full
        Also the jobs that prepared the data, which are otherwise counted.
    """
    target, summary = found.all[found.target], found.summary()
    lines = [
        found.target,
        *_entry("made by", [_job(target)]),
        *_entry("started", [target.record["started"]]),
    ]
    if "sha256" in target.record["outputs"][found.target]:
        lines += _entry("sha256", [target.record["outputs"][found.target]["sha256"]])
    lines += ["", "All jobs behind it"]
    lines += _entry("jobs", [f"{n} {rule}" for rule, n in summary["jobs"].items()], ", ")
    lines += _entry("took", [f"{duration(summary['seconds'])} together"])
    lines += _entry("memory", [f"{summary['peak_memory_mib']:.0f} MiB at most"])
    lines += _entry("devices", summary["devices"])
    lines += _entry("systems", summary["systems"])
    lines += _entry("code", summary["code"])
    versions = [f"{name} {' and '.join(v)}" for name, v in summary["versions"].items()]
    lines += _entry("versions", versions, ", ")
    lines += _entry("recipes", _recipes(found))
    lines += _entry("generated", _generated(summary["generated"]))
    lines += _entry("data", _archives(summary["archives"]))
    lines += _entry("own files", [f"{p}  sha256:{_sum(k)}" for p, k in found.own_files().items()])
    problems = [f"{path} {what}" for path, all_ in found.problems.items() for what in all_]
    lines += ["", "Not as the records say", *(f"  {problem}" for problem in problems)] * bool(
        problems
    )
    lines += ["", "What it was made from", *_tree(found, full)]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``3.2 s``, ``4 min 5 s``, ``2 h 7 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _entry(heading: str, values: Iterable[str], between: str = "\n") -> list[str]:
    """A heading with its values, one a line or in one; nothing without values."""
    values = list(values)
    if between != "\n" and values:
        values = [between.join(values)]
    return [
        f"  {heading if not place else '':<{WIDTH}}{value}" for place, value in enumerate(values)
    ]


def _job(result: Result) -> str:
    record = result.record
    return (
        f"{record['rule']}: {duration(record['seconds'])}, {record['peak_memory_mib']:.0f} MiB, "
        f"{record['machine']['device']}"
    )


def _recipes(found: History) -> list[str]:
    lines = []
    for name, method in found.recipes().items():
        # A method that is no network has neither of them.
        network, training = method.get("network") or {}, method.get("training") or {}
        known = {"epochs": training.get("epochs"), "seed": method.get("seed")}
        parts = [method.get("kind"), network.get("name")]
        parts += [f"{key} {value}" for key, value in known.items() if value is not None]
        lines.append(f"{name}: {', '.join(filter(None, parts))}")
    return lines


def _generated(phantoms: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{dataset}: {phantom.get('kind', '')}, seed {phantom.get('seed', 'unknown')}"
        for dataset, phantom in phantoms.items()
    ]


def _archives(archives: dict[str, list[dict[str, Any]]]) -> list[str]:
    return [
        f"{dataset}: {archive['name']}  sha256:{_sum(archive)}  {archive['source']}"
        for dataset, known in archives.items()
        for archive in known
    ]


def _sum(known: dict[str, Any]) -> str:
    return str(known.get("sha256", "unknown"))


# The tree ---------------------------------------------------------------------------------------


def _tree(found: History, full: bool) -> list[str]:
    lines: list[str] = []
    told = {found.target}

    def branch(result: Result, indent: str) -> None:
        children = [found.all[path] for path in sorted(result.inputs)]
        groups = _groups([c for c in children if full or not _of_data(c.path)])
        hidden = [c.path for c in children if not full and _of_data(c.path)]
        entries: list[tuple[str, Result | None]] = [
            (_line(group), group[0] if len(group) == 1 else None) for group in groups
        ]
        if hidden:
            datasets = dict.fromkeys("/".join(PurePosixPath(p).parts[:3]) for p in hidden)
            entries += [(f"{name}  (data)", None) for name in datasets]
        for place, (text, child) in enumerate(entries):
            last = place == len(entries) - 1
            again = child is not None and child.path in told and bool(child.inputs)
            lines.append(f"{indent}{'└─ ' if last else '├─ '}{text}{'  (as above)' * again}")
            if child is not None and not again:
                told.add(child.path)
                branch(child, indent + ("   " if last else "│  "))

    branch(found.all[found.target], "  ")
    return lines


def _of_data(path: str) -> bool:
    return PurePosixPath(path).parts[0] in DATA


def _groups(results: list[Result]) -> list[list[Result]]:
    """Results one by one, but those of one rule and folder together where they are many."""
    kinds: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        folder = str(PurePosixPath(result.path).parent)
        kinds.setdefault((result.record.get("rule", ""), folder), []).append(result)
    return [
        group
        for (rule, _), kind in kinds.items()
        for group in ([kind] if rule and len(kind) >= MANY else [[result] for result in kind])
    ]


def _line(group: list[Result]) -> str:
    first = group[0]
    if len(group) == 1:
        return f"{first.path}  {_job(first)}" if first.record else first.path
    folder = PurePosixPath(first.path).parent
    seconds = sum(result.seconds for result in group)
    return f"{folder}/: {len(group)} by {first.record['rule']}, {duration(seconds)} together"
