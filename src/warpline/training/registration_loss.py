"""The loss of a registration: similarity, regularity, overlap, landmarks, folds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from warpline.fields.sampling import warp
from warpline.networks import Prediction, RegistrationNetwork
from warpline.plan.kinds import REGULARISERS, SIMILARITIES
from warpline.registry import lookup
from warpline.training import losses
from warpline.training.loop import Diverged

# The local one brings the fixed image to the number of deformed versions itself.
ONE_FIXED_EACH = ("mse", "cc")


@dataclass
class Batch:
    """Moving and fixed volumes: images (B, C, z, y, x), one-hot labels (B, labels, z, y, x).

    `landmarks` has for every pair those of the fixed and of the moving image, each (n, 3) indices
    (z, y, x) in one order. `annotated` (B, labels) says which labels both cases have annotated;
    None for all.
    """

    moving: torch.Tensor
    fixed: torch.Tensor
    moving_labels: torch.Tensor | None = None
    fixed_labels: torch.Tensor | None = None
    landmarks: list[tuple[torch.Tensor, torch.Tensor]] | None = None
    annotated: torch.Tensor | None = None


class RegistrationLoss:
    """``α·similarity + β·Dice loss + γ·regularity + δ·landmarks + ε·folding``.

    With `symmetric`, the mean of both directions. Every version of the deformed image that the
    network gives (deep supervision) counts equally in the similarity; the other terms use the final
    field alone. Source: Estienne et al. 2020, section 2.1; Bouabid et al. 2019, eq. 6, is the same
    with other terms.

    Eq. 7 of Hu et al. 2020 is a sum over voxels plus a sum over landmarks. Divided by the number of
    voxels of an image, its first two terms are the similarity ``mse`` with α = 1/(2σ²) and the
    regularity ``velocity_prior`` with γ = 1. Its third is δ = 1/(2σ_l²) of the mean over landmarks:
    the sum, divided by millions of voxels too, would teach nothing.

    Parameters
    ----------
    loss
        ``similarity: {name, weight, …}``, ``dice: {weight}``, ``regularisation: {name, weight}``,
        ``landmarks: {weight}``, ``folding: {weight, margin}``; further keys go to the loss
        function. No paper has the last: it is for networks of one's own.
    symmetric
        Measure both directions of every pair.
    masked
        Multiply both images by the mask of voxels where both are > 0.

    Attributes
    ----------
    weights
        Of ``similarity``, ``dice``, ``regularity``, ``landmarks`` and ``folding``; 0 where it is
        not measured.
    """

    def __init__(self, loss: Mapping[str, Mapping[str, Any]], *, symmetric: bool, masked: bool):
        self.symmetric, self.masked = symmetric, masked
        similarity, regulariser = dict(loss["similarity"]), dict(loss["regularisation"])
        overlap = {"weight": 0.0, **loss.get("dice", {})}
        landmarks = {"weight": 0.0, **loss.get("landmarks", {})}
        folding = {"weight": 0.0, **loss.get("folding", {})}
        self.name, regularity = similarity.pop("name"), regulariser.pop("name")
        self.similarity = lookup(self.name, SIMILARITIES, "similarity")
        self.regulariser = lookup(regularity, REGULARISERS, "regularisation")
        self.weights = {
            "similarity": similarity.pop("weight"),
            "dice": overlap.pop("weight"),
            "regularity": regulariser.pop("weight"),
            "landmarks": landmarks.pop("weight"),
            "folding": folding.pop("weight"),
        }
        self.arguments = {
            "similarity": similarity,
            "dice": overlap,
            "regularity": regulariser,
            "folding": folding,
        }

    def __call__(
        self, network: RegistrationNetwork, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss to minimise, and its parts for the record."""
        forward, backward = network.predict_directions(
            batch.moving, batch.fixed, backward=self.symmetric
        )
        predictions = [forward] if backward is None else [forward, backward]
        check_velocity(forward)
        return self._weighed(network, batch, predictions)

    def of_answer(
        self, network: RegistrationNetwork, batch: Batch
    ) -> tuple[torch.Tensor, Prediction]:
        """The loss of the answer alone, one direction and the last field; and the answer.

        It takes the memory of one field where the loss of a symmetric training with deep
        supervision takes that of many.
        """
        forward, _ = network.predict_directions(batch.moving, batch.fixed, backward=False)
        check_velocity(forward)
        answer = replace(forward, displacements=forward.displacements[-1:])
        return self._weighed(network, batch, [answer])[0], answer

    def _weighed(
        self, network: RegistrationNetwork, batch: Batch, predictions: list[Prediction]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        with torch.autocast(batch.moving.device.type, enabled=False):  # in single precision
            return self._measured(network, batch, predictions)

    def _measured(
        self, network: RegistrationNetwork, batch: Batch, predictions: list[Prediction]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        terms = {
            "similarity": self._similarity(network, batch, predictions),
            "regularity": sum(
                self.regulariser(p, **self.arguments["regularity"]) for p in predictions
            )
            / len(predictions),
        }
        if self.weights["dice"]:
            sides = [(batch.moving_labels, batch.fixed_labels)]
            sides.append(sides[0][::-1])
            terms["dice"] = sum(
                self._overlap(warp(source, p.displacement), target, batch.annotated)
                for p, (source, target) in zip(predictions, sides, strict=False)
            ) / len(predictions)
        if self.weights["landmarks"]:
            distances = [
                losses.landmark_distance(p.displacement[[i]], *(marks if k == 0 else marks[::-1]))
                for k, p in enumerate(predictions)
                for i, marks in enumerate(batch.landmarks)
            ]
            terms["landmarks"] = sum(distances) / len(distances)
        if self.weights["folding"]:
            terms["folding"] = sum(
                losses.folding(p.displacement, **self.arguments["folding"]) for p in predictions
            ) / len(predictions)
        total = sum(self.weights[name] * value for name, value in terms.items())
        return total, terms

    def _overlap(
        self, warped: torch.Tensor, target: torch.Tensor, annotated: torch.Tensor | None
    ) -> torch.Tensor:
        if annotated is None:
            return losses.soft_dice(warped, target, **self.arguments["dice"])
        return losses.partial_dice(warped, target, annotated)

    def _similarity(
        self, network: RegistrationNetwork, batch: Batch, predictions: list[Prediction]
    ) -> torch.Tensor:
        moving, fixed = network.channels(batch.moving), network.channels(batch.fixed)
        if len(predictions) == 2:
            moving, fixed = torch.cat([moving, fixed]), torch.cat([fixed, moving])
        mask = ((moving > 0) & (fixed > 0)).float() if self.masked else None
        displacements = [p.displacements for p in predictions]
        versions = [torch.cat(parts) for parts in zip(*displacements, strict=True)]
        # One stack of all versions: sampling works in parallel over it.
        warped = warp(moving.repeat(len(versions), 1, 1, 1, 1), torch.cat(versions))
        if self.name in ONE_FIXED_EACH:
            fixed = fixed.repeat(len(versions), 1, 1, 1, 1)
            mask = None if mask is None else mask.repeat(len(versions), 1, 1, 1, 1)
        return self.similarity(warped, fixed, mask, **self.arguments["similarity"])


def check_velocity(prediction: Prediction) -> None:
    """Refuse a distribution of velocities that is wider than the image.

    Its loss may stay finite for the rest of the training, which then learns nothing.

    Raises
    ------
    Diverged
        If a standard deviation is more voxels than the longest side of the velocity's grid has.
    """
    if prediction.velocity is None:
        return
    deviation = math.exp(0.5 * min(float(prediction.velocity.log_variance.detach().max()), 100.0))
    side = max(prediction.velocity.mean.shape[2:])
    if deviation > side:
        raise Diverged(
            f"a standard deviation of the velocity grew to {deviation:.2g} voxels, beyond the "
            f"grid's {side},"
        )
