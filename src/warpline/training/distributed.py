"""Processes that train one network together, each on its share of every batch (data parallel).

The published batch is the one that all share. Gradients are averaged after every step, and sums
over a batch, such as the Dice overlap's, run over all shares, so that the losses are those of one
process with the whole batch, to rounding. What a network draws at random for its share, as that of
Hu et al. 2020 does, is another draw than one process would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from warpline.errors import WarplineError

# A validation of hundreds of full-size pairs, for which the others wait.
PATIENCE = timedelta(hours=6)
T = TypeVar("T")

# Whether a loss is being computed of which every process has a share; see `Group.together`.
_shared = False


class _Sum(torch.autograd.Function):
    """The sum over all processes, and of all their gradients on the way back."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor) -> torch.Tensor:
        total = value.detach().clone().contiguous()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone().contiguous()
        dist.all_reduce(total)
        return total


def summed(value: torch.Tensor) -> torch.Tensor:
    """A sum over the share of a batch, as the sum over the whole batch; differentiable.

    Without several processes it is `value` itself.
    """
    return _Sum.apply(value) if _shared else value


def mean_of(mean: torch.Tensor, count: int) -> torch.Tensor:
    """The mean over the whole batch, of one over `count` items of this share; differentiable."""
    if not _shared:
        return mean
    items = torch.tensor(float(count), device=mean.device)
    # A share without an item has no mean to give, but takes part in the sum and its gradient.
    return summed(mean.nan_to_num(0.0) * count) / summed(items)


@dataclass(frozen=True)
class Group:
    """A process and how many train with it.

    Attributes
    ----------
    rank, size
        Number of this process, from 0, and of all.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates and writes."""
        return self.rank == 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let sums of a loss run over all processes, which compute it at the same time."""
        global _shared
        _shared = self.size > 1
        try:
            yield
        finally:
            _shared = False

    def share(self, batch: T) -> T:
        """This process' part of a batch: of every tensor and list a run of its items.

        Raises
        ------
        WarplineError
            If there are fewer items than processes.
        """
        if self.size == 1 or batch is None:
            return batch
        if is_dataclass(batch):
            parts = {f.name: self.share(getattr(batch, f.name)) for f in fields(batch)}
            return replace(batch, **parts)
        if len(batch) < self.size:
            raise WarplineError(
                f"A batch of {len(batch)} is too small for {self.size} processes; an epoch's last "
                "one has what is left.",
                where="training.batch_size, training.devices of the recipe",
                do="Train on fewer devices, or choose a batch size without such a rest.",
            )
        first, end = (k * len(batch) // self.size for k in (self.rank, self.rank + 1))
        return batch[first:end]

    def means(self, values: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """The mean of each value over the processes."""
        if self.size == 1:
            return {name: float(value.detach()) for name, value in values.items()}
        stacked = torch.stack([value.detach().double().reshape(()) for value in values.values()])
        dist.all_reduce(stacked)
        return dict(zip(values, (stacked / self.size).tolist(), strict=True))

    def average_gradients(self, network: nn.Module) -> None:
        """Give every process the mean of all gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def told(self, value: T) -> T:
        """What the first process has, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        said = torch.tensor(float(flag), device=device)
        dist.all_reduce(said)
        return bool(said > 0)


ALONE = Group()


@contextmanager
def joined(rank: int, size: int, store: str, device: torch.device) -> Iterator[Group]:
    """Join the processes that meet at the file `store`, over NCCL on GPUs and gloo on CPUs."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=dist.FileStore(store, size),
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation by the statistics of all shares of a batch."""

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        if not (_shared and self.training):
            return super().forward(volume)
        axes = (0, 2, 3, 4)
        wide = volume.float()
        count = summed(torch.tensor(float(volume.numel() // volume.shape[1]), device=wide.device))
        mean = summed(wide.sum(axes)) / count
        centred = wide - mean[:, None, None, None]
        variance = summed(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = self.momentum or 1.0 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
        scale = (self.weight * torch.rsqrt(variance + self.eps))[:, None, None, None]
        return (centred * scale + self.bias[:, None, None, None]).to(volume.dtype)


def share_normalisation(network: nn.Module) -> None:
    """Let the network's batch normalisations take the statistics of the whole batch."""
    for module in network.modules():
        if type(module) is nn.BatchNorm3d:
            module.__class__ = SharedBatchNorm3d
