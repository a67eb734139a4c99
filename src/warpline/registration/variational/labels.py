"""A segmenter as the eyes of a registration: what it says of an image, on the image's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.images.resample import resample_to
from warpline.networks.weights import trained
from warpline.plan.models import Models
from warpline.plan.places import Places, project_folder
from warpline.plan.recipe import NetworkEntry, Step
from warpline.segmentation.windows import probabilities

# Steps that take a case out of the scanner's frame, which has to lead back to its voxels.
UNFRAMED = ("centre_frame",)


@dataclass(frozen=True)
class Segmenter:
    """A network that segments, and how it sees a case.

    Attributes
    ----------
    network
        In evaluation mode, on `device`; see `warpline.segmentation.windows.segment`.
    window
        Side of its windows, voxels; None: whole images.
    steps
        Of preparation, which leave every voxel at its place in mm.
    """

    network: nn.Module
    window: int | None
    steps: Sequence[Step]
    device: torch.device

    @classmethod
    def of_model(cls, name: str, device: torch.device | str = "cpu") -> Segmenter:
        """A model of the project or of the working folder, for images as the scanner gives them.

        Raises
        ------
        WarplineError
            If there is no such model, it segments nothing, or its card does not say how the cases
            were prepared that it learned from.
        """
        models, place = Models(Places.here(project_folder())), torch.device(device)
        card = models.card(name)
        recipe = card["recipe"]
        if recipe["training"]["objective"] != "segmentation":
            raise WarplineError(
                f"The model '{name}' segments nothing.",
                where="segmenter",
                do="Name one whose recipe has the objective 'segmentation'; see 'warpline models'.",
            )
        if "prepare" not in card["dataset"]:
            raise WarplineError(
                f"The card of the model '{name}' does not say how its cases were prepared.",
                where="segmenter",
                do="Segment prepared images yourself and give their 'probabilities'.",
            )
        entry = NetworkEntry.of(recipe)
        steps = [*card["dataset"]["prepare"], *entry.steps]
        return cls(
            trained(entry, models.file(name, "safetensors"), place),
            recipe["training"]["sampling"]["crop"],
            [step for step in steps if not set(step) & set(UNFRAMED)],
            place,
        )

    def __call__(self, case: Case) -> np.ndarray:
        """Probabilities (labels, z, y, x) float32 on the case's grid; 0 beyond what is prepared."""
        seen = prepare(Case(case.id, case.image, mask=case.mask), self.steps)
        found = probabilities(self.network, seen.image, window=self.window, device=self.device)
        if seen.grid.close_to(case.grid):
            return found
        parts = [seen.image.with_array(part) for part in found]
        return np.stack([resample_to(part, case.grid, fill=0.0).array for part in parts])
