"""The process that `forks` starts: it has loaded what jobs load, and forks for each of them.

Run as a file with the number of its end of a socket. It loads `FIRST`, and later what two jobs have
had to load themselves (of `LATER`); it computes nothing, and ends with the process that started it.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

FIRST = (
    "snakemake.iocontainers",
    "snakemake.logging",
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "SimpleITK",
    "scipy.ndimage",
    "nibabel",
)
LATER = {
    "warpline",
    "scipy",
    "torch",
    "matplotlib",
    "nibabel",
    "jinja2",
    "surface_distance",
    "ants",
}
# Of ants what the library leaves out stays out.
LOADERS = {"ants": ("warpline.fields.antspy", "load_ants")}
OFTEN = 2  # jobs that have had to load a module themselves, before it is loaded for the others
LONGEST = 1 << 20  # bytes of a request
# Of a library that goes on after a fork by itself (jemalloc, in Arrow).
HARMLESS_THREADS = {"jemalloc_bg_thd"}


@dataclass
class Job:
    """A fork: what tells of its end, who waits for that, and where it says what it has loaded."""

    pid: int
    waiting: socket.socket
    loaded: int


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # each job gets it by itself
    script = None
    for name in FIRST:
        if _ended(control):
            break
        _load(name)
    else:
        script, report = _serve(control)
    if script is None:
        os._exit(0)  # what is loaded has nothing to end
    known = set(sys.modules)
    status = _run(script)
    _tell(report, known)
    _leave_for_good(status)


def _run(script: str) -> int:
    """Run a script as Python runs its main one; the exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _leave_for_good(status: int) -> None:
    """End, but do not take down what is loaded: that takes half a second and copies its memory."""
    threading._shutdown()  # waits for the threads that Python waits for
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(status & 0xFF)


def _serve(control: socket.socket) -> tuple[str | None, int]:
    """Fork for every request; of a fork its script, and where to tell what it loads.

    The process itself gets no script when nobody can ask any more.
    """
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    needed: Counter[str] = Counter()
    gc.collect()
    gc.freeze()  # pages of what is loaded stay common to all forks
    while True:
        for key, _ in waiting.select():
            if key.data is not None:
                waiting.unregister(key.fd)
                _end(key.fd, key.data, needed)
                continue
            message, descriptors, _, _ = socket.recv_fds(control, LONGEST, 1)
            if not message:
                return None, -1
            asking = socket.socket(fileno=descriptors[0])
            if not _may_fork():
                asking.sendall(b"no\n")
                asking.close()
                continue
            told, telling = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(told)
                _let_go(waiting, control, asking)
                return _become(json.loads(message)), telling
            os.close(telling)
            asking.sendall(b"%d\n" % pid)
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, Job(pid, asking, told))


def _let_go(waiting: selectors.BaseSelector, *sockets: socket.socket) -> None:
    """Close, in a fork, what belongs to the process that it comes from and to other jobs."""
    for key in list(waiting.get_map().values()):
        if key.data is not None:
            key.data.waiting.close()
            os.close(key.data.loaded)
            os.close(key.fd)
    for own in (*sockets, waiting):
        own.close()


def _become(request: dict) -> str:
    """Be the process that runs a script: its folder, its environment, its signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    tempfile.tempdir = None
    del sys.argv[1:]  # the first is the script's when it runs
    return request["script"]


def _end(descriptor: int, job: Job, needed: Counter[str]) -> None:
    """Tell how a job has ended; load what it, and another one before, has had to load."""
    _, status = os.waitpid(job.pid, 0)
    with suppress(OSError):  # who asked may be gone
        job.waiting.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    job.waiting.close()
    os.close(descriptor)
    os.set_blocking(job.loaded, False)
    told = b""
    with suppress(BlockingIOError):
        told = os.read(job.loaded, LONGEST)
    os.close(job.loaded)
    names = told.decode().split()
    needed.update(names)
    often = [name for name in names if needed[name] == OFTEN]
    for name in often:
        _load(name)
    if often:
        gc.collect()
        gc.freeze()


def _load(name: str) -> None:
    # What cannot be loaded alone, the job that needs it loads, or says why not.
    with suppress(Exception):
        module, loader = LOADERS.get(name, (name, None))
        found = importlib.import_module(module)
        if loader:
            getattr(found, loader)()


def _tell(report: int, known: set[str]) -> None:
    """Say which modules this job has loaded, in their order."""
    names = []
    for name in list(sys.modules):
        package, *inner = name.split(".")
        public = not any(part.startswith("_") for part in inner)
        if (
            name not in known
            and package in LATER
            and public
            and (name in LOADERS or not inner or package not in LOADERS)
        ):
            names.append(name)
    os.set_blocking(report, False)
    with suppress(OSError):
        os.write(report, " ".join(names).encode())


def _may_fork() -> bool:
    """Whether nothing else runs in this process, whose locks a fork would inherit."""
    names = set()
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as stream:
            names.add((int(task), stream.read().strip()))
    others = {name for task, name in names if task != os.getpid()}
    return threading.active_count() == 1 and others <= HARMLESS_THREADS


def _ended(control: socket.socket) -> bool:
    """Whether who started this process is gone."""
    try:
        return not control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main()
