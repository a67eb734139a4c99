"""A SLURM cluster on this machine for all tests, and Snakemake run on it as a user would."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PARTS = ("Snakefile", "config", "envs", "models", "profiles", "scripts", "src", "workflow")
PATIENCE = float(os.environ.get("CLUSTER_PATIENCE", "1"))  # more where other work runs
# What the test cluster has otherwise than the profile says: its partitions, files that are seen at
# once, and jobs short enough to be looked at often.
SITE = (
    "--slurm-partition-config", str(HERE / "partitions.yaml"),
    "--slurm-init-seconds-before-status-checks", "2",
    "--latency-wait", "5",
    # Snakemake waits that long before it ends, where no workflow stops its timers.
    "--max-jobs-per-timespan", "100/1s",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What SLURM has written down of a job.

    `start` and `end` are seconds of the day's clock, None before; `gpus` is how many it was given.
    """

    id: str
    name: str
    state: str
    node: str
    cores: int
    memory_mb: int
    minutes: int
    start: float | None
    end: float | None
    gpus: int

    @property
    def rule(self) -> str:
        """Of a group, its name."""
        return self.name.removeprefix("rule_").partition("_wildcards_")[0]


def moment(text: str) -> float | None:
    return None if text in ("Unknown", "None") else datetime.fromisoformat(text).timestamp()


def read_job(line: str) -> Job:
    """A job from its line of ``scontrol --oneliner show job``."""

    def value(key: str, default: str = "") -> str:
        found = re.search(rf"(?:^|\s){key}=(\S*)", line)
        return found[1] if found else default

    days, hours, minutes = re.match(r"(?:(\d+)-)?(\d+):(\d+)", value("TimeLimit")).groups("0")
    memory = re.search(r"mem=(\d+)([MG])", line)
    return Job(
        id=value("JobId"),
        name=value("Comment"),
        state=value("JobState"),
        node=value("NodeList"),
        cores=int(value("NumCPUs")),
        memory_mb=int(memory[1]) * (1024 if memory[2] == "G" else 1),
        minutes=(int(days) * 24 + int(hours)) * 60 + int(minutes),
        start=moment(value("StartTime", "Unknown")),
        end=moment(value("EndTime", "Unknown")),
        gpus=int(value("TresPerNode", "gres:gpu:0").rpartition(":")[2])
        or int(value("TresPerJob", "gres:gpu:0").rpartition(":")[2]),
    )


class Cluster:
    """The running cluster: its record, and what an operator does to it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def command(self, *arguments: str) -> str:
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout

    def jobs(self, since: int = 0) -> list[Job]:
        """All jobs whose number is above `since`, in the order of their submission."""
        lines = self.command("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [read_job(line) for line in lines if line.startswith("JobId")]
        return sorted((job for job in jobs if int(job.id) > since), key=lambda job: int(job.id))

    def last(self) -> int:
        """The number of the last job."""
        return max((int(job.id) for job in self.jobs()), default=0)

    def cards(self) -> dict[str, list[str]]:
        """Which GPUs a job was given, by its number."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        given = dict(line.split(" ") for line in lines)
        return {job: cards.split(",") for job, cards in given.items() if cards != "-"}

    def node(self, name: str, state: str) -> None:
        """Set a node's state: drain, down or resume."""
        self.command("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")


def wait_for_file(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + PATIENCE * seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} is not there after {seconds} s"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    assert importlib.util.find_spec("snakemake_executor_plugin_slurm"), "run: make test-cluster"
    script = str(HERE / "cluster.sh")
    root = os.environ.setdefault("SLURM_TEST_ROOT", "/tmp/warpline-slurm")
    subprocess.run([script, "start"], check=True)
    try:
        os.environ["SLURM_CONF"] = f"{root}/etc/slurm.conf"
        os.environ["PATH"] = f"{root}/bin:{os.environ['PATH']}"
        yield Cluster(Path(root, "log", "gpus"))
    finally:
        subprocess.run([script, "stop"], check=True)


@dataclass
class Project:
    """A folder in which Snakemake runs."""

    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake in the background; its output goes to run.log."""
        with open(self.folder / "run.log", "w", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Where the tests run in the background, Ctrl-C would be ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def output(self) -> str:
        return (self.folder / "run.log").read_text(encoding="utf-8")

    def end(self, process: subprocess.Popen, *, ok: bool = True, seconds: float = 400) -> str:
        """Wait for a run; its whole output. `ok` says whether it must succeed."""
        try:
            process.wait(PATIENCE * seconds)
        finally:
            process.kill()
        assert (process.returncode == 0) is ok, self.output()[-6000:]
        return self.output()

    def run(self, *arguments: str, ok: bool = True, seconds: float = 400) -> str:
        return self.end(self.start(*arguments), ok=ok, seconds=seconds)


def copy_project(folder: Path) -> Project:
    """A copy of the project, with the test cluster's own files."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return Project(folder)


@pytest.fixture(scope="session")
def new_project(tmp_path_factory) -> Callable[[str], Project]:
    return lambda name: copy_project(tmp_path_factory.mktemp(name) / "warpline")
