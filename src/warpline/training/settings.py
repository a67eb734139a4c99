"""How a network is trained: epochs, learning rate, precision, validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Settings:
    """How a network is trained; the keys of ``training`` in a recipe.

    Attributes
    ----------
    epochs
        Passes over the training cases.
    optimiser
        ``adam`` or ``muon``, see `warpline.training.muon`.
    learning_rate, weight_decay
        Of it.
    decay
        The learning rate is divided by ``1 + decay · steps done``.
    schedule, factor
        ``constant``, ``cosine`` from the learning rate down to 2 % of it, or ``exponential``, which
        divides it by the factor after every epoch.
    precision
        ``single``; ``bfloat16`` or ``float16`` for mixed precision; ``auto`` and ``card``, see
        `precision_on`.
    steps, mixed_validation
        At most so many steps an epoch; whether validation computes in this precision too.
    validate_every
        In epochs; the last epoch is always validated. 0 for never.
    monitor
        Whose mean loss chooses the best epoch: ``val`` or ``train``.
    patience
        Stop when the monitored loss has not fallen for so many epochs; None for never.
    checkpoint_seconds
        Time between two checkpoints.
    deterministic
        Whether only repeatable operations are taken, see `warpline.training.determinism`.
    compile
        Whether torch compiles what the network computes.
    """

    epochs: int
    optimiser: str
    learning_rate: float
    weight_decay: float
    decay: float
    schedule: str
    factor: float
    precision: str
    steps: int | None
    mixed_validation: bool
    validate_every: int
    monitor: str
    patience: int | None
    checkpoint_seconds: float
    deterministic: bool
    compile: bool
    seed: int

    @classmethod
    def of(cls, training: Mapping[str, Any], seed: int, validated: bool) -> Settings:
        """Settings from a recipe's ``training`` mapping, as the schema leaves it."""
        return cls(
            epochs=training["epochs"],
            optimiser=training["optimiser"]["name"],
            learning_rate=training["optimiser"]["learning_rate"],
            weight_decay=training["optimiser"]["weight_decay"],
            decay=training["optimiser"]["decay"],
            schedule=training["schedule"],
            factor=training["factor"],
            precision=training["precision"],
            steps=training.get("steps_per_epoch"),
            mixed_validation=training["validation"].get("measure") == "answer",
            validate_every=training["validation"]["every"] if validated else 0,
            monitor=training["monitor"],
            patience=training["patience"],
            checkpoint_seconds=training["checkpoint_seconds"],
            deterministic=training.get("deterministic", False),
            compile=training.get("compile", False),
            seed=seed,
        )

    def epoch(self, steps: int) -> int:
        """Steps of an epoch, of so many that the objective has."""
        return min(steps, self.steps or steps)


def set_learning_rate(
    optimiser: torch.optim.Optimizer, settings: Settings, step: int, per_epoch: int
) -> None:
    rate = settings.learning_rate / (1.0 + settings.decay * step)
    if settings.schedule == "cosine":
        done = step / (settings.epochs * per_epoch)
        rate *= 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done))
    if settings.schedule == "exponential":
        rate /= settings.factor ** (step // per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate


def out_of_patience(settings: Settings, best_epoch: int | None, epoch: int) -> bool:
    return settings.patience is not None and (
        best_epoch is not None and epoch - best_epoch >= settings.patience
    )
