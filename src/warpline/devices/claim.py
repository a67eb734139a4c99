"""Choosing the device of a job: what was asked for, or an error; never a silent change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from warpline.devices.locks import card_names, hold, scope
from warpline.errors import WarplineError
from warpline.provenance import record as provenance

if TYPE_CHECKING:
    import torch


@contextmanager
def claim(
    device: str,
    lock_folder: str | os.PathLike | None = None,
    poll: float = 5.0,
    job: str = "a job without a name",
) -> Iterator[torch.device]:
    """Hold a device for the block; see `claim_several`."""
    with claim_several(device, 1, lock_folder, poll, job) as chosen:
        yield chosen[0]


@contextmanager
def claim_several(
    device: str,
    count: int,
    lock_folder: str | os.PathLike | None = None,
    poll: float = 5.0,
    job: str = "a job without a name",
) -> Iterator[list[torch.device]]:
    """Hold `count` devices for the block.

    ``cpu`` is shared. For ``cuda`` so many of the visible cards are locked among all processes of
    this machine (inside a SLURM job: among that job's; `warpline.devices.locks`). Waits until they
    are free.

    Parameters
    ----------
    device, count
        What and how many; several of ``cpu`` are the same one.
    lock_folder
        Where the locks lie; a folder common to all users of the machine, if not given.
    poll
        Seconds between two tries.
    job
        What the card is held for, told to those who wait for it.

    Raises
    ------
    WarplineError
        If ``cuda`` is asked for where torch sees no GPU or fewer than asked for, or the locks
        cannot be kept.
    """
    import torch

    if device == "cpu":
        yield [torch.device("cpu")] * count
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = torch.cuda.device_count()
    if seen == 0:
        hidden = visible is not None and f": CUDA_VISIBLE_DEVICES is '{visible}'"
        raise WarplineError(
            f"A GPU is asked for, but torch sees none on this machine{hidden or ''}.",
            where="'device' of the configuration (auto means cuda at scale paper)",
            do="Set 'device: cpu', or run where there is a GPU with a CUDA build of torch"
            + (", or give CUDA_VISIBLE_DEVICES a card." if hidden else "."),
        )
    if seen < count:
        raise WarplineError(
            f"{count} GPUs are asked for, but torch sees {seen}.",
            where="training.devices of the recipe"
            + ("" if visible is None else f"; CUDA_VISIBLE_DEVICES is '{visible}'"),
            do=f"Set it to {seen}, or let the job have {count}: --resources gpu={count} on one "
            f"machine, the partition's max_gpu on a cluster.",
        )
    names = [_identity(index, name) for index, name in enumerate(card_names(seen, visible))]
    locks = [scope(os.environ) + name for name in names]
    with hold(locks, job, lock_folder, poll, count) as places:
        chosen = [torch.device("cuda", place) for place in places]
        provenance.used(", ".join(map(_description, chosen)))
        yield chosen


def _identity(index: int, name: str) -> str:
    """The card's own id: processes may know one card by different names; else that name."""
    import torch

    try:
        return f"GPU-{torch.cuda.get_device_properties(index).uuid}"
    except (AssertionError, AttributeError, RuntimeError):  # without CUDA, or an old torch
        return name


def _description(device: torch.device) -> str:
    import torch

    try:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    except (AssertionError, RuntimeError):
        return str(device)
