"""Load and faults, one after another: what is lost, what is wrong, how long each recovery takes.

    python benchmarks/soak.py --downloads 200 --processes 8 --kills 50 --minutes 90
    python benchmarks/soak.py downloads --downloads 20

Parts, all on this machine:

downloads
    Files from a server that fails in a third of its answers (refuses, hangs up, falls silent, flips
    a bit, sends a page instead), each wanted by two of the processes in one folder.
kills
    A study of two datasets, all of whose processes are killed at random moments, again and again.

A study is right if its table without the columns of seconds, its scans and its weights are the same
bytes as of a run that nothing disturbed, and no half-written file is left. The exit status is 1 if
anything was lost or wrong. After so many minutes no further fault is begun.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from conftest import Project

ROOT = Path(__file__).parents[1]
FAULTS = ("refused", "hung up", "silent", "flipped", "page")
DATASETS = ("tiny-chest", "tiny-chest-2")
TABLES = [f"results/soak/tables/table_{name}.csv" for name in DATASETS]
FILES = ("--configfile", "tiny.yaml", "soak.yaml")
# A process that fetches files, as a run that is started anew until it has what it wants.
FETCH = """
import json, sys, time
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
from warpline.errors import WarplineError
folder, url, wanted = sys.argv[1], sys.argv[2], json.load(sys.stdin)
patience = Patience(attempts=3, backoff=0.01, longest_backoff=0.05, read=0.3, quiet=60)
done, again = {}, 0
for name, digest in wanted:
    sources = tuple(f"{url}/{mirror}/{name}" for mirror in range(3))
    for _ in range(20):
        try:
            fetch(Archive(name, sources, ("sha256:" + digest,)), folder, progress=False,
                  patience=patience)
            done[name] = time.time()
            break
        except WarplineError:
            again += 1
json.dump([done, again], sys.stdout)
"""


@dataclass
class Account:
    """What came of one part."""

    part: str
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    said: str = ""

    def recovered(self, fault: str, seconds: float, lost: list[str], wrong: list[str]) -> None:
        """Note how long a recovery took, and what was there after it."""
        self.seconds.append(seconds)
        self.lost += [f"{fault}: {name}" for name in lost]
        self.wrong += [f"{fault}: {name}" for name in wrong]
        print(f"  {fault}: recovered in {seconds:.1f} s", *lost, *wrong, flush=True)

    def tell(self) -> None:
        """Print the part's line, and what was lost or wrong."""
        took = sorted(self.seconds)
        spread = (
            f"recoveries took {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest)"
            if took
            else "nothing to recover"
        )
        print(
            f"{self.part}: {self.faults} faults, lost {len(self.lost)}, wrong {len(self.wrong)}, "
            f"{spread}{self.said}",
            *self.lost,
            *self.wrong,
            sep="\n  ",
            flush=True,
        )


# Downloads ----------------------------------------------------------------------------------------


class Faulty(BaseHTTPRequestHandler):
    """Serves its server's files under ``/<mirror>/<name>``, a third of the answers at fault."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content, server = self.server.files[name], self.server
        with server.lock:
            fault = server.moments.choice(FAULTS) if server.moments.random() < 1 / 3 else None
            cut = server.moments.randrange(len(content))
            if fault:
                server.faults += 1
                server.first.setdefault(name, time.time())
        if fault == "refused":
            return self._send(503, b"", {"Retry-After": "0"})
        if fault == "page":
            return self._send(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"})
        wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        start = int(wanted) if self.headers.get("If-Range") == f'"{name}"' else 0
        headers = {"ETag": f'"{name}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault == "flipped":
            content = content[:cut] + bytes([content[cut] ^ 1]) + content[cut + 1 :]
        body, status = content[start:], 206 if start else 200
        if fault in ("hung up", "silent"):
            self._send(status, body, headers, body[: max(0, cut - start)])
            time.sleep(0.6 if fault == "silent" else 0)
            self.close_connection = True
        else:
            self._send(status, body, headers)

    def _send(self, status: int, body: bytes, headers: dict, part: bytes | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body if part is None else part)
        self.wfile.flush()


class QuietServer(ThreadingHTTPServer):
    """A server of some files."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is expected here."""


