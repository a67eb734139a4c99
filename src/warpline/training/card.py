"""What a training makes of its GPU: where its data lie, how they get there, what is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Of a card's memory what torch's allocator and the convolutions' own buffers leave to tensors.
USABLE = 0.9
# What networks are called by, but for segmenters.
CALLED = ("predict_directions", "displacements", "features")


def keeps_data(
    wanted: str,
    device: torch.device,
    data: Callable[[], int],
    step: Callable[[], int],
    free: int | None = None,
) -> torch.device:
    """Where the cases of a training are kept, by ``training.memory``.

    Parameters
    ----------
    wanted
        ``device``, ``host``, or ``auto``: on the device if a step leaves room for them there.
    data, step
        Count the bytes of the cases, and those of a step, if they are asked for.
    free
        Bytes that are free on the device; by default it is asked.
    """
    host = torch.device("cpu")
    if wanted == "host" or device.type == "cpu":
        return host
    if wanted == "device":
        return device
    if free is None:
        free = torch.cuda.mem_get_info(device)[0]
    left = USABLE * free - data()
    return device if left >= 0 and left >= step() else host


def moved(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A tensor on a device; from the CPU through pinned memory, while the device computes."""
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@contextmanager
def tuned(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Let convolutions on a GPU try what is fastest for their sizes, which do not change.

    What is fastest may differ from run to run, and with it the last digits.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or (device.type == "cuda" and not deterministic)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def compiled(network: nn.Module, wanted: bool, backend: str = "inductor") -> Iterator[None]:
    """Let torch compile what a network computes, if that is wanted; as it was afterwards."""
    names = [name for name in CALLED if hasattr(network, name)] or ["forward"]
    names = names if wanted else []
    for name in names:
        # On the object: what it is called by in its class stays.
        setattr(network, name, torch.compile(getattr(network, name), backend=backend))
    try:
        yield
    finally:
        for name in names:
            delattr(network, name)
