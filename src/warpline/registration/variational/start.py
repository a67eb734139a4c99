"""Where a registration starts: translation, rigid, affine, from several places.

Coarse images are compared by their self-similarities, which are computed again for every position:
they are not those of the turned image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from warpline.images.grid import Grid
from warpline.registration.embedding.descriptors import mind_ssc
from warpline.registration.variational.frame import Scan, frame_of, on_frame, smoothed
from warpline.registration.variational.shifts import displaced, likeness
from warpline.registration.variational.sure import likeness_of

COARSE, FINE = 24, 40  # voxels along the side of a cube of the size of the fixed image
TURN = 25.0  # degrees of the turned starts, about each axis and in both senses
UNSURE = 0.4  # likeness of coarse images, below which turned starts are tried
STEPS = {"rigid": 8, "affine": 8, "fine": 6}
RIGID = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class Start:
    """An affine map and what is known of it.

    Attributes
    ----------
    matrix
        (4, 4) float64, fixed to moving points, mm, LPS.
    likeness
        Share of the features' variance that both images have in common where they overlap:
        1 for the same image, about 0 for any two.
    overlap
        Voxels that lie on each other, of the most that could.
    contrast
        By how many standard deviations of the likeness under all shifts the best one exceeds their
        mean; 0 if there was no search.
    """

    matrix: np.ndarray
    likeness: float
    overlap: float
    contrast: float


@dataclass(frozen=True)
class _Place:
    """The fixed scan on a coarse grid."""

    grid: Grid
    channels: torch.Tensor
    known: torch.Tensor
    moving: Scan

    @classmethod
    def of(cls, fixed: Scan, moving: Scan, voxels: int) -> _Place:
        last = np.asarray(fixed.image.grid.shape) - 1
        grid = frame_of(fixed.image.grid, (np.zeros(3), last), voxels**3)
        image, known = on_frame(smoothed(fixed, grid.spacing), grid, None, "cpu")
        return cls(grid, mind_ssc(image, 1, 1), known, smoothed(moving, grid.spacing))

    def compare(self, matrix: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Self-similarities of the moving image as `matrix` brings it, and the common weights."""
        image, known = on_frame(self.moving, self.grid, matrix, "cpu")
        return mind_ssc(image, 1, 1), known * self.known

    def judge(self, channels: torch.Tensor, weight: torch.Tensor) -> tuple[float, float]:
        """Likeness and overlap of the moving channels with the fixed ones."""
        total = float(weight.sum())
        overlap = total / max(min(float(self.known.sum()), weight.numel()), 1.0)
        if total < 1:
            return -1.0, 0.0
        return likeness_of(self.channels, channels, weight), overlap


def find_start(
    fixed: Scan,
    moving: Scan,
    *,
    kind: str,
    given: np.ndarray | None = None,
    thorough: bool = False,
    inner: Sequence[Scan] | None = None,
) -> Start:
    """The affine map under which two scans are most alike.

    Parameters
    ----------
    kind
        ``none`` (the given map or the scanners' frames), ``translation``, ``rigid`` or ``affine``.
    given
        (4, 4), fixed to moving points: where to start; None: from several places.
    thorough
        Whether turned starts are tried even if an upright one is alike.
    inner
        Both scans with less of them known: where these start is tried, too.
    """
    place = _Place.of(fixed, moving, COARSE)
    contrast = 0.0
    if given is not None or kind == "none":
        starts = [np.eye(4) if given is None else np.asarray(given, float)]
    else:
        shift, contrast = _best_shift(fixed, moving, place.grid, np.eye(3))
        starts = [shift, np.eye(4), _centres(fixed, moving)]
    if kind == "none" or _flat(fixed) or _flat(moving):
        return Start(starts[0], *place.judge(*place.compare(starts[0])), contrast)
    first = "translation" if kind == "translation" else "rigid"
    found = [
        _descend(place, matrix, first, STEPS["rigid"]) for matrix in _different(starts, place.grid)
    ]
    best = max(found, key=_worth)
    if given is None and kind != "translation" and (thorough or best[1] < UNSURE):
        for axis, sign in product(range(3), (-1, 1)):
            turned, _ = _best_shift(fixed, moving, place.grid, _rotation(axis, sign * TURN))
            found.append(_descend(place, turned, first, STEPS["rigid"]))
        best = max(found, key=_worth)
    if kind == "affine":
        best = max(best, _descend(place, best[0], "affine", STEPS["affine"]), key=_worth)
    fine = _Place.of(fixed, moving, FINE)
    last = [_descend(fine, best[0], kind, STEPS["fine"])]
    if inner is not None:
        within = find_start(*inner, kind=kind).matrix
        last.append(_descend(fine, within, kind, STEPS["fine"]))
    matrix, like, overlap = max(last, key=_worth)
    return Start(matrix, like, overlap, contrast)


