"""How irregular a prediction is, by the names that recipes give: one number to be made small.

Each takes a network's `warpline.networks.Prediction` and the further keys of
``loss.regularisation``.
"""

from __future__ import annotations

from typing import Any

import torch

from warpline.errors import WarplineError
from warpline.networks import Prediction
from warpline.training import losses


def identity_gradients(prediction: Prediction, **more: Any) -> torch.Tensor:
    """How far the predicted gradients are from those of the identity."""
    return losses.identity_gradients(prediction.gradients, **more)


def displacement_gradient(prediction: Prediction, **more: Any) -> torch.Tensor:
    """How fast the displacement changes from voxel to voxel."""
    return losses.displacement_gradient(prediction.displacement, **more)


def velocity_prior(prediction: Prediction, **more: Any) -> torch.Tensor:
    """The prior of the velocity for each voxel of the images, over which similarity is a mean."""
    velocity = prediction.velocity
    if velocity is None:
        raise WarplineError(
            "The recipe has a prior for velocities, and its network predicts no distribution of "
            "them.",
            where="loss.regularisation of the recipe",
            do="Use the network hu2020, or another regularisation.",
        )
    prior = losses.velocity_prior(velocity.mean, velocity.log_variance, **more)
    return prior / prediction.displacement[0, 0].numel()
