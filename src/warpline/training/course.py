"""Where a training stands: what its checkpoints keep beside weights and the optimiser."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HISTORY_COLUMNS = ("step", "epoch", "seconds", "split", "name", "value")
KEPT = ("step", "sums", "best", "best_epoch")  # as they are


@dataclass
class Course:
    """The steps taken, and what came of them.

    Attributes
    ----------
    seconds
        That earlier processes trained for.
    sums
        Of each value of the loss over the steps of the epoch that is under way.
    best, best_epoch
        The lowest value of what is monitored, and the epoch that ended with it.
    history
        Rows of `HISTORY_COLUMNS`.
    """

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    best_epoch: int | None = None
    history: list[tuple] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = time.monotonic() - self.seconds

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> Course:
        """That of a checkpoint, see `kept`."""
        history = [tuple(row) for row in saved["history"]]
        return cls(history=history, **{name: saved[name] for name in ("seconds", *KEPT)})

    def kept(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        own = {name: getattr(self, name) for name in KEPT}
        return {**own, "seconds": self.elapsed(), "history": [list(row) for row in self.history]}

    def elapsed(self) -> float:
        """Seconds of training, with those of earlier processes."""
        return time.monotonic() - self._started

    def count(self, values: Mapping[str, float]) -> None:
        """Note a step and its values."""
        self.step += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self, steps: int) -> dict[str, float]:
        """The mean values of an epoch of so many steps, which begins anew."""
        found = {name: value / steps for name, value in self.sums.items()}
        self.sums = {}
        return found

    def note(self, epoch: int, split: str, values: Mapping[str, float]) -> None:
        """Add values of an epoch's end to the history."""
        now = self.elapsed()
        self.history += [(self.step, epoch, now, split, n, v) for n, v in values.items()]

    def take_if_best(self, monitored: float, epoch: int) -> bool:
        """Take a value that is below all before it for the best; whether it is."""
        if lower := monitored < self.best:
            self.best, self.best_epoch = monitored, epoch
        return lower
