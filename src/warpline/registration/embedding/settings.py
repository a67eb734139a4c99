"""How a pair is registered by displacement embeddings.

Hansen & Heinrich 2020; what the paper leaves open are the values here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """How the displacement maps of a pair are found, and how many dimensions tell them apart.

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
    shape, margin
        Both lungs' boxes, with `margin` mm on each side, are resampled to `shape` (z, y, x).
    align_boxes
        Start from the affine map of one box onto the other; otherwise both images are seen in the
        fixed lungs' box.
    """

    keypoints: int
    erosion: int
    components: int | None
    radius: int
    step: float
    patch: int
    share: float | None
    shift: int
    draws: int
    shape: tuple[int, int, int]
    margin: float
    align_boxes: bool


@dataclass(frozen=True)
class Settings(SearchSettings):
    """How a pair is registered: the search, and what is made of its maps.

    Attributes
    ----------
    neighbours, strength
        Of the graph, and λ of the diffusion.
    temperature
        Of the soft-argmin, in units of each map's depth, see `to_one_depth`.
    corrections
        Of the dense field, see `densify`.
    """

    neighbours: int
    strength: float
    temperature: float
    corrections: int