def _flat(scan: Scan) -> bool:
    """Whether a scan shows nothing."""
    values = scan.image.array[scan.known.array > 0]
    return values.size == 0 or float(values.max()) == float(values.min())


def _worth(found: tuple[np.ndarray, float, float]) -> float:
    """Likeness, less where little overlaps."""
    _, like, overlap = found
    return like * min(1.0, overlap / 0.4)


def _different(starts: list[np.ndarray], grid: Grid) -> list[np.ndarray]:
    """Starts that bring the middle to places two voxels or more apart."""
    middle = np.append(grid.index_to_physical((np.asarray(grid.shape) - 1) / 2), 1)
    kept: list[np.ndarray] = []
    for start in starts:
        if all(np.linalg.norm((start - other) @ middle) > 2 * max(grid.spacing) for other in kept):
            kept.append(start)
    return kept


def _centres(fixed: Scan, moving: Scan) -> np.ndarray:
    """The shift between the middles of what the scans show."""
    matrix = np.eye(4)
    ends = []
    for scan in (fixed, moving):
        some = np.argwhere(scan.known.array[::2, ::2, ::2] > 0) * 2.0
        ends.append(
            scan.image.grid.index_to_physical(some.mean(axis=0) if len(some) else np.zeros(3))
        )
    matrix[:3, 3] = ends[1] - ends[0]
    return matrix


def _rotation(axis: int, degrees: float) -> np.ndarray:
    a, b = ((1, 2), (2, 0), (0, 1))[axis]
    turn = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    return turn


def _best_shift(
    fixed: Scan, moving: Scan, like: Grid, turn: np.ndarray
) -> tuple[np.ndarray, float]:
    """The most alike of all translations of the turned moving scan, and its contrast."""
    step = max(like.spacing)
    cube = Grid(
        tuple(
            max(5, round((n - 1) * s / step) + 1)
            for n, s in zip(like.shape, like.spacing[::-1], strict=True)
        ),
        (step,) * 3,
        like.origin,
        like.direction,
    )
    # The moving scan turned about its own middle, on a grid that holds all of it.
    own = moving.image.grid
    ends = np.array(np.meshgrid(*((0, n - 1) for n in own.shape))).reshape(3, -1).T
    corners = own.index_to_physical(ends)
    middle = corners.mean(axis=0)
    back = (corners - middle) @ turn + middle  # the inverse turn
    axes = np.asarray(like.direction).reshape(3, 3)
    along = back @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    shape = tuple(int(n) for n in np.maximum(5, np.ceil((high - low) / step) + 1)[::-1])
    other = Grid(shape, (step,) * 3, tuple(map(float, axes @ low)), like.direction)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, middle - turn @ middle
    parts = []
    for scan, grid, through in ((fixed, cube, None), (moving, other, matrix)):
        image, known = on_frame(smoothed(scan, grid.spacing), grid, through, "cpu")
        parts.append((mind_ssc(image, 1, 1)[0].numpy(), known[0, 0].numpy()))
    score, overlap = likeness(*parts)
    possible = score > -1
    index = np.unravel_index(
        int(np.where(possible, score * np.minimum(1, overlap / 0.5), -1).argmax()), score.shape
    )
    spread = float(score[possible].std()) if possible.any() else 0.0
    contrast = (
        (float(score[index]) - float(score[possible].mean())) / spread if spread > 1e-9 else 0.0
    )
    moved = displaced(index, score.shape, cube.shape)
    shift = np.eye(4)
    shift[:3, 3] = other.index_to_physical(np.zeros(3)) - cube.index_to_physical(moved)
    return matrix @ shift, contrast


