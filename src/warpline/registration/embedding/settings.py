"""How a pair is registered by displacement embeddings.

Hansen & Heinrich 2020; what the paper leaves open are the values of `Settings`.
"""

from __future__ import annotations

from dataclasses import dataclass


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

    keypoints: int
    erosion: int
    components: int | None
    radius: int
    step: float
    patch: int
    share: float | None
    shift: int
    draws: int
    neighbours: int
    strength: float
    temperature: float
    shape: tuple[int, int, int]
    margin: float
    align_boxes: bool
    corrections: int
