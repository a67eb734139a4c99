"""How a pair is registered; what the qualities stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a quality costs.

    Attributes
    ----------
    voxels
        Of the frame, at most about so many.
    steps
        Of Gauss-Newton on the grids of 1, 2, 4, 8, … times the frame's voxels; further grids take
        the last number. 0 leaves a grid out.
    inner
        Steps of conjugate gradients in each.
    search
        Nodes along each side of the discrete search, from its middle; 0 for none.
    nodes
        In which displacements are searched, at most about so many.
    searched
        Voxels of the largest frame that is searched: a small one shows few voxels of a structure,
        which then lies far from its like for its size.
    alone
        Voxels of the largest frame that is refined on its own grid alone, with the steps of all:
        the search has brought together what lies far apart, and coarser grids of so few voxels
        show nothing.
    thorough
        Whether turned starts are tried in any case.
    """

    voxels: int
    steps: tuple[int, ...]
    inner: int
    search: int
    nodes: int
    searched: float
    alone: int
    thorough: bool


QUALITIES = {
    "fast": Effort(
        voxels=500_000,
        steps=(0, 4, 6),
        inner=12,
        search=0,
        nodes=0,
        searched=0,
        alone=0,
        thorough=False,
    ),
    "balanced": Effort(
        voxels=1_500_000,
        steps=(4, 8, 8),
        inner=20,
        search=3,
        nodes=8_000,
        searched=60_000,
        alone=60_000,
        thorough=False,
    ),
    "best": Effort(
        voxels=4_000_000,
        steps=(8, 8, 8),
        inner=25,
        search=4,
        nodes=27_000,
        searched=math.inf,
        alone=60_000,
        thorough=True,
    ),
}


@dataclass(frozen=True)
class Settings:
    """How a pair is registered.

    Attributes
    ----------
    quality
        ``fast``, ``balanced`` or ``best``.
    smoothness
        α, what a change of the displacement of 1 mm a mm costs beside the features' mean squared
        difference; the same on every grid.
    start
        ``none``, ``translation``, ``rigid`` or ``affine``.
    masked
        Whether to look only inside the masks of cases that have them.
    appearance
        Whether both show tissues in ``like`` shades or not (``unlike``, as CT and MR); ``auto``
        finds out.
    window, local, whole
        Of like shades: of the window in voxels of the frame, and how much intensities normalised in
        it and over the image weigh.
    radius, dilation
        Of unlike ones' self-similarities, in voxels of the frame.
    robust
        The mean squared difference of features that halves a voxel's weight; None: none does.
    landmark_weight
        Of a pair of landmarks at 1 mm from each other, in cm³ of features that differ entirely.
    extra_weight
        Of probabilities or descriptors that are given, beside the images.
    """

    quality: str
    smoothness: float
    start: str
    masked: bool
    appearance: str
    window: int
    local: float
    whole: float
    radius: int
    dilation: int
    robust: float | None
    landmark_weight: float
    extra_weight: float
