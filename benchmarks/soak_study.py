"""The soak's study: two generated datasets and a training each, disturbed in every way."""

from __future__ import annotations

import csv
import ctypes
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from soak_account import Account
from soak_downloads import serve

if TYPE_CHECKING:
    from project import Project

ROOT = Path(__file__).parents[1]
TIMES_UP = Callable[[], bool]
FILES = ("--configfile", "tiny.yaml", "soak.yaml")
ARCHIVE = "results/phantom/tiny-chest/mirror/chest.zip"
NEW_MOUNTS = 0x20000  # CLONE_NEWNS
START = 0.02  # share of moments before the first job: a seventh, as they are drawn
# In what Snakemake says.
TOTAL, DONE = re.compile(r"^total +(\d+)$", re.M), re.compile(r"^(\d+) of \d+ steps", re.M)
LARGEST_FILE = 4096  # bytes, where files may not grow
LONGEST = 900  # seconds that a run may take to see that it cannot go on
DAY = 86400
# As docs/troubleshooting.md has it.
TOUCH = "find . -newermt now -exec touch --no-dereference --date=\"$(date +'%F %T')\" {} +"


class Study:
    """A study in a folder, and what it makes when nothing disturbs it."""

    def __init__(self, folder: Path, datasets: int, methods: list[str]):
        # Projects as the tests of the workflow make them.
        sys.path.insert(0, str(ROOT / "tests"))
        from project import copy_of, copy_project

        folder.mkdir()
        self.home, self.number, self.copy_of = folder, 0, copy_of
        self.clean = copy_project(folder / "clean")
        names = [f"tiny-chest-{k}" if k else "tiny-chest" for k in range(datasets)]
        chest = self.clean.folder / "config/datasets/tiny-chest.yaml"
        spec = yaml.safe_load(chest.read_text(encoding="utf-8"))
        for k, name in enumerate(names):
            phantom = {**spec["phantom"], "seed": 2020 + k}
            self.clean.write(f"config/datasets/{name}.yaml", {**spec, "phantom": phantom})
        study = {"datasets": names, "methods": methods, "split": "test"}
        self.clean.write("soak.yaml", {"papers": [], "studies": {"soak": study}})
        ending = [f"_{name}" for name in names] if datasets > 1 else [""]
        self.tables = [f"results/soak/tables/table{end}.csv" for end in ending]
        self.whole = self.copy_of(self.clean, folder / "whole")
        begun = time.monotonic()
        told = self.whole.snakemake(*self.asked())
        self.seconds = time.monotonic() - begun
        self.step = self.seconds / (1 + int(TOTAL.search(told)[1]))
        self.made = self.made_in(self.whole)
        print(f"the study, undisturbed: {self.seconds:.0f} s, {len(self.made)} files", flush=True)

    def asked(self, *options: str) -> list[str]:
        """Arguments of Snakemake for a run of the study."""
        return [*FILES, "--rerun-incomplete", *options, "--", *self.tables]

    def new(self, place: str = "") -> Project:
        """A folder in which nothing was made yet."""
        self.number += 1
        project = self.copy_of(self.clean, self.home / place / str(self.number))
        (project.folder / "results").mkdir()
        return project

    def said(self, project: Project) -> Path:
        """Where a run's output goes: not into its folder, which may be full."""
        return self.home / f"{project.folder.name}.log"

    def start(self, project: Project, *options: str) -> subprocess.Popen:
        """Begin a run, in a group of processes of its own, that speaks into the file `said`.

        By way of another process, which writes what the run itself may not.
        """
        self.said(project).unlink(missing_ok=True)
        tee = subprocess.Popen(
            ["tee", str(self.said(project))], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        process = subprocess.Popen(
            project.command(*self.asked(*options)),
            cwd=project.folder,
            env=project.environment(),
            stdout=tee.stdin,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        tee.stdin.close()
        while not self.said(project).exists():
            time.sleep(0.01)
        return process

    def at_some_moment(
        self, project: Project, process: subprocess.Popen, draw: random.Random
    ) -> bool:
        """Wait for a random moment of a run, early ones oftener; False if it has ended before.

        Told by the run's own count of its steps, not by the clock: other work may slow it down.
        """
        share, rest = draw.random() ** 2, draw.uniform(0, self.step)
        while process.poll() is None:
            output = self.said(project).read_text(encoding="utf-8", errors="replace")
            total = TOTAL.search(output)
            wanted = int(share * (int(total[1]) + 1)) - 1 if total else -1
            done = max(map(int, DONE.findall(output)), default=0)
            if share < START if total is None else done >= wanted:
                break
            time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rest)
        return process.poll() is None

    def finish(self, project: Project) -> tuple[float, list[str], list[str]]:
        """Run to the end: seconds, and which files are missing or other than they should be."""
        start = time.monotonic()
        done = project.run(*self.asked("--nolock"))
        return time.monotonic() - start, *self.compared(project, done)

    def compared(
        self, project: Project, done: subprocess.CompletedProcess | subprocess.Popen
    ) -> tuple[list[str], list[str]]:
        """Files of a run that are missing, and those that are others than they should be."""
        now = self.made_in(project)
        lost = [name for name in self.made if name not in now]
        wrong = [name for name, value in now.items() if self.made.get(name) != value]
        if done.returncode:
            output = (done.stdout or "") + (done.stderr or "") or self.said(project).read_text()
            wrong.append(f"{project.folder.name} ended with {done.returncode}: {output[-3000:]}")
        return lost, wrong

    def made_in(self, project: Project) -> dict[str, bytes]:
        """What a second run must make the same, and what may not be left: name to content."""
        found, results = {}, project.folder / "results"
        for name in self.tables:
            if (project.folder / name).exists():
                with open(project.folder / name, encoding="utf-8", newline="") as stream:
                    rows = list(csv.reader(stream))
                keep = [i for i, column in enumerate(rows[0]) if not column.startswith("seconds")]
                found[name] = "\n".join(",".join(row[i] for i in keep) for row in rows).encode()
        for pattern in ("data/*/*/*/*/*.nii.gz", "models/*/*/weights.safetensors", "**/.*.*-*-*"):
            for path in results.glob(pattern):
                if path.is_file():
                    content = path.read_bytes()
                    found[str(path.relative_to(project.folder))] = hashlib.sha256(content).digest()
        return found


def end(process: subprocess.Popen) -> None:
    """Kill a run and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kills(study: Study, number: int, draw: random.Random, time_is_up: TIMES_UP) -> Account:
    """Kill a study at random moments until it is through, and another, for `number` kills."""
    account = Account("kills")
    while account.faults < number and not time_is_up():
        project, here = study.new(), 0
        while account.faults < number and not time_is_up():
            # Else nobody would know whose lock it is, and each kill would take an --unlock.
            process = study.start(project, "--nolock")
            if not study.at_some_moment(project, process, draw):
                break
            end(process)
            account.faults, here = account.faults + 1, here + 1
            print(f"  kill {account.faults}", flush=True)
        account.recovered(f"{here} kills", *study.finish(project))
        shutil.rmtree(project.folder)
    return account


# Disks --------------------------------------------------------------------------------------------


def own_mounts() -> str | None:
    """Give this process mounts of its own; why not, where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        return os.strerror(ctypes.get_errno())
    done = mount("--make-rprivate", "/")
    return done.stderr.strip() or None


def mount(*arguments: str) -> subprocess.CompletedProcess:
    """Call mount."""
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


@contextmanager
def full(project: Project, process: subprocess.Popen) -> Iterator[None]:
    """No room on the disk of the whole project: as small as what is on it."""
    disk = project.folder.parent
    for _ in range(200):
        there = os.statvfs(disk)
        used = (there.f_blocks - there.f_bfree) * there.f_frsize
        if not mount("-o", f"remount,size={used}", str(disk)).returncode:
            break
        time.sleep(0.01)  # more was written meanwhile
    else:
        raise RuntimeError("the disk cannot be made full")
    yield
    mount("-o", f"remount,size={ROOM}", str(disk))


@contextmanager
def read_only(project: Project, process: subprocess.Popen) -> Iterator[None]:
    """Results that nobody may write to; what is open already may be written on."""
    results = str(project.folder / "results")
    for arguments in (("--bind", results, results), ("-o", "remount,ro,bind", results)):
        done = mount(*arguments)
        if done.returncode:
            raise RuntimeError(done.stderr)
    yield
    subprocess.run(["umount", "--lazy", results], check=True)


@contextmanager
def short_files(project: Project, process: subprocess.Popen) -> Iterator[None]:
    """No file may grow beyond some bytes, in any process of the run from now on.

    A quota's own error is no other case of the code, and root is under none.
    """
    seen: set[int] = set()
    while new := {pid for pid in of_session(process.pid) if pid not in seen}:
        for pid in new:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        seen |= new
    yield


def of_session(leader: int) -> Iterator[int]:
    """The processes of a session."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ProcessLookupError):
            if os.getsid(int(path.name)) == leader:
                yield int(path.name)


ROOM = 1 << 29  # bytes of the disk of a project
DISKS = {"full disk": full, "read-only results": read_only, "short files": short_files}
REASONS = {
    "full disk": ("disk is full", "is the disk full", "No space left"),
    "read-only results": ("Read-only file system",),
    "short files": ("File too large", "is the disk full", "disk is full"),
}


def disks(
    study: Study, kind: str, number: int, draw: random.Random, time_is_up: TIMES_UP
) -> Account:
    """Let a disk fail at random moments; each time the run must end, with the reason."""
    account, silent = Account(kind), 0
    disk = study.home / "disk"
    disk.mkdir(exist_ok=True)
    while account.faults < number and not time_is_up():
        if mount("-t", "tmpfs", "-o", f"size={ROOM}", "none", str(disk)).returncode:
            raise RuntimeError("no disk can be mounted")
        project, here = study.new("disk"), 0
        while account.faults < number and not time_is_up():
            process = study.start(project, "--nolock")
            if not study.at_some_moment(project, process, draw):
                break
            with DISKS[kind](project, process):
                try:
                    process.wait(LONGEST)
                except subprocess.TimeoutExpired:
                    end(process)
                    account.wrong.append(f"a run that could not write went on for {LONGEST} s")
            time.sleep(1)  # its last words are written down by another process
            account.faults, here = account.faults + 1, here + 1
            print(f"  {kind} {account.faults}: ended with {process.returncode}", flush=True)
            output = study.said(project).read_text(encoding="utf-8", errors="replace")
            if process.returncode and not any(reason in output for reason in REASONS[kind]):
                silent += 1
                print(output[-3000:], flush=True)
        account.recovered(f"{here} times {kind}", *study.finish(project))
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    account.said = f"; {silent} runs ended without the reason"
    return account


# Several runs, and the clock ----------------------------------------------------------------------


def one_folder(study: Study, number: int, draw: random.Random, time_is_up: TIMES_UP) -> Account:
    """Begin a second run in the folder of one that is at work: refused; the first goes on."""
    account = Account("two runs in one folder")
    while account.faults < number and not time_is_up():
        project = study.new()
        first = study.start(project)
        while not list(project.folder.glob(".snakemake/locks/*")) and first.poll() is None:
            time.sleep(0.05)
        study.at_some_moment(project, first, draw)
        begun, second = time.monotonic(), project.run(*study.asked())
        seconds, locked = time.monotonic() - begun, "cannot be locked" in second.stderr
        alone = first.poll() is not None  # then it was through before the second began
        first.wait()
        lost, wrong = study.compared(project, first)
        if not alone and not (second.returncode and locked):
            wrong.append(f"a second run was let in: {(second.stdout + second.stderr)[-2000:]}")
        account.faults += 1
        account.recovered("a second run", seconds, lost, wrong)
        shutil.rmtree(project.folder)
    return account


def one_data(study: Study, number: int, draw: random.Random, time_is_up: TIMES_UP) -> Account:
    """Two folders that fetch into one data folder from a server that fails; one is killed."""
    account = Account("two folders on one data folder")
    content = (study.whole.folder / ARCHIVE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    chest = yaml.safe_load((study.clean.folder / "config/datasets/tiny-chest.yaml").read_text())
    del chest["phantom"]
    while account.faults < number and not time_is_up():
        data = study.home / f"data{study.number}"
        with serve({"chest.zip": content}, draw.randrange(1000)) as server:
            address = f"http://127.0.0.1:{server.server_port}"
            sources = [f"{address}/{mirror}/chest.zip" for mirror in range(5)]
            archive = {"sources": sources, "checksums": [f"sha256:{digest}"]}
            projects = [study.new(), study.new()]
            for project in projects:
                project.write(
                    "config/datasets/tiny-chest.yaml", {**chest, "archives": {"chest.zip": archive}}
                )
                own = yaml.safe_load((project.folder / "soak.yaml").read_text())
                project.write("soak.yaml", {**own, "data": str(data)})
            runs = [study.start(project, "--nolock") for project in projects]
            study.at_some_moment(projects[0], runs[0], draw)
            end(runs[0])
            runs[1].wait()
            account.faults += 1 + server.faults
            for project in projects:
                account.recovered("two folders", *study.finish(project))
                shutil.rmtree(project.folder)
            shutil.rmtree(data)
    return account


def clock(study: Study, number: int, draw: random.Random, time_is_up: TIMES_UP) -> Account:
    """Set the clock back by a day at random moments: all that is there is of tomorrow.

    The run is killed, and the times of its files are set; what comes then may end with an error,
    as inputs are newer than what is made of them, which a touch must cure.
    """
    account, refused = Account("clock set back"), 0
    while account.faults < number and not time_is_up():
        project = study.new()
        process = study.start(project, "--nolock")
        study.at_some_moment(project, process, draw)
        end(process)
        for folder, _, names in os.walk(project.folder):
            for name in (".", *names):
                path = Path(folder, name)
                times = path.lstat()
                moved = (times.st_atime_ns + DAY * 10**9, times.st_mtime_ns + DAY * 10**9)
                os.utime(path, ns=moved, follow_symlinks=False)
        account.faults += 1
        begun = time.monotonic()
        done = project.run(*study.asked("--nolock"))
        if done.returncode:
            refused += 1
            if "older modification time" not in done.stdout + done.stderr:
                account.wrong.append(f"unclear: {(done.stdout + done.stderr)[-2000:]}")
            subprocess.run(["bash", "-c", TOUCH], cwd=project.folder, check=True)
            done = project.run(*study.asked("--nolock"))
        account.recovered("a day back", time.monotonic() - begun, *study.compared(project, done))
        shutil.rmtree(project.folder)
    account.said = f"; {refused} needed a touch"
    return account
