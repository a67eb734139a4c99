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
from warpline.training.course import HISTORY_COLUMNS, Course
from warpline.training.determinism import deterministic
from warpline.training.distributed import ALONE, Group
from warpline.training.optimisers import optimiser_of
from warpline.training.precision import autocast, precision_on
from warpline.training.settings import Settings, out_of_patience, set_learning_rate


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
    training = _Training(network, objective, settings, state, device, dict(source or {}), group)
    training.take_up()
    course = training.course
    bar = Progress(
        training.total, label, stream=None if group.leads else io.StringIO(), initial=course.step
    )
    last_save = time.monotonic()
    batches = Ahead(objective, wanted=device.type == "cuda")
    with (
        _terminate_flag() as terminated,
        deterministic(settings.deterministic),
        tuned(device, settings.deterministic),
        compiled(network, settings.compile),
        batches,
    ):
        while not training.over:
            training.advance(batches)
            epoch, within = divmod(course.step, training.per_epoch)
            if within == 0:
                told = _told(training.end_epoch(epoch))
                bar.update(0, epoch=f"{epoch} of {settings.epochs}", **told)
            bar.update(1)
            if group.any(terminated()):
                training.save()
                if group.leads:
                    at = f"state of step {course.step} saved in {state.folder}"
                    print(f"SIGTERM: {at}", flush=True)
                raise Interrupted
            if time.monotonic() - last_save >= settings.checkpoint_seconds:
                training.save()
                last_save = time.monotonic()
    training.save()
    bar.close()
    network.eval()
    return Result(course.step, course.elapsed(), course.history, course.best_epoch)


class _Training:
    """A network on its way; the arguments are those of `train`, with all of them settled."""

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        settings: Settings,
        state: StateFolder,
        device: torch.device,
        source: Mapping[str, Any],
        group: Group,
    ):
        self.network, self.objective, self.settings = network, objective, settings
        self.state, self.device, self.source, self.group = state, device, source, group
        self.course = Course()
        self.per_epoch = settings.epoch(objective.steps_per_epoch)
        self.total = settings.epochs * self.per_epoch
        network.to(device).train()
        self.optimiser = optimiser_of(
            settings.optimiser,
            network.parameters(),
            device,
            settings.learning_rate,
            settings.weight_decay,
        )
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=settings.precision == "float16" and device.type == "cuda"
        )

    @property
    def over(self) -> bool:
        """Whether all steps are taken, or nothing has become better for too long."""
        course = self.course
        waited = out_of_patience(self.settings, course.best_epoch, course.step // self.per_epoch)
        return course.step >= self.total or waited

    def take_up(self) -> None:
        """Go on where the last checkpoint stands, if it is one of this training."""
        saved = self.state.load(
            lambda found: unfit(found, self.network, self.optimiser, self.scaler, self.source)
        )
        if saved is not None:
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.scaler.load_state_dict(saved["scaler"])
            self.course = Course.of(saved)
        elif self.group.leads:
            self.state.best.unlink(missing_ok=True)  # of another training

    def save(self) -> None:
        """Keep all that `take_up` needs."""
        if not self.group.leads:
            return
        if not all(torch.isfinite(p).all() for p in self.network.parameters()):
            raise self._diverged("the weights stopped being finite")
        self.state.save(
            {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "source": self.source,
                **self.course.kept(),
            }
        )

    def advance(self, batches: Ahead) -> None:
        """Take one step."""
        settings, group, step = self.settings, self.group, self.course.step
        set_learning_rate(self.optimiser, settings, step, self.per_epoch)
        torch.manual_seed(_seed(settings.seed, step, group.rank))
        batch = group.share(batches.batch(step, last=step + 1 == self.total))
        with autocast(self.device, settings.precision), self._stopping(), group.together():
            loss, parts = self.objective.loss(self.network, batch)
        values = group.means({"loss": loss, **parts})
        if not math.isfinite(values["loss"]):
            raise self._diverged("the loss stopped being finite")
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        group.average_gradients(self.network)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.course.count(values)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Note an epoch's means, validate if it is time, and keep the weights if they are the best.

        Returns
        -------
        means
            Over the epoch's steps, and what validation gave, its names after ``val``.
        """
        settings, course = self.settings, self.course
        means = course.means(self.per_epoch)
        course.note(epoch, "train", means)
        monitored = means["loss"] if settings.monitor == "train" else math.inf
        every, last = settings.validate_every, course.step == self.total
        if every and (epoch % every == 0 or last):
            values = self._validate()
            course.note(epoch, "val", values)
            means |= {f"val {name}": value for name, value in values.items()}
            if settings.monitor == "val":
                monitored = values["loss"]
                if math.isnan(monitored) and course.best_epoch is None:
                    self.save()
                    raise _unmeasured(epoch, self.state)
        if course.take_if_best(monitored, epoch) and self.group.leads:
            self.state.save_best(self.network)
        return means

    def _validate(self) -> dict[str, float]:
        values: dict[str, float] = {}
        precision = self.settings.precision if self.settings.mixed_validation else "single"
        self.network.eval()
        if self.group.leads:
            with torch.no_grad(), autocast(self.device, precision), self._stopping():
                values = self.objective.validate(self.network)
        self.network.train()
        return self.group.told(values)

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Say what `Diverged` says, at which step, and what is kept."""
        try:
            yield
        except Diverged as reason:
            raise self._diverged(str(reason)) from None

    def _diverged(self, what: str) -> WarplineError:
        last = self.state.last
        kept = last if last.exists() else "nothing, it was the first checkpoint interval"
        return WarplineError(
            f"The training diverged: {what} at step {self.course.step}.",
            where=f"last good state kept: {kept}",
            do="Lower training.optimiser.learning_rate, or use precision: single.",
        )


def _told(means: Mapping[str, float]) -> dict[str, float]:
    """Of an epoch's means what a line of progress has room for."""
    names = {"loss": "loss", "val loss": "validation"}
    return {title: means[name] for name, title in names.items() if name in means}


def finished(network: nn.Module, state_folder: str | os.PathLike) -> Result:
    """The result of a training that other processes have run; `network` gets its last weights."""
    saved = StateFolder(state_folder).load()
    network.load_state_dict(saved["network"])
    network.eval()
    course = Course.of(saved)
    return Result(course.step, course.seconds, course.history, course.best_epoch)


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
