"""What this machine does in a second, for ``warpline budget``."""

from __future__ import annotations

import time

import torch

from warpline.networks import build
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.training.budget import step_cost
from warpline.training.registration_loss import Batch, RegistrationLoss


def core_rate() -> float:
    """GFLOP/s of one core of this machine in steps of a small registration network."""
    recipe = Catalog({"scale": "cpu"}, project_folder()).method("estienne2020-task4-baseline")
    training = {**recipe["training"], "precision": "single", "batch_size": 1}
    shape, before = (48, 48, 48), torch.get_num_threads()
    cost = step_cost({**recipe, "training": training}, shape, 2)
    torch.set_num_threads(1)
    try:
        network = build(recipe["network"]["name"], recipe["network"]["parameters"]).train()
        criterion = RegistrationLoss(
            recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
        )
        images = (torch.rand(1, 1, *shape) for _ in range(2))
        batch = Batch(*images, *[torch.rand(1, 2, *shape)] * 2)
        spent = []
        for _ in range(4):
            started = time.process_time()
            criterion(network, batch)[0].backward()
            spent.append(time.process_time() - started)
    finally:
        torch.set_num_threads(before)
    return cost.operations / min(spent) / 1e9