@contextmanager
def serve(files: dict[str, bytes], seed: int) -> Iterator[QuietServer]:
    """A running server on a free port of this machine."""
    server = QuietServer(("127.0.0.1", 0), Faulty)
    server.files, server.first, server.faults = files, {}, 0
    server.moments, server.lock = random.Random(seed), threading.Lock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def downloads(number: int, processes: int, seed: int, folder: Path) -> Account:
    """Fetch `number` files by several processes from a server that fails."""
    draw = random.Random(seed)
    files = {f"f{i:04}.bin": draw.randbytes(draw.randrange(1000, 400_000)) for i in range(number)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    account = Account("downloads")
    with serve(files, seed) as server:
        running = []
        for k in range(processes):
            # Its own files and those of the next one, in its own order.
            wanted = [
                pair for i, pair in enumerate(digests.items()) if (i - k) % processes in (0, 1)
            ]
            draw.shuffle(wanted)
            url = f"http://127.0.0.1:{server.server_port}"
            process = subprocess.Popen(
                [sys.executable, "-c", FETCH, str(folder), url],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            process.stdin.write(json.dumps(wanted))
            process.stdin.close()
            running.append(process)
        done, again = {}, 0
        for process in running:
            times, more = json.loads(process.stdout.read() or "[{}, 0]")
            process.wait()
            again += more
            for name, when in times.items():
                done[name] = min(when, done.get(name, when))
    account.faults = server.faults
    account.seconds = [done[name] - first for name, first in server.first.items() if name in done]
    account.lost = [name for name in files if not (folder / name).exists()]
    account.wrong = [
        path.name
        for path in folder.iterdir()
        if path.suffix != ".json"
        and hashlib.sha256(path.read_bytes()).hexdigest() != digests.get(path.name)
    ]
    account.said = f"; {number} files, {processes} processes, {again} runs started anew"
    return account


# A study ------------------------------------------------------------------------------------------


class Study:
    """A study of two generated datasets in a folder, and what it makes when nothing disturbs it."""

    def __init__(self, folder: Path, methods: list[str]):
        # Projects as the tests of the workflow make them.
        sys.path.insert(0, str(ROOT / "tests/workflow"))
        import conftest as workflow

        self.home, self.number, self.copy_of = folder, 0, workflow.copy_of
        self.clean = workflow.copy_project(folder / "clean")
        chest = self.clean.folder / "config/datasets/tiny-chest.yaml"
        other = yaml.safe_load(chest.read_text(encoding="utf-8"))
        other["phantom"]["seed"] = 2021
        self.clean.write("config/datasets/tiny-chest-2.yaml", other)
        study = {"datasets": list(DATASETS), "methods": methods, "split": "test"}
        self.clean.write("soak.yaml", {"papers": [], "studies": {"soak": study}})
        self.whole = self.copy_of(self.clean, folder / "whole")
        begun = time.monotonic()
        self.whole.snakemake(*FILES, "--", *TABLES)
        self.seconds = time.monotonic() - begun
        self.made = made(self.whole)

    def new(self) -> Project:
        """A folder in which nothing was made yet."""
        self.number += 1
        return self.copy_of(self.clean, self.home / str(self.number))

    def finish(self, project: Project) -> tuple[float, list[str], list[str]]:
        """Run to the end: seconds, and which files are missing or other than they should be."""
        start = time.monotonic()
        done = project.run(*FILES, "--rerun-incomplete", "--", *TABLES)
        seconds, now = time.monotonic() - start, made(project)
        lost = [name for name in self.made if name not in now]
        wrong = [name for name, value in now.items() if self.made.get(name) != value]
        if done.returncode:
            wrong.append((done.stdout + done.stderr)[-2000:])
        return seconds, lost, wrong

    def start(self, project: Project) -> subprocess.Popen:
        """Begin a run, in a group of processes of its own."""
        return subprocess.Popen(
            project.command(*FILES, "--rerun-incomplete", "--", *TABLES),
            cwd=project.folder,
            env=project.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def made(project: Project) -> dict[str, bytes]:
    """What a study made, that a second run must make the same: name to content or digest."""
    found, results = {}, project.folder / "results"
    for name in TABLES:
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


def kills(
    study: Study, number: int, draw: random.Random, time_is_up: Callable[[], bool]
) -> Account:
    """Kill a study at random moments until it is through, and another, for `number` kills."""
    account, killed = Account("kills"), 0
    while killed < number and not time_is_up():
        project, here = study.new(), 0
        while killed < number and not time_is_up():
            process = study.start(project)
            try:
                process.wait(draw.uniform(0, study.seconds))
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                project.snakemake("--unlock", *FILES)
                killed, here = killed + 1, here + 1
        account.recovered(f"{here} kills", *study.finish(project))
        shutil.rmtree(project.folder)
    account.faults = killed
    return account


def main() -> int:
    """Print what each part lost and how long its recoveries took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("downloads", "kills")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--downloads", type=int, default=200)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--methods", nargs="+", default=["identity", "tiny-network"])
    parser.add_argument("--minutes", type=float, default=90.0, help="after which none is begun")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    chosen, draw = told.parts or parts, random.Random(told.seed)
    end = time.monotonic() + 60 * told.minutes
    accounts = []

    def time_is_up() -> bool:
        return time.monotonic() > end

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        if "downloads" in chosen:
            place = Path(folder) / "downloads"
            place.mkdir()
            accounts.append(downloads(told.downloads, told.processes, told.seed, place))
            accounts[-1].tell()
        if "kills" in chosen and not time_is_up():
            accounts.append(kills(Study(Path(folder), told.methods), told.kills, draw, time_is_up))
            accounts[-1].tell()
    used = os.times()
    print(
        f"CPU: {(used.user + used.system + used.children_user + used.children_system) / 60:.1f} min"
    )
    return int(any(account.lost or account.wrong for account in accounts))


if __name__ == "__main__":
    sys.exit(main())
