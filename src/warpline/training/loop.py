"""The training loop of every network.

All randomness is a function of the seed and the step, so a training that was killed and taken up
again from its last checkpoint ends with the same weights, bit for bit on the same machine and
number of threads, as one that never stopped.
"""

from __future__ import annotations

import csv
import io
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.networks.weights import load_weights
from warpline.progress import Progress
from warpline.training.ahead import Ahead
from warpline.training.card import compiled, tuned
from warpline.training.checkpoints import StateFolder, unfit
from warpline.training.determinism import deterministic
from warpline.training.distributed import ALONE, Group
from warpline.training.optimisers import optimiser_of
from warpline.training.precision import autocast, precision_on
from warpline.training.settings import Settings, out_of_patience, set_learning_rate

HISTORY_COLUMNS = ("step", "epoch", "seconds", "split", "name", "value")


class Diverged(Exception):
    """What an objective raises where the network's answer can lead nowhere; its text says why."""


class Objective(Protocol):
    """What a network is trained for; `loss` and `validate` may raise `Diverged`."""

    steps_per_epoch: int

    def batch(self, step: int) -> Any:
        """The batch of a step, a function of the objective's seed and the step alone."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss to minimise and its parts."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Validation values; ``loss`` must be among them."""


@dataclass
class Result:
    """What a training leaves behind: its length, its seconds, its history and best epoch."""

    steps: int
    seconds: float
    history: list[tuple]
    best_epoch: int | None

    @property
    def epochs(self) -> int:
        """Whole passes over the training cases."""
        return max((row[1] for row in self.history), default=0)


class Interrupted(SystemExit):
    """SIGTERM came; the state is saved. The exit status is that of a process so ended."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def train(
    network: nn.Module,
    objective: Objective,
    settings: Settings,
    state_folder: str | os.PathLike,
    *,
    device: torch.device | str = "cpu",
    label: str = "training",
    source: Mapping[str, Any] | None = None,
    group: Group = ALONE,
) -> Result:
    """Train `network` in place, taking up where the state folder's last checkpoint stands.

    Parameters
    ----------
    source
        What the objective learns from, see `warpline.training.source.source_of`: a checkpoint that
        was learned from something else, or does not fit the network, is left aside.
    group
        The processes that train together, each on its share of every batch; the first of them
        validates, and keeps the state.

    Raises
    ------
    WarplineError
        If the loss or the weights stop being finite, the loss in validation, by which the best
        epoch is chosen, has never been a number, or the objective says that the training diverged;
        the last good state is kept.
    Interrupted
        After SIGTERM, once the state is saved.
    """
    device = torch.device(device)
    settings = replace(settings, precision=precision_on(device, settings.precision))
    state = StateFolder(state_folder)
    network.to(device).train()
    optimiser = optimiser_of(
        settings.optimiser,
        network.parameters(),
        device,
        settings.learning_rate,
        settings.weight_decay,
    )
    scaler = torch.amp.GradScaler(
        device.type, enabled=settings.precision == "float16" and device.type == "cuda"
    )
    history: list[tuple] = []
    step, seconds, best, best_epoch = 0, 0.0, math.inf, None
    sums: dict[str, float] = {}
    source = dict(source or {})
    saved = state.load(lambda found: unfit(found, network, optimiser, scaler, source))
    if saved is None and group.leads:
        state.best.unlink(missing_ok=True)  # of another training
    if saved is not None:
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        scaler.load_state_dict(saved["scaler"])
        step, seconds, sums = saved["step"], saved["seconds"], saved["sums"]
        best, best_epoch = saved["best"], saved["best_epoch"]
        history = [tuple(row) for row in saved["history"]]
    per_epoch = settings.epoch(objective.steps_per_epoch)
    total = settings.epochs * per_epoch
    started = time.monotonic() - seconds
    mixed = settings.precision if settings.mixed_validation else "single"

    def save() -> None:
        if not group.leads:
            return
        if not all(torch.isfinite(p).all() for p in network.parameters()):
            raise _diverged("the weights stopped being finite", step, state)
        state.save(
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scaler": scaler.state_dict(),
                "step": step,
                "seconds": time.monotonic() - started,
                "sums": sums,
                "best": best,
                "best_epoch": best_epoch,
                "history": [list(row) for row in history],
                "source": source,
            }
        )

    bar = Progress(total, label, stream=None if group.leads else io.StringIO(), initial=step)
    last_save = time.monotonic()
    batches = Ahead(objective, wanted=device.type == "cuda")
    with (
        _terminate_flag() as terminated,
        deterministic(settings.deterministic),
        tuned(device, settings.deterministic),
        compiled(network, settings.compile),
        batches,
    ):
        while step < total and not out_of_patience(settings, best_epoch, step // per_epoch):
            set_learning_rate(optimiser, settings, step, per_epoch)
            torch.manual_seed(_seed(settings.seed, step, group.rank))
            batch = group.share(batches.batch(step, last=step + 1 == total))
            with autocast(device, settings.precision), _stopping(step, state), group.together():
                loss, parts = objective.loss(network, batch)
            values = group.means({"loss": loss, **parts})
            if not math.isfinite(values["loss"]):
                raise _diverged("the loss stopped being finite", step, state)
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            group.average_gradients(network)
            scaler.step(optimiser)
            scaler.update()
            step += 1
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
            epoch, within = divmod(step, per_epoch)
            if within == 0:
                means = {name: value / per_epoch for name, value in sums.items()}
                sums = {}
                now = time.monotonic() - started
                history += [(step, epoch, now, "train", n, v) for n, v in means.items()]
                monitored = means["loss"] if settings.monitor == "train" else math.inf
                if settings.validate_every and (
                    epoch % settings.validate_every == 0 or step == total
                ):
                    network.eval()
                    values = {}
                    if group.leads:
                        with torch.no_grad(), autocast(device, mixed), _stopping(step, state):
                            values = objective.validate(network)
                    values = group.told(values)
                    network.train()
                    now = time.monotonic() - started
                    history += [(step, epoch, now, "val", n, v) for n, v in values.items()]
                    if settings.monitor == "val":
                        monitored = values["loss"]
                        if math.isnan(monitored) and best_epoch is None:
                            save()
                            raise _unmeasured(epoch, state)
                    means |= {f"val {name}": value for name, value in values.items()}
                if monitored < best:
                    best, best_epoch = monitored, epoch
                    if group.leads:
                        state.save_best(network)
                bar.update(0, epoch=f"{epoch} of {settings.epochs}", **_told(means))
            bar.update(1)
            if group.any(terminated()):
                save()
                if group.leads:
                    print(f"SIGTERM: state of step {step} saved in {state.folder}", flush=True)
                raise Interrupted
            if time.monotonic() - last_save >= settings.checkpoint_seconds:
                save()
                last_save = time.monotonic()
    save()
    bar.close()
    network.eval()
    return Result(step, time.monotonic() - started, history, best_epoch)


def _told(means: Mapping[str, float]) -> dict[str, float]:
    """Of an epoch's means what a line of progress has room for."""
    names = {"loss": "loss", "val loss": "validation"}
    return {title: means[name] for name, title in names.items() if name in means}


