"""A small registration training that tests can run, also as a process of its own.

python training_tools.py STATE_FOLDER WEIGHTS [PAUSE]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from schema_tools import augmentation_of

from warpline import networks
from warpline.cases.case import Case
from warpline.images.grid import Grid, Image
from warpline.networks.weights import save_weights
from warpline.training.augmentation import Augmentation
from warpline.training.data import CaseMemory
from warpline.training.loop import train
from warpline.training.registration import RegistrationObjective
from warpline.training.settings import Settings

SHAPE = (16, 16, 16)
LOSS = {
    "similarity": {"name": "local_ncc", "window": 5, "weight": 1},
    "dice": {"weight": 1},
    "regularisation": {"name": "identity_gradients", "weight": 0.1},
}


def stop_at(objective, step: int, error: type[BaseException]) -> None:
    """Have an objective raise an error in the place of a step's batch."""
    original = objective.batch

    def stopping(asked: int):
        if asked == step:
            raise error
        return original(asked)

    objective.batch = stopping


def blob_case(name: str, seed: int, labelled: bool = True) -> Case:
    """A bright ball somewhere near the middle, on a textured background."""
    rng = np.random.default_rng(seed)
    centre = 7.5 + rng.uniform(-2.5, 2.5, 3)
    distance = np.linalg.norm(np.stack(np.indices(SHAPE), -1) - centre, axis=-1)
    image = 0.2 + 0.6 / (1 + np.exp(distance - 4)) + 0.02 * rng.random(SHAPE)
    grid = Grid(SHAPE)
    labels = Image((distance < 4).astype(np.uint8), grid) if labelled else None
    return Case(name, Image(image.astype(np.float32), grid), labels)


def small_objective(cases: int = 6, **changes) -> RegistrationObjective:
    """An objective on blobs; `changes` replace its arguments."""
    training = CaseMemory([blob_case(f"t{i}", i) for i in range(cases)], [1])
    validation = CaseMemory([blob_case(f"v{i}", 100 + i) for i in range(2)], [1])
    arguments = {
        "loss": LOSS,
        "batch_size": 2,
        "symmetric": True,
        "augmentation": Augmentation(**augmentation_of(rotation=10, translation=1, zoom=0.1)),
        "masked": True,
        "seed": 3,
    } | changes
    return RegistrationObjective(training, validation, [("v0", "v1"), ("v1", "v0")], **arguments)


def small_network(seed: int = 0) -> networks.RegistrationNetwork:
    """Two levels, four channels."""
    torch.manual_seed(seed)
    return networks.build("estienne2020", {"channels": [4, 4, 4], "convolutions": [1, 1]})


class Slope:
    """The least that can be trained: one number, drawn to the step's own."""

    steps_per_epoch = 2

    def batch(self, step):
        return torch.full((1, 1), float(step))

    def loss(self, network, batch):
        loss = (network(batch) - 1).square().mean()
        return loss, {"part": loss}

    def validate(self, network):
        return {"loss": float((network.weight - 0.1).square())}


def course(**changes) -> Settings:
    """The settings of a test's training, where it says nothing else."""
    chosen = {
        "optimiser": "adam",
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "decay": 0.0,
        "schedule": "constant",
        "factor": 1.25,
        "precision": "single",
        "steps": None,
        "mixed_validation": False,
        "validate_every": 1,
        "monitor": "val",
        "patience": None,
        "checkpoint_seconds": 60.0,
        "deterministic": False,
        "compile": False,
        "seed": 0,
    }
    return Settings(**chosen | changes)


class Slow:
    """An objective that takes its time, so that a test can interrupt it."""

    def __init__(self, objective: RegistrationObjective, pause: float):
        self.objective, self.pause = objective, pause

    def __getattr__(self, name: str):
        return getattr(self.objective, name)

    def batch(self, step: int):
        time.sleep(self.pause)
        return self.objective.batch(step)


def main(state: str, weights: str, pause: float = 0.0) -> None:
    torch.set_num_threads(1)
    network = small_network()
    chosen = course(epochs=8, learning_rate=5e-3, checkpoint_seconds=0.05, seed=3)
    train(network, Slow(small_objective(), pause), chosen, state)
    save_weights(weights, network)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
