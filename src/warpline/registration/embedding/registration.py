"""Registration by displacement embeddings, from two cases to a field; Hansen & Heinrich 2020."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from warpline.cases.case import Case
from warpline.devices.abreast import abreast
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.registration.embedding.densify import densify
from warpline.registration.embedding.graph import diffuse, laplacian
from warpline.registration.embedding.pair_search import STRIDE, Search, search_pair, timed
from warpline.registration.embedding.pca import Pca
from warpline.registration.embedding.search import (
    MAPS,
    clipped,
    displacements,
    soft_argmin,
    to_one_depth,
)
from warpline.registration.embedding.settings import Settings

SHOWN = 0  # the keypoint whose maps the diagnostics keep: the most distinctive


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
def finish(
    search: Search, grid: Grid, pca: Pca | None, settings: Settings
) -> tuple[DisplacementField, Diagnostics]:
    """The second half of `register`: from displacement maps to the field on `grid`."""
    maps, seconds, device = search.maps, dict(search.seconds), search.maps.device
    # Of the feature voxels' middles, in voxels of the boxes.
    index = search.points * STRIDE + (STRIDE - 1) / 2
    moves = displacements(settings.radius, settings.step, device) * STRIDE
    with timed(seconds, "embedding", device):
        embedded = maps if pca is None else pca.encode(maps)
    with timed(seconds, "diffusion", device):
        points = search.fixed.index_to_physical(index.cpu().numpy())
        graph = laplacian(torch.from_numpy(points).to(device), settings.neighbours)
        smooth = diffuse(embedded, graph, settings.strength)
    with timed(seconds, "soft-argmin", device):
        found, regularised = (_read(e, pca, moves, settings) for e in (embedded, smooth))
        shown = smooth[SHOWN : SHOWN + 1]
        reconstruction = shown if pca is None else pca.decode(shown)
    with timed(seconds, "densify", device):
        voxel = densify(index, regularised, search.fixed.shape, settings.corrections)
    with timed(seconds, "field", device):
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
        reconstruction=reconstruction.reshape(side).cpu().numpy(),
        clipped=float(clipped(maps, settings.radius).float().mean()),
        reach=tuple(map(float, reach)),
        seconds=seconds,
    )


def _read(
    embedded: torch.Tensor, pca: Pca | None, moves: torch.Tensor, settings: Settings
) -> torch.Tensor:
    """The displacements (n, 3) that embeddings tell, some keypoints at a time."""

    def read(part: torch.Tensor) -> torch.Tensor:
        maps = to_one_depth(part if pca is None else pca.decode(part))
        return soft_argmin(maps, moves, settings.temperature)

    return torch.cat(abreast(read, embedded.split(MAPS), embedded.device))


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