def _descend(
    place: _Place, matrix: np.ndarray, kind: str, steps: int
) -> tuple[np.ndarray, float, float]:
    """Gauss-Newton from a start; the best position that it passes, its likeness and overlap."""
    best, damping = (matrix, -1.0, 0.0), 1e-3
    for step in range(steps + 1):
        channels, weight = place.compare(matrix)
        found = (matrix, *place.judge(channels, weight))
        if _worth(found) < _worth(best) - 1e-4:
            # Not that way, or not so far.
            damping *= 10
            matrix = best[0]
            channels, weight = place.compare(matrix)
        else:
            best = max(best, found, key=_worth)
        if step == steps:
            break
        change = _step(place, channels, weight, kind, damping)
        if np.abs(change - np.eye(4)).max() < 1e-4:
            break
        matrix = matrix @ change
    return best


def _step(
    place: _Place, channels: torch.Tensor, weight: torch.Tensor, kind: str, damping: float
) -> np.ndarray:
    """One step: a small map (4, 4) of the fixed frame, to go before the map so far."""
    grid = place.grid
    spacing = grid.spacing[::-1]
    both = (channels + place.channels) * 0.5
    slope = [torch.gradient(both, dim=axis + 2)[0][0] / spacing[axis] for axis in range(3)]
    difference = (channels - place.channels)[0]
    half = [(n - 1) * s / 2 for n, s in zip(grid.shape, spacing, strict=True)]
    radius = max(max(half), 1e-3)
    lines = [torch.linspace(-h, h, n) / radius for h, n in zip(half, grid.shape, strict=True)]
    where = [*torch.meshgrid(*lines, indexing="ij"), torch.ones(grid.shape)]
    where = torch.stack(where).flatten(1)
    weight = weight.flatten() / float(weight.sum().clamp_min(1))
    rows = torch.zeros(3, 4)
    table = torch.zeros(3, 4, 3, 4)
    for i in range(3):
        rows[i] = where @ ((slope[i] * difference).sum(0).flatten() * weight)
        for j in range(i, 3):
            product_ = (slope[i] * slope[j]).sum(0).flatten() * weight
            table[i, :, j] = (where * product_) @ where.T
            table[j, :, i] = table[i, :, j]
    basis = _basis(kind)
    normal = basis.T @ table.reshape(12, 12).double().numpy() @ basis
    right = -basis.T @ rows.reshape(12).double().numpy()
    scale = np.trace(normal) / len(normal)
    if not scale > 0:
        return np.eye(4)
    moved = basis @ np.linalg.solve(normal + damping * scale * np.eye(len(normal)), right)
    moved = moved.reshape(3, 4)
    # By at most three voxels at the corners.
    most = np.abs(moved).sum(axis=1).max()
    moved *= min(1.0, 3 * max(spacing) / max(most, 1e-9))
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = moved[:, :3] / radius, moved[:, 3]
    local = torch.matrix_exp(torch.from_numpy(generator)).numpy()
    frame = np.eye(4)
    frame[:3, :3] = np.asarray(grid.direction).reshape(3, 3)[:, ::-1]
    frame[:3, 3] = grid.index_to_physical((np.asarray(grid.shape) - 1) / 2)
    return frame @ local @ np.linalg.inv(frame)


def _basis(kind: str) -> np.ndarray:
    """Which of the twelve numbers of a small affine map may change, (12, n)."""
    unit = np.eye(12).reshape(3, 4, 12)
    shifts = [unit[i, 3] for i in range(3)]
    if kind == "translation":
        return np.stack(shifts, axis=1)
    if kind == "rigid":
        turns = [(unit[i, j] - unit[j, i]) / 2**0.5 for i, j in RIGID]
        return np.stack([*shifts, *turns], axis=1)
    return np.eye(12)
