"""Choosing the device of a job: what was asked for, or an error; never a silent change."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import torch

from warpline.errors import WarplineError


@contextmanager
def claim(
    device: str, lock_folder: str | os.PathLike | None = None, poll: float = 5.0
) -> Iterator[torch.device]:
    """Hold a device for the block.

    ``cpu`` is shared. For ``cuda`` one of the visible cards is locked among all processes of this
    machine that use the same `lock_folder` (a folder of the user's under the machine's temporary
    one, where not given); the operating system frees the lock of a killed process. Waits until a
    card is free.

    Raises
    ------
    WarplineError
        If ``cuda`` is asked for where torch sees no GPU.
    """
    if device == "cpu":
        yield torch.device("cpu")
        return
    count = torch.cuda.device_count()
    if count == 0:
        raise WarplineError(
            "A GPU is asked for, but torch sees none on this machine.",
            where="'device' of the configuration (auto means cuda at scale paper)",
            do="Set 'device: cpu', or run where there is a GPU with a CUDA build of torch.",
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    folder = Path(lock_folder or f"{tempfile.gettempdir()}/warpline-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for index, name in enumerate(visible[:count]):
            lock = filelock.FileLock(folder / f"gpu-{name.strip()}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue
            try:
                yield torch.device("cuda", index)
            finally:
                lock.release()
            return
        time.sleep(poll)
