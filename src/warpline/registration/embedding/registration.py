"""Registration by displacement embeddings, from two cases to a field.

Hansen & Heinrich 2020; what the paper leaves open are the values of `Settings`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to
from warpline.registration.embedding.densify import densify
from warpline.registration.embedding.graph import diffuse, laplacian
from warpline.registration.embedding.keypoints import keypoints
from warpline.registration.embedding.pca import Pca
from warpline.registration.embedding.search import (
    clipped,
    displacement_maps,
    displacements,
    equalise,
    soft_argmin,
    to_one_depth,
)

STRIDE = 2  # of the features
SHOWN = 0  # the keypoint whose maps the diagnostics keep: the most distinctive


@dataclass(frozen=True)
class Settings:
    """How a pair is registered.

    Attributes
    ----------
    keypoints, erosion
        How many are asked for, and how many voxels inside the mask; see `keypoints`.
    components
        Dimensions of the embedding; None takes the maps as they are.
    radius, step, patch
        Of the search, in feature voxels; see `displacement_maps`.
    share
        Brings all maps to one scale, see `equalise`; None takes them as they are.
    shift, draws
        The embedding is learned from `draws` searches at each keypoint, with their middles up to
        `shift` feature voxels along each axis beside it, at random.
    neighbours, strength
        Of the graph, and λ of the diffusion.
    temperature
        Of the soft-argmin, in units of each map's depth, see `to_one_depth`.
    shape, margin
        Both lungs' boxes, with `margin` mm on each side, are resampled to `shape` (z, y, x).
    align_boxes
        Start from the affine map of one box onto the other; otherwise both images are seen in the
        fixed lungs' box.
    corrections
        Of the dense field, see `densify`.
    """

    keypoints: int = 1500
    erosion: int = 3
    components: int | None = 512
    radius: int = 10
    step: float = 1.0
    patch: int = 3
    share: float | None = 0.005
    shift: int = 3
    draws: int = 4
    neighbours: int = 10
    strength: float = 0.2
    temperature: float = 0.02
    shape: tuple[int, int, int] = (192, 160, 192)
    margin: float = 6.0
    align_boxes: bool = True
    corrections: int = 1


@dataclass
class Diagnostics:
    """What a registration went through.

    Attributes
    ----------
    points
        Keypoints (n, 3), mm, LPS, in the fixed image.
    start
        Their displacements (n, 3), mm, by the alignment of the boxes alone.
    found, regularised
        Their displacements (n, 3), mm, before and after the diffusion, both through the embedding.
    displacement_map, reconstruction
        Of the most distinctive keypoint, (2·radius + 1,) · 3, along the fixed box's axes
        (z, y, x): the map, and what the regularised embedding says of it.
    clipped
        Share of the keypoints whose least difference lies on the border of the search range: their
        displacement may be beyond it.
    reach
        How far the search goes along the fixed box's axes (z, y, x), mm in the moving image.
    seconds
        Of each stage.
    """

    points: np.ndarray
    start: np.ndarray
    found: np.ndarray
    regularised: np.ndarray
    displacement_map: np.ndarray
    reconstruction: np.ndarray
    clipped: float
    reach: tuple[float, float, float]
    seconds: dict[str, float] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a figure of the registration shows, to be kept in a file."""
        names = ("points", "start", "found", "regularised", "displacement_map", "reconstruction")
        return {name: getattr(self, name) for name in names} | {"reach": np.array(self.reach)}


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
def register(
    fixed: Case,
    moving: Case,
    network: nn.Module,
    pca: Pca | None,
    settings: Settings,
    device: torch.device | str = "cpu",
) -> tuple[DisplacementField, Diagnostics]:
    """The field of a pair on the fixed grid, and how it came about.

    Parameters
    ----------
    fixed, moving
        Cases with lung masks, on any grids.
    network
        With a method ``features``: an image (1, 1, z, y, x) to (1, C, z/2, y/2, x/2).
    pca
        Learned on maps of the same `radius`, `step`, `patch`, `share` and network; None where
        ``settings.components`` is None.

    Raises
    ------
    WarplineError
        If a mask is missing or empty, the image has no keypoints, or the embedding does not fit.
    """
    if settings.components is not None:
        pca = _checked(pca, settings).to(device)
    search = search_pair(fixed, moving, network, settings, device)
    return finish(search, fixed.grid, pca, settings)


