"""A pair from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.registration.variational.features import (
    ALIKE,
    IN_ORDER,
    Features,
    likeness_of_shades,
    order_of_shades,
    self_similarities,
    shades,
)
from warpline.registration.variational.frame import (
    frame_of,
    on_frame,
    read_scan,
    shared_box,
    smoothed,
)
from warpline.registration.variational.guard import unfolded
from warpline.registration.variational.inner import lungs_in
from warpline.registration.variational.normal import equations
from warpline.registration.variational.refine import Marks, refine
from warpline.registration.variational.search import search
from warpline.registration.variational.settings import QUALITIES, Settings
from warpline.registration.variational.start import Start, find_start
from warpline.registration.variational.sure import Seen, confidence, seen_of_result
from warpline.registration.variational.velocity import coarser, spacing_of


@dataclass(frozen=True)
class Result:
    """What is found of a pair.

    Attributes
    ----------
    field, inverse
        Fixed to moving points on the fixed grid, and moving to fixed ones on the moving grid, if
        it was asked for. Neither folds.
    affine
        (4, 4) float64, fixed to moving points, mm, LPS: where the deformation begins.
    values
        ``confidence`` (0 to 1), what it is made of (``likeness``, ``likeness_after``, ``strain``),
        ``overlap`` and ``contrast`` of the start, ``lungs`` (1 where it found and used them
        without masks), how many ``repairs`` took folds out,
        ``likeness_of_shades``, ``order_of_shades``, and of the features ``difference_before`` and
        ``difference``.
    seconds
        Of each stage.
    """

    field: DisplacementField
    inverse: DisplacementField | None
    affine: np.ndarray
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now


@torch.no_grad()
def register(
    fixed: Case,
    moving: Case,
    settings: Settings,
    device: torch.device | str = "cpu",
    *,
    inverse: bool = True,
    given: np.ndarray | None = None,
    landmarks: tuple[np.ndarray, np.ndarray] | None = None,
    probabilities: tuple[np.ndarray, np.ndarray] | None = None,
) -> Result:
    """Register a pair.

    Parameters
    ----------
    inverse
        Whether the way back is asked for, too.
    given
        (4, 4), fixed to moving points: where to start, instead of a search.
    landmarks
        Corresponding points of the fixed and of the moving image, (n, 3) each, mm, LPS.
    probabilities
        Further channels of the fixed and of the moving image, (C, z, y, x) on their grids.

    Raises
    ------
    WarplineError
        If an image has fewer than two voxels along an axis, or landmarks do not correspond.
    """
    clock, effort = _Clock(), QUALITIES[settings.quality]
    for case in (fixed, moving):
        if min(case.grid.shape) < 2:
            raise WarplineError(
                f"The image has {min(case.grid.shape)} voxel along an axis; a volume is needed.",
                where=case.id,
            )
    scans = [read_scan(c.image, c.mask if settings.masked else None) for c in (fixed, moving)]
    clock.mark("read")
    masked = settings.masked and any(case.mask is not None for case in (fixed, moving))
    inner = None
    if given is None and not masked and settings.start in ("rigid", "affine"):
        inner = lungs_in([fixed.image, moving.image], scans)
    clock.mark("lungs")
    start = find_start(
        *scans, kind=settings.start, given=given, thorough=effort.thorough, inner=inner
    )
    clock.mark("start")
    frame = frame_of(fixed.grid, shared_box(*scans, start.matrix), effort.voxels)
    seen = tuple(
        on_frame(smoothed(scan, frame.spacing), frame, through, device)
        for scan, through in zip(scans, (None, start.matrix), strict=True)
    )
    pair, shades_told = _pair(seen, settings)
    if probabilities is not None:
        pair = tuple(
            one.also(_channels(array, case, frame, matrix, device), settings.extra_weight)
            for one, array, case, matrix in zip(
                pair, probabilities, (fixed, moving), (None, start.matrix), strict=True
            )
        )
    clock.mark("features")
    spacing = frame.spacing[::-1]
    velocity = None
    if effort.search and np.prod(frame.shape) <= effort.searched:
        found = search(*pair, spacing, effort.search, effort.nodes)
        velocity = _better(found, *pair, spacing, settings)
    clock.mark("search")
    marks = None if landmarks is None else _marks(landmarks, frame, start, settings, device)
    velocity, told = refine(*pair, spacing, settings, effort, velocity, marks)
    clock.mark("refine")
    forward, back, velocity, repairs = unfolded(
        velocity, frame, start.matrix, fixed.grid, moving.grid if inverse else None
    )
    clock.mark("fields")
    values = {
        "likeness": start.likeness,
        "overlap": start.overlap,
        "contrast": start.contrast,
        "lungs": float(inner is not None),
        **shades_told,
        **told,
        **seen_of_result(*seen, velocity, spacing),
        "repairs": repairs,
    }
    values = {"confidence": confidence(values), **values}
    return Result(forward, back, start.matrix, values, clock.seconds)


def _pair(
    seen: Sequence[Seen], settings: Settings
) -> tuple[tuple[Features, Features], dict[str, float]]:
    """The features of both images on the frame, and how like their shades are."""
    like, order = likeness_of_shades(*seen), order_of_shades(*seen)
    alike = like > ALIKE and order > IN_ORDER
    if settings.appearance == "like" or (settings.appearance == "auto" and alike):
        weights = settings.local, settings.whole
        channels = [shades(*one, settings.window, weights) for one in seen]
    else:
        channels = [
            self_similarities(image, settings.radius, settings.dilation) for image, _ in seen
        ]
    first, second = (Features(c, known) for c, (_, known) in zip(channels, seen, strict=True))
    return (first, second), {"likeness_of_shades": like, "order_of_shades": order}


def _better(
    velocity: torch.Tensor, fixed: Features, moving: Features, spacing: tuple, settings: Settings
) -> torch.Tensor | None:
    """The searched velocity, if images and smoothness together prefer it to none."""
    box = fixed.channels.shape[2:]
    shape = coarser(box, max(1.0, (box.numel() / 40_000) ** (1 / 3)))
    a, b = fixed.at(shape), moving.at(shape)
    own = spacing_of(box, spacing, velocity.shape[2:])
    sizes = spacing_of(box, spacing, shape), own

    def energy(v: torch.Tensor) -> float:
        found = equations(a.channels, b.channels, (a.known, b.known), v, sizes, None)
        bending = sum(
            float((torch.diff(v, dim=axis + 2) / own[axis]).square().sum(1).mean())
            for axis in range(3)
        )
        return found.mean + settings.smoothness * bending

    return velocity if energy(velocity) < energy(torch.zeros_like(velocity)) else None


def _channels(
    array: np.ndarray, case: Case, frame, matrix: np.ndarray | None, device: torch.device | str
) -> torch.Tensor:
    from warpline.images.resample import resample_to

    parts = [
        resample_to(case.image.with_array(channel.astype(np.float32)), frame, matrix=matrix).array
        for channel in array
    ]
    return torch.from_numpy(np.stack(parts))[None].to(device)


def _marks(
    landmarks: tuple[np.ndarray, np.ndarray],
    frame,
    start: Start,
    settings: Settings,
    device: torch.device | str,
) -> Marks:
    first, second = (np.asarray(points, dtype=np.float64).reshape(-1, 3) for points in landmarks)
    if len(first) != len(second):
        raise WarplineError(
            f"There are {len(first)} landmarks of the fixed and {len(second)} of the moving image.",
            where="landmarks",
            do="Give the corresponding points of both in the same order.",
        )
    back = np.linalg.inv(start.matrix)
    second = second @ back[:3, :3].T + back[:3, 3]
    last = np.asarray(frame.shape) - 1
    points = [np.clip(frame.physical_to_index(p), 0, last) for p in (first, second)]
    return Marks(
        *(torch.as_tensor(p, dtype=torch.float32, device=device) for p in points),
        settings.landmark_weight,
    )
