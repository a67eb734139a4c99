"""Work that may fail, take too long or die, done in a process of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

# What is told of a failure: the last two by `attempt_all`.
REASONS = ERROR, CRASHED, TIMED_OUT = "error", "crash", "time-out"
AFTERWARDS = 3600.0  # s that may pass, beside the limit, after the part that is timed
Say = Callable[[], None]
Work = Callable[[Any, str, Say], None]


def attempt_all(make: Callable[[], Work], items: Iterable[Any], limit: float) -> Iterator[tuple]:
    """Work on items one after the other; what ends or hangs the process ends no other item.

    The process is forked, so the caller must not have started threads. It is made anew after an
    item that ended it, and told of that item again, with the reason.

    Parameters
    ----------
    make
        Called in the process before anything else; returns the work, which is called with an item,
        a reason (empty at first) and a function to call when the part of it that is timed is done.
    limit
        Seconds that this part may take.

    Yields
    ------
    tuple
        (item, reason): an empty one, `TIMED_OUT` or `CRASHED`.

    Raises
    ------
    RuntimeError
        If the process ends before it is ready, or with an item whose failure it only has to note.
    """
    process: _Process | None = None
    try:
        for item in items:
            reason = ""
            while True:
                process = process or _Process(make)
                outcome = process.work(item, reason, limit)
                if not outcome:
                    break
                process.end()
                process = None
                if reason:
                    raise RuntimeError(f"a failure ({reason}) of {item} cannot be noted: {outcome}")
                reason = outcome
            yield item, reason
    finally:
        if process is not None:
            process.end()


class _Process:
    """A forked process that works on items; see `attempt_all`."""

    def __init__(self, make: Callable[[], Work]):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs, self.pipe))
        self.process.start()
        theirs.close()
        if self._hear(None) != "ready":
            self.end()
            raise RuntimeError("the process that registers has ended before it began")

    def work(self, item: Any, reason: str, limit: float) -> str:
        """An empty word, or what became of the process instead."""
        self.pipe.send((item, reason))
        heard = self._hear(limit)
        if heard == "timed":
            heard = self._hear(limit + AFTERWARDS)
        return "" if heard == "done" else heard

    def _hear(self, limit: float | None) -> str:
        try:
            return self.pipe.recv() if self.pipe.poll(limit) else TIMED_OUT
        except (EOFError, OSError):
            return CRASHED

    def end(self) -> None:
        """End the process and all that it has started."""
        self.pipe.close()
        pid = self.process.pid
        if self.process.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.process.join()


def _serve(make: Callable[[], Work], pipe: Connection, other: Connection) -> None:
    other.close()
    os.setsid()  # so that what it starts can be ended with it
    _end_with_parent()
    work = make()
    pipe.send("ready")
    while True:
        try:
            item, reason = pipe.recv()
        except EOFError:
            return
        work(item, reason, lambda: pipe.send("timed"))
        pipe.send("done")


def _end_with_parent() -> None:
    """Be ended when the process that forked this one is gone, however that ended (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def cpu_seconds() -> float:
    """Seconds of CPU that this process and those that it waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds of the clock and of the CPU that a block takes, filled in when it ends."""
    found: dict[str, float] = {}
    clock, cpu = time.perf_counter(), cpu_seconds()
    yield found
    found |= {"seconds": time.perf_counter() - clock, "cpu_seconds": cpu_seconds() - cpu}
