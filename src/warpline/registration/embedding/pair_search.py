"""The displacement maps of a pair's keypoints: the first half of its registration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to
from warpline.registration.embedding.boxes import lung_box
from warpline.registration.embedding.keypoints import keypoints
from warpline.registration.embedding.search import displacement_maps, equalise
from warpline.registration.embedding.settings import SearchSettings

STRIDE = 2  # of the features


@dataclass
class Search:
    """Keypoints of a pair and their displacement maps.

    Attributes
    ----------
    fixed, moving
        The boxes' grids, of one shape.
    points
        (n, 3), indices (z, y, x) of feature voxels.
    maps
        (n, D).
    seconds
        Of each stage.
    """

    fixed: Grid
    moving: Grid
    points: torch.Tensor
    maps: torch.Tensor
    seconds: dict[str, float]


@torch.inference_mode()
def search_pair(
    fixed: Case,
    moving: Case,
    network: nn.Module,
    settings: SearchSettings,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Search:
    """What the embedding is learned from on training pairs.

    With a `generator` (of the CPU) each keypoint is there ``settings.draws`` times, with the
    middles of its searches shifted at random: so an embedding meets displacements that are nowhere
    in the training pairs.
    """
    seconds: dict[str, float] = {}
    device = torch.device(device)
    with timed(seconds, "resample", device):
        box = lung_box(fixed, fixed.grid.direction, settings.shape, settings.margin)
        other = box
        if settings.align_boxes:
            # Along the fixed image's axes, however the moving one is stored.
            other = lung_box(moving, fixed.grid.direction, settings.shape, settings.margin)
        images = [
            _tensor(resample_to(case.image, grid, fill=float(case.image.array.min())), device)
            for case, grid in ((fixed, box), (moving, other))
        ]
        mask = _tensor(resample_to(fixed.mask, box, nearest=True), device)[0, 0]
    with timed(seconds, "features", device):
        features = [network.features(image) for image in images]
    with timed(seconds, "keypoints", device):
        try:
            found = keypoints(images[0], mask, settings.keypoints, settings.erosion)
        except WarplineError as error:
            raise WarplineError(error.what, where=f"case {fixed.id}", do=error.do) from error
        # To the feature voxel that holds it: there both images' features are as they were computed.
        points = torch.div(found, STRIDE, rounding_mode="floor")
        points = _distinct(points)
    centres = None
    if generator is not None:
        points = points.repeat(settings.draws, 1)
        centres = _shifted(points, features[0], settings.shift, generator)
    with timed(seconds, "search", device):
        maps = displacement_maps(
            *features,
            points,
            centres=centres,
            radius=settings.radius,
            step=settings.step,
            patch=settings.patch,
        )
        if settings.share is not None:
            maps = equalise(maps, settings.share)
    return Search(box, other, points, maps, seconds)


def _distinct(points: torch.Tensor) -> torch.Tensor:
    """Rows that occur for the first time, in their order."""
    _, inverse = torch.unique(points, dim=0, return_inverse=True)
    place = torch.arange(len(points), device=points.device)
    first = torch.full_like(place, len(points)).scatter_reduce(0, inverse, place, "amin")
    return points[first[inverse] == place]


def _shifted(
    points: torch.Tensor, features: torch.Tensor, most: int, generator: torch.Generator
) -> torch.Tensor:
    """Points moved at random by at most `most` along each axis, within the features."""
    offsets = torch.randint(-most, most + 1, points.shape, generator=generator)
    last = points.new_tensor(features.shape[2:]) - 1
    return (points + offsets.to(points.device)).clamp_min(0).minimum(last)


def _tensor(image: Image, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(image.array).float().to(device)[None, None]


@contextmanager
def timed(seconds: dict[str, float], stage: str, device: torch.device) -> Iterator[None]:
    """Add the time of a stage; a GPU is waited for."""
    started = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
