"""What Snakemake's own log says of a run: which jobs were begun, finished, and failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError

LOGS, LOCKS = ".snakemake/log", ".snakemake/locks"
# With these Snakemake takes no lock, or removes it.
WITHOUT_LOCK = {"--nolock", "--unlock", "-n", "--dry-run", "--dryrun", "--lint", "-l"}
BEGUN = re.compile(r"(?:local)?(?:rule|checkpoint) (\S+):")
FAILED = re.compile(r"Error in (?:rule|checkpoint) (\S+):")
FINISHED = re.compile(r"Finished jobid: (\d+)")
ENTRY = re.compile(r" {4}(\w+): (.*)")
SHOWN = 12  # lines at the end of a failed job's log
TAIL_BYTES = 8192


@dataclass
class Job:
    """A job of a run: its rule, and what Snakemake said of it (``jobid``, ``log``, …)."""

    rule: str
    said: dict[str, str] = field(default_factory=dict)

    @property
    def number(self) -> str:
        return self.said.get("jobid", "")

    @property
    def log(self) -> str:
        """The path of its log, as it was named."""
        return self.said.get("log", "").removesuffix(" (check log file(s) for error details)")

    def told(self, directory: Path) -> dict[str, Any]:
        """The job in words, the path of its log, its last line, and its message."""
        lines = _tail(directory / self.log) if self.log else []
        wildcards = (part.partition("=")[2] for part in self.said.get("wildcards", "").split(", "))
        return {
            "job": " ".join([self.rule.replace("_", " "), *filter(None, wildcards)]),
            "log": str(directory / self.log) if self.log else None,
            "last": lines[-1] if lines else "",
            "message": _message(lines) or [self.said.get("message", "")],
        }


@dataclass
class RunLog:
    """A run as its log tells it.

    Attributes
    ----------
    unfinished
        Jobs that were begun and neither finished nor failed, in order.
    failed
        Jobs that failed, in order.
    """

    unfinished: list[Job]
    failed: list[Job]

    @classmethod
    def read(cls, path: Path) -> RunLog:
        """The run of a log file."""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        jobs: dict[str, Job] = {}
        failed: list[Job] = []
        for number, line in enumerate(lines):
            if begun := BEGUN.fullmatch(line):
                job = Job(begun[1], dict(_entries(lines[number + 1 :])))
                jobs[job.number] = job
            elif finished := FINISHED.match(line):
                jobs.pop(finished[1], None)
            elif told := FAILED.fullmatch(line):
                own = dict(_entries(lines[number + 1 :]))
                begun_as = jobs.pop(own.get("jobid", ""), Job(told[1]))
                failed.append(Job(told[1], begun_as.said | own))
        return cls([*jobs.values()], failed)


def newest_log(directory: Path) -> Path | None:
    """The log of the last run in a folder that ran jobs or still does; dry runs write none."""
    found = sorted((directory / LOGS).glob("*.snakemake.log"), key=lambda p: p.stat().st_mtime)
    return found[-1] if found else None


def running_in(directory: Path) -> bool:
    """Whether a Snakemake of this machine is at work in a folder."""
    import psutil

    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if any("snakemake" in word for word in words) and process.info["cwd"]:
            here = Path(process.info["cwd"])
            if here.exists() and here.samefile(directory):
                return True
    return False


def check_unlocked(directory: Path, arguments: Sequence[str]) -> None:
    """Refuse to run in a folder that another run holds, before Snakemake starts.

    Parameters
    ----------
    arguments
        Of Snakemake.

    Raises
    ------
    WarplineError
        If another run is at work there, or one was killed and left its lock.
    """
    if WITHOUT_LOCK.intersection(arguments) or not any((directory / LOCKS).glob("*.lock")):
        return
    where, there = directory.absolute(), "" if directory == Path() else f" -d '{directory}'"
    if running_in(directory):
        raise WarplineError(
            "Another run is at work in this folder.",
            where=where,
            do=f"Wait for it: 'warpline status{there}' says how far it is. Or end it by Ctrl-C "
            "where it was started; what it has finished stays. If the two surely make different "
            "files, add --nolock.",
        )
    raise WarplineError(
        "This folder is locked: a run was killed here, or is at work on another machine.",
        where=where,
        do=f"If none is at work, remove the lock by 'warpline run{there} --unlock' and run again; "
        "what was finished stays.",
    )


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The indented ``key: value`` lines below a job's first."""
    for line in lines:
        entry = ENTRY.fullmatch(line)
        if entry is None:
            return
        yield entry[1], entry[2]


def _tail(path: Path) -> list[str]:
    """The last lines of a log; of a progress line, which is written over, what it says last."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = (line.rpartition("\r")[2].rstrip() for line in text.splitlines())
    return [line for line in lines if line.strip()]


def _message(lines: list[str]) -> list[str]:
    """What a failed job's log ends with: an error in words with its place, or the last lines."""
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith("  where: "):
            while start > 0 and lines[start].startswith(" "):
                start -= 1
            return lines[start:]
    return lines[-SHOWN:]
