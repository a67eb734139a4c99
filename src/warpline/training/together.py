"""Processes of one machine that train one network, each on a device of its own.

    python -m warpline.training.together RANK SIZE DEVICE THREADS FOLDER < LESSON

is one of them: `learn_together` starts them all, with the `Lesson` as a line of their input, which
stays open until they are done: a process whose starter has died ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from warpline.errors import WarplineError

if TYPE_CHECKING:
    import torch

    from warpline.training.lesson import Lesson

POLL_SECONDS = 0.2
# To save the state after SIGTERM, before the rest of a group is killed.
GRACE_SECONDS = 60.0
# What a process ends with after SIGTERM: once its state is saved, or before it had one to save.
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)


def environment_of(threads: int) -> dict[str, str]:
    """The environment of a Python that imports what this one can, on so many threads."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


def learn_together(lesson: Lesson, devices: Sequence[torch.device], threads: int) -> None:
    """Train on all of the devices; the result is the training's state.

    Parameters
    ----------
    threads
        Of all processes in sum; each has one at the least.

    Raises
    ------
    WarplineError
        What one of the processes raised, or that it ended otherwise. The others end with it, and
        the state of the last checkpoint stays.
    Interrupted
        After SIGTERM, once the state is saved.
    """
    from warpline.training.loop import Interrupted

    size = len(devices)
    with tempfile.TemporaryDirectory(prefix="warpline-") as folder:
        each = max(1, threads // size)
        environment = environment_of(each)
        members = []
        for rank, device in enumerate(devices):
            own = map(str, (rank, size, device, each, folder))
            command = [sys.executable, "-m", __spec__.name, *own]
            members.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=environment))
        try:
            with _forwarding_sigterm(members):
                for member in members:
                    with suppress(BrokenPipeError):  # it has ended; its status tells why
                        member.stdin.write(f"{lesson.as_text()}\n".encode())
                        member.stdin.flush()
                failed = _first_failure(members)
        finally:
            for member in members:
                member.kill()
                member.wait()
        if failed is None:
            return
        rank, status = failed
        if status in STOPPED:
            raise Interrupted
        told = Path(folder, f"{rank}.json")
        if told.exists():
            error = json.loads(told.read_text(encoding="utf-8"))
            raise WarplineError(error["what"], where=error["where"], do=error["do"])
        raise WarplineError(
            f"Of the {size} processes of a training, number {rank} ended with status {status}.",
            where=f"{devices[rank]}; state kept: {lesson.state}",
            do="See the log for what it said. Run again: the training goes on from its last "
            "checkpoint.",
        )


def _first_failure(members: Sequence[subprocess.Popen]) -> tuple[int, int] | None:
    """Number and status of the first process that fails; None once all have ended well.

    After SIGTERM all end with the same status, for which there is some time.
    """
    while True:
        codes = [member.poll() for member in members]
        failed = [(rank, code) for rank, code in enumerate(codes) if code]
        if failed:
            ending = time.monotonic() + GRACE_SECONDS
            while failed[0][1] in STOPPED and time.monotonic() < ending:
                if all(member.poll() is not None for member in members):
                    break
                time.sleep(POLL_SECONDS)
            return failed[0]
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL_SECONDS)


@contextmanager
def _forwarding_sigterm(members: Sequence[subprocess.Popen]) -> Iterator[None]:
    """Hand SIGTERM on to the processes, which save their state and end."""

    def forward(number: int, frame: object) -> None:
        for member in members:
            if member.poll() is None:
                member.terminate()

    old = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def _end_with_starter() -> None:
    sys.stdin.read()
    os._exit(1)


def main(rank: int, size: int, device: str, threads: int, folder: str) -> None:
    """Train as one of `size` processes."""
    text = sys.stdin.readline()
    threading.Thread(target=_end_with_starter, daemon=True).start()
    import torch

    from warpline.training.distributed import joined
    from warpline.training.lesson import Lesson

    torch.set_num_threads(threads)
    lesson, own = Lesson.of_text(text), torch.device(device)
    try:
        with joined(rank, size, str(Path(folder, "store")), own) as group:
            lesson.learn(lesson.network(), own, group)
    except WarplineError as error:
        where = None if error.where is None else str(error.where)
        told = {"what": error.what, "where": where, "do": error.do}
        Path(folder, f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")
        # The others may be waiting for this process.
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5])