def finished(network: nn.Module, state_folder: str | os.PathLike) -> Result:
    """The result of a training that other processes have run; `network` gets its last weights."""
    saved = StateFolder(state_folder).load()
    network.load_state_dict(saved["network"])
    network.eval()
    history = [tuple(row) for row in saved["history"]]
    return Result(saved["step"], saved["seconds"], history, saved["best_epoch"])


def use_best(network: nn.Module, state_folder: str | os.PathLike) -> None:
    """Load the best weights of a training, if any epoch was validated."""
    best = StateFolder(state_folder).best
    if best.exists():
        load_weights(best, network)


def write_history(path: str | os.PathLike, history: list[tuple]) -> None:
    """Write the learning curves as CSV: step, epoch, seconds, split, name, value."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HISTORY_COLUMNS)
        writer.writerows(history)


@contextmanager
def _stopping(step: int, state: StateFolder) -> Iterator[None]:
    """Say what `Diverged` says, at which step, and what is kept."""
    try:
        yield
    except Diverged as reason:
        raise _diverged(str(reason), step, state) from None


def _diverged(what: str, step: int, state: StateFolder) -> WarplineError:
    kept = state.last if state.last.exists() else "nothing, it was the first checkpoint interval"
    return WarplineError(
        f"The training diverged: {what} at step {step}.",
        where=f"last good state kept: {kept}",
        do="Lower training.optimiser.learning_rate, or use precision: single.",
    )


def _unmeasured(epoch: int, state: StateFolder) -> WarplineError:
    return WarplineError(
        f"The loss in validation is not a number after epoch {epoch}, and was none before: it can "
        "choose no best epoch.",
        where=f"training.validation of the recipe; state kept: {state.last}",
        do="Validate on cases that can be measured, or choose with 'monitor: train'.",
    )


def _seed(seed: int, step: int, rank: int) -> int:
    # What a network draws for its share differs from the others'; the first process' is as alone.
    entropy = [seed, 2, step, rank] if rank else [seed, 2, step]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


@contextmanager
def _terminate_flag() -> Iterator[Any]:
    """A function that tells whether SIGTERM has come; the old handler returns afterwards."""
    received: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, old)