@torch.inference_mode()
def search_pair(
    fixed: Case,
    moving: Case,
    network: nn.Module,
    settings: Settings,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Search:
    """The first half of `register`: what the embedding is learned from on training pairs.

    With a `generator` (of the CPU) each keypoint is there ``settings.draws`` times, with the
    middles of its searches shifted at random: so an embedding meets displacements that are nowhere
    in the training pairs.
    """
    seconds: dict[str, float] = {}
    device = torch.device(device)
    with _timed(seconds, "resample", device):
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
    with _timed(seconds, "features", device):
        features = [network.features(image) for image in images]
    with _timed(seconds, "keypoints", device):
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
    with _timed(seconds, "search", device):
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


@torch.inference_mode()
def finish(
    search: Search, grid: Grid, pca: Pca | None, settings: Settings
) -> tuple[DisplacementField, Diagnostics]:
    """The second half of `register`: from displacement maps to the field on `grid`."""
    maps, seconds, device = search.maps, dict(search.seconds), search.maps.device
    # Of the feature voxels' middles, in voxels of the boxes.
    index = search.points * STRIDE + (STRIDE - 1) / 2
    moves = displacements(settings.radius, settings.step, device) * STRIDE
    with _timed(seconds, "embedding", device):
        embedded = maps if pca is None else pca.encode(maps)
    with _timed(seconds, "diffusion", device):
        points = search.fixed.index_to_physical(index.cpu().numpy())
        graph = laplacian(torch.from_numpy(points).to(device), settings.neighbours)
        smooth = diffuse(embedded, graph, settings.strength)
    with _timed(seconds, "soft-argmin", device):
        before, after = (e if pca is None else pca.decode(e) for e in (embedded, smooth))
        found, regularised = (
            soft_argmin(to_one_depth(m), moves, settings.temperature) for m in (before, after)
        )
    with _timed(seconds, "densify", device):
        voxel = densify(index, regularised, search.fixed.shape, settings.corrections)
    with _timed(seconds, "field", device):
        inside = DisplacementField.from_voxel(voxel, search.fixed, search.moving)
        result = inside.resample(grid)

    def moved(displacement: torch.Tensor) -> np.ndarray:
        there = search.moving.index_to_physical((index + displacement).cpu().numpy())
        return there - points

    side = (2 * settings.radius + 1,) * 3
    reach = settings.radius * settings.step * STRIDE * np.asarray(search.moving.spacing[::-1])
    return result, Diagnostics(
        points=points,
        start=moved(torch.zeros_like(found)),
        found=moved(found),
        regularised=moved(regularised),
        displacement_map=maps[SHOWN].reshape(side).cpu().numpy(),
        reconstruction=after[SHOWN].reshape(side).cpu().numpy(),
        clipped=float(clipped(maps, settings.radius).float().mean()),
        reach=tuple(map(float, reach)),
        seconds=seconds,
    )


def lung_box(
    case: Case, direction: tuple[float, ...], shape: tuple[int, int, int], margin: float
) -> Grid:
    """The grid of `shape` that fills the box around a case's mask, along given axes.

    Parameters
    ----------
    direction
        3×3, row-major, as in `Grid`; the box lies along these axes, whatever the image's are.
    margin
        mm on each side, from the outer faces of the mask's voxels.

    Raises
    ------
    WarplineError
        If the case has no mask or an empty one.
    """
    if case.mask is None or not case.mask.array.any():
        state = "has no lung mask" if case.mask is None else "has a lung mask without any voxel"
        raise WarplineError(
            f"The case {state}; the registration looks at the lungs' box.",
            where=f"case {case.id}",
            do="Give the dataset lung masks, or add 'segment_lungs' to its 'prepare'.",
        )
    array = case.mask.array != 0
    z, y = np.nonzero(array.any(axis=2))
    # A row's first and last voxel are enough: the box holds what lies between.
    first = array[z, y].argmax(axis=1)
    last = array.shape[2] - 1 - array[z, y, ::-1].argmax(axis=1)
    corners = [
        np.stack([z + dz, y + dy, x + dx], axis=1)
        for dz in (-0.5, 0.5)
        for dy in (-0.5, 0.5)
        for x, dx in ((first, -0.5), (last, 0.5))
    ]
    axes = np.asarray(direction).reshape(3, 3)
    along = case.grid.index_to_physical(np.concatenate(corners)) @ axes
    low, high = along.min(axis=0) - margin, along.max(axis=0) + margin
    spacing = (high - low) / shape[::-1]
    return Grid(
        shape=tuple(shape),
        spacing=tuple(map(float, spacing)),
        origin=tuple(map(float, axes @ (low + spacing / 2))),
        direction=tuple(direction),
    )


def _checked(pca: Pca | None, settings: Settings) -> Pca:
    """The embedding with as many components as the settings say."""
    entries = (2 * settings.radius + 1) ** 3
    if pca is None or len(pca.mean) != entries:
        there = "there is none" if pca is None else f"it is of maps of {len(pca.mean)} entries"
        raise WarplineError(
            f"The embedding does not fit a search of {entries} displacements: {there}.",
            where="radius, components",
            do="Learn the embedding with the same settings.",
        )
    return pca.first(settings.components)


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
def _timed(seconds: dict[str, float], stage: str, device: torch.device) -> Iterator[None]:
    """Add the time of a stage; a GPU is waited for."""
    started = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
